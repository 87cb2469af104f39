-- tier: full
-- Packed models that are not what they should be, and commands asked for what cannot be: scores that are
-- not numbers, layers of another kind, other images and classes, numbers that count nothing.
local trit = require "trit"
local lfs = require "lfs"
local json = require "trit.json"
local process = require "tests.lua.process"
local scratch = require "tests.lua.scratch"

local infer, command = trit.infer, process.trit
local dir = scratch.dir "infer-faults"
local RUN, DATA = dir .. "/run", "shapes10:train=32,test=16,size=16"
local HUGE = 3e38 -- times another one like it is infinite, and infinities of both signs add up to no number

--- A network of the run's kind; options as of trit.models.
local function network(options)
  local net = trit.models.resnet8(options or { classes = 10, seed = 1 })
  trit.quantize(net, { { ".*", trit.quant.twn {} } })
  return net:eval()
end

local function packed(net, data) return infer.export(net, { data = data or { shape = { 3, 16, 16 } } }) end

--- Where the model was written to.
local function saved(name, net, data)
  local path = dir .. "/" .. name
  assert(packed(net, data):save(path))
  return path
end

--- The network of the run.
local function trained() return (assert(require("trit.trained").load(RUN))) end

--- Make scores NaN without a code that changes: batch norm multiplies by HUGE.
local function spoil(net)
  for _, m in net:named_modules() do
    if m.kind == "batch_norm" then m.weight:copy(trit.zeros(m.weight:shape()):add(HUGE)) end
  end
  return net
end

--- A command must end with `status` and one sentence on stderr that has `words` in it; returns stdout.
local function refused(status, words, ...)
  local code, out, err = command(...)
  local said = table.concat({ ... }, " ") .. "\n" .. out .. err
  assert.equal(status, code, said)
  assert.is_truthy(err:find(words, 1, true), said)
  assert.equal(1, select(2, err:gsub("\n", "")), said)
  return out
end

setup(function()
  local data = trit.data.open(DATA, { batch = 16, seed = 1 })
  local net = network()
  trit.train { model = net, data = data, epochs = 1, quiet = true, out = RUN,
    optimizer = trit.optim.sgd(net:parameters(), { lr = 0.01 }) }
  trit.checkpoint.save(RUN, { tensors = net:state_dict() })
end)
teardown(function() scratch.remove(dir) end)

