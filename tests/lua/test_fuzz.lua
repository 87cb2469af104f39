-- tier: slow
-- tests/fuzz/fuzz_model.c for a minute (TRIT_FUZZ_SECONDS) on mutations of small networks of every kind that
-- exports: no crash, no read or write outside, no undefined behaviour, the same bits everywhere.  Inputs that
-- reached something new are kept in build-fuzz/found for the next time; one that fails stays beside it.
local trit = require "trit"
local lfs = require "lfs"

local source = os.getenv("TRIT_SOURCE") or "."
local work = source .. "/build-fuzz"
local seconds = math.tointeger(tonumber(os.getenv("TRIT_FUZZ_SECONDS") or "")) or 60
local infer, nn = trit.infer, trit.nn

local SIDE, CLASSES = 8, 5
local LONGEST = 8192 -- bytes of an input

local function shell(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read("a")
  local _, _, code = pipe:close()
  return text, code
end

local function compiler()
  for _, name in ipairs { "clang-14", "clang" } do
    local path = shell("command -v " .. name):match("^(/[^\n]+)")
    if path then return path end
  end
end

--- Every kind of node: lone batch norm, pools, clamps, groups, a kernel of one, a value used twice.
local Mixed = nn.class("fuzz_mixed")
function Mixed:init()
  self.bn0, self.conv1 = nn.batch_norm { 3 }, nn.conv2d { 3, 4, kernel = 3, bias = true }
  self.conv2 = nn.conv2d { 4, 4, kernel = 3, padding = 1, groups = 4 }
  self.bn, self.conv3 = nn.batch_norm { 4 }, nn.conv2d { 4, 4, kernel = 1 }
  self.fc = nn.linear { 4 * 3 * 3, CLASSES }
end
function Mixed:forward(x)
  x = self.conv1(self.bn0(x)):relu6():avg_pool { kernel = 2 }
  local y = self.conv2(x)
  x = trit.add(trit.relu(self.bn(y)), self.conv3(y))
  x = trit.max_pool(trit.add(x, x):hardtanh { min = -3, max = 3 }, { kernel = 3, stride = 1, padding = 1 })
  return self.fc(x:flatten())
end

local function residual() return trit.models.resnet8 { classes = CLASSES, seed = 1, width = 2 } end

local quantizers = {
  float = function() return nil end,
  twn = function() return trit.quant.twn {} end,
  ttq = function() return trit.quant.ttq { granularity = "filter" } end,
  planes = function() return trit.quant.tga { n_thresholds = 2 } end,
}

local function once(x)
  return function()
    local y = x
    x = nil
    return y
  end
end

--- Exports of small networks into `dir`; returns how many.
local function corpus(dir)
  local count, x = 0, trit.randn({ 4, 3, SIDE, SIDE }, { seed = 5 })
  for name, quantizer in pairs(quantizers) do
    for kind, make in pairs { residual = residual, mixed = Mixed } do
      local net, q = make(), quantizer()
      if q then trit.quantize(net, { { ".*", q } }) end
      local plain = infer.export(net:eval(), { data = { shape = { 3, SIDE, SIDE } } })
      for form, model in pairs { plain = plain, bytes = infer.calibrate(plain, 4, false, once(x)),
        archive = infer.calibrate(plain, 4, true, once(x)) } do
        local path = ("%s/%s-%s-%s.trit"):format(dir, kind, name, form)
        assert(model:save(path))
        assert.is_true(lfs.attributes(path, "size") <= LONGEST, path)
        count = count + 1
      end
    end
  end
  return count
end

describe("the fuzzer", function()
  it("finds nothing in packed models", function()
    local clang = compiler()
    if not clang then return pending("no clang: the Debian packages are clang-14 and libclang-rt-14-dev") end
    local said, code = shell(("sh '%s/tests/tools/build_fuzz.sh' '%s' '%s' '%s'"):format(source, clang,
      source, work))
    assert.equal(0, code, said)
    local seeds, found = work .. "/seeds", work .. "/found"
    os.execute(("rm -rf '%s' && mkdir -p '%s' '%s'"):format(seeds, seeds, found))
    assert.equal(24, corpus(seeds))
    said, code = shell(("cd '%s' && tests/fuzz/fuzz_model -max_total_time=%d -max_len=%d -timeout=100 " ..
      "-rss_limit_mb=2048 -print_final_stats=1 found seeds"):format(work, seconds, LONGEST))
    assert.equal(0, code, said:sub(-6000))
    local inputs, models, ran = said:match("fuzz_model: (%d+) inputs, (%d+) models, (%d+) run")
    inputs, models, ran = tonumber(inputs), tonumber(models), tonumber(ran)
    assert.is_true(inputs > 20 * seconds, said:sub(-3000))
    assert.is_true(models > 48 and ran > 48, said:sub(-3000)) -- it does get behind the checks
  end)
end)