describe("scores that are not numbers", function()
  it("fail trit verify, whichever side has them", function()
    local net = trained()
    local good, bad = saved("good.trit", net), saved("nan.trit", spoil(net))
    assert.equal(0, (command("verify", good, RUN)))
    local out = refused(1, "scores of the packed model are not all finite", "verify", bad, RUN)
    assert.matches("^0 of %d+ codes differ\n", out)
    out = refused(1, "scores of the packed model are not all finite", "verify", bad, RUN, "--json")
    local report = json.decode(out)
    assert.is_false(report.ok)
    assert.is_nil(report.relative)
    refused(1, "scores of the packed model", "verify", bad, RUN, "--data", DATA)
  end)

  it("fail trit eval, whose loss they would be", function()
    local bad = saved("nan.trit", spoil(trained()))
    refused(1, "nan.trit': some of its scores are not finite", "eval", bad, "--data", DATA)
    refused(1, "nan.trit': some of its scores are not finite", "eval", bad, "--data", DATA, "--json")
  end)

  it("leave gradients and modes as they were when batches end in an error", function()
    local net, runner = trained():train(), packed(trained()):runner {}
    local ok = pcall(infer.compare_logits, runner, net, function() error("mine") end)
    assert.is_false(ok)
    assert.is_true(trit.core.grad_enabled())
    assert.is_true(net.training)
    assert.is_false(pcall(infer.compare_codes, {}, net))
    assert.is_true(trit.core.grad_enabled())
  end)

  it("stick in the largest difference", function()
    local good, bad = packed(trained()):runner {}, packed(spoil(trained())):runner {}
    local images = { trit.randn({ 1, 3, 16, 16 }, { seed = 1 }), trit.zeros { 1, 3, 16, 16 } }
    local function both()
      local i = 0
      return function()
        i = i + 1
        return images[i]
      end
    end
    local x = images[1]
    assert.is_true(bad:run(x):max_difference(bad:run(x)) ~= 0) -- the harness makes what it says
    for _, pair in ipairs { { good, spoil(trained()) }, { bad, trained() }, { bad, spoil(trained()) } } do
      local r = infer.compare_logits(pair[1], pair[2], both())
      assert.is_true(r.max_difference ~= r.max_difference, r.max_difference)
    end
  end)

  it("are no classes: trit predict says so", function()
    local bad = saved("nan.trit", spoil(trained()))
    trit.data.make("shapes10", dir .. "/photos", { train = 10, test = 10, size = 16 })
    local folder = dir .. "/photos/test/disc"
    local photo = folder .. "/" .. (function()
      for name in lfs.dir(folder) do if name:match("jpg$") then return name end end
    end)()
    assert.equal("", refused(1, photo .. ": the model's scores are not all finite", "predict", bad, photo))
    local out = refused(1, "the model's scores are not all finite", "predict", bad, photo, "--json")
    assert.equal(0, #json.decode(out))
    refused(2, "--bits must be a whole number >= 0, not 7.5", "predict", bad, photo, "--bits", "7.5")
  end)
end)

describe("trit eval", function()
  --- Brightness of the images that eval sees: the score of class 1; that of the others is 0.
  local function brightness(data)
    local net = trit.nn.sequential { trit.nn.conv2d { 3, 10, kernel = 32, bias = false } }
    local w = trit.zeros { 10, 3, 32, 32 }
    w:set(1, 1, 16, 16, 1)
    for _, m in net:quantizable() do m.weight:copy(w) end
    return infer.export(net:eval(), { data = data })
  end

  it("cuts images as training did", function()
    local folder = dir .. "/large"
    trit.data.make("shapes10", folder, { train = 10, test = 20, size = 64 })
    local data = trit.data.open("folder:" .. folder, { batch = 20, size = 32, resize = 40 })
    local model = brightness(data)
    assert.equal(40, model:facts().resize)
    assert(model:save(dir .. "/cut.trit"))
    local want = infer.evaluate(model:runner { batch = 20 }, data:test())
    local _, out = command("eval", dir .. "/cut.trit", "--data", "folder:" .. folder, "--json")
    assert.is_true(math.abs(want.loss - json.decode(out).loss) < 1e-6)
  end)

  it("compares images and classes first", function()
    local wide = trit.nn.sequential { trit.nn.conv2d { 3, 10, kernel = 3 }, trit.nn.lambda(trit.relu),
      trit.nn.lambda(trit.global_avg_pool) }
    local file = saved("wide.trit", wide, { shape = { 3, 12, 20 } })
    refused(1, "takes images of 12 x 20 pixels, " .. DATA .. " has 16 x 16", "eval", file, "--data", DATA)
    file = saved("seven.trit", network { classes = 7 })
    refused(1, "tells 7 classes apart, " .. DATA .. " has 10", "eval", file, "--data", DATA)
  end)

  it("takes images of the model's size whatever their shape", function()
    local folder = dir .. "/oblong"
    assert(lfs.mkdir(folder))
    for part, bytes in pairs { images = (">I4I4I4I4"):pack(0x803, 10, 12, 20) .. ("\7"):rep(10 * 12 * 20),
      labels = (">I4I4"):pack(0x801, 10) .. "\0\1\2\3\4\5\6\7\8\9" } do
      local rank = part == "images" and 3 or 1
      local file = assert(io.open(("%s/t10k-%s-idx%d-ubyte"):format(folder, part, rank), "wb"))
      file:write(bytes)
      file:close()
    end
    local net = network { classes = 10, channels = 1 }
    local code, out, err = command("eval", saved("oblong.trit", net, { shape = { 1, 12, 20 } }), "--data",
      "idx:" .. folder, "--json")
    assert.equal(0, code, err)
    assert.is_true(json.decode(out).count > 0)
  end)

  it("takes whole numbers only", function()
    local file = saved("good.trit", trained())
    refused(2, "--bits must be a whole number >= 0, not 7.5", "eval", file, "--data", DATA, "--bits", "7.5")
    refused(2, "--batch must be a whole number >= 1, not 0", "eval", file, "--data", DATA, "--batch", "0")
    refused(1, "activations of 5 bits", "eval", file, "--data", DATA, "--bits", "5")
  end)
end)

describe("trit bench", function()
  it("takes whole numbers only", function()
    local function bench(words, ...)
      refused(2, words, "bench", "infer", "--model", "resnet8", "--size", "16", "--no-graph", ...)
    end
    bench("--bits must be whole numbers >= 0 with commas between, not abc", "--bits", "abc")
    bench("--bits must be whole numbers >= 0 with commas between, not 0,7.5", "--bits", "0,7.5")
    bench("--bits must be whole numbers >= 0 with commas between, not ,", "--bits", ",")
    bench("--batch must be a whole number >= 1, not 0", "--batch", "0")
    refused(2, "--batch must be a whole number >= 1, not 0", "bench", "linear", "--batch", "0")
    bench("--size must be a whole number >= 1, not 0", "--size", "0")
  end)

  it("infer finds the files and the memory small", function()
    local function bench(name)
      local code, out, err = command("bench", "infer", "--model", name, "--bits", "0,8", "--no-graph",
        "--seconds", "0.01", "--threads", "1", "--json")
      assert.equal(0, code, err)
      return json.decode(out)
    end
    local r = bench "resnet18"
    assert.is_true(r.file_bytes <= 3.1e6, r.file_bytes)
    assert.equal(2, #r.rows)
    for _, row in ipairs(r.rows) do -- of a process that opens the model and runs one image
      assert.is_true(row.memory > 5e6 and row.memory < 40e6, row.memory)
    end
    r = bench "resnet20"
    assert.is_true(r.file_bytes <= 80e3, r.file_bytes)
  end)
end)

describe("a runner", function()
  it("takes whole numbers only", function()
    local model = packed(network())
    local function says(words, options)
      assert.error_matches(function() model:runner(options) end, words)
    end
    says("runner: bits must be a whole number >= 0, got 7%.5", { bits = 7.5 })
    says("runner: bits must be a whole number >= 0, got %-1", { bits = -1 })
    says("runner: bits must be a whole number >= 0, got many", { bits = "many" })
    says("runner: batch must be a whole number >= 0, got 1%.5", { batch = 1.5 })
    says("runner: batch must be a whole number >= 0, got %-?nan", { batch = 0 / 0 })
    says("runner: activations of %d+ bits", { bits = 2 ^ 32 + 8 })
    assert.equal(10, model:runner({ bits = 0, batch = 2.0 }):run(trit.zeros { 2, 3, 16, 16 }):shape()[2])
  end)
end)

describe("trit verify", function()
  --- The row of one layer in a report, and its line on the terminal.
  local function row_of(file, layer)
    local code, out = command("verify", file, RUN, "--json")
    assert.equal(1, code, out)
    local report = json.decode(out)
    assert.is_true(report.codes.differ > 0)
    local _, text = command("verify", file, RUN)
    for _, row in ipairs(report.codes.layers) do
      if row.name == layer then return row, text, report.codes end
    end
    error(layer .. " is not in " .. out)
  end

  it("counts a quantized layer that the file keeps as float", function()
    local net = trained()
    local all = infer.compare_codes(packed(net), net).codes
    local conv = net.layer1["0"].conv2
    conv:set_quantizer(nil)
    local row, text, codes = row_of(saved("float.trit", net), "layer1.0.conv2")
    assert.equal(conv.weight:numel(), row.codes)
    assert.equal(row.codes, row.differ)
    assert.equal(all, codes.codes)
    assert.matches("\n  layer1%.0%.conv2: 2304 of 2304 %(float in the file%)\n", text)
  end)

  it("counts a quantized layer that the file lacks", function()
    local net = trained()
    local short = trained()
    short.layer1 = trit.nn.lambda(function(x) return x end)
    local r = infer.compare_codes(packed(short), net)
    assert.equal(infer.compare_codes(packed(net), net).codes, r.codes)
    assert.equal(2 * 2304, r.differ)
    for _, row in ipairs(r.layers) do
      assert.equal(row.name:match("^layer1") and "not in the file" or nil, row.why)
    end
  end)

  it("counts a layer of another shape or number of planes", function()
    local net = trained()
    local wide = network { classes = 10, seed = 1, width = 2 }
    local row = row_of(saved("wide.trit", wide), "layer1.0.conv2")
    assert.equal(row.codes, row.differ)
    assert.matches("^%[%d+,%d+,3,3%] in the file, %[%d+,%d+,3,3%] in the network$", row.why)
    trit.quantize(net, { { ".*", trit.quant.tga { n_thresholds = 2 } } })
    local r = infer.compare_codes(packed(net), trained())
    assert.equal(r.codes, r.differ)
    assert.equal("2 planes in the file, 1 in the network", r.layers[1].why)
  end)

  it("says in one sentence that the classes or the images are others", function()
    refused(1, "tells 7 classes apart, the network of " .. RUN .. " 10", "verify",
      saved("seven.trit", network { classes = 7 }), RUN)
    refused(1, "takes images [1,16,16], which the network of " .. RUN .. " does not: ", "verify",
      saved("gray.trit", network { classes = 10, channels = 1 }, { shape = { 1, 16, 16 } }), RUN)
  end)
end)
