-- tier: full
-- Packed models from Lua: every network and quantizer exports by itself, codes and scores are the
-- network's; the commands export, verify, eval, predict, and the C example.
local trit = require "trit"
local lfs = require "lfs"
local process = require "tests.lua.process"

local source = os.getenv("TRIT_SOURCE") or "."
local build = os.getenv("TRIT_BUILD") or source .. "/build"
local infer = trit.infer

local ROUNDING = 1e-5 -- of the largest logit: batch norm folded, sums in another order

local quote, shell, command = process.quote, process.shell, process.trit

--- Batch norm far from the identity, so that folding is tested.
local function stir(net)
  for _, m in net:named_modules() do
    if m.kind == "batch_norm" then
      local shape = m.weight:shape()
      m.running_mean:copy(trit.randn(shape, { seed = 3 }))
      m.running_var:copy(trit.rand(shape, { seed = 4 }):add(0.5))
      m.weight:copy(trit.randn(shape, { seed = 5 }):detach())
      m.bias:copy(trit.randn(shape, { seed = 6 }):detach())
    end
  end
  return net:eval()
end

local function once(x)
  return function()
    local y = x
    x = nil
    return y
  end
end

local function check(net, shape, n)
  local model = infer.export(net, { data = { shape = shape } })
  local runner = model:runner { batch = 3 }
  local x = trit.randn({ n or 4, shape[1], shape[2], shape[3] }, { seed = 9 })
  local codes, logits = infer.compare_codes(model, net), infer.compare_logits(runner, net, once(x))
  assert.equal(0, codes.differ)
  assert.is_true(logits.max_difference <= ROUNDING * logits.largest,
    ("%g of %g"):format(logits.max_difference, logits.largest))
  return model, codes
end

describe("trit.infer", function()
  it("packs the networks of trit.models", function()
    -- One of each family; the others of a family are only deeper.  DenseNet and Inception concatenate.
    for _, name in ipairs { "small", "resnet8", "resnet20", "resnet18", "resnet50", "lenet5",
      "mobilenet_v2" } do
      local net = stir(trit.models.create(name, { classes = 7, seed = 1, size = 32, channels = 3 }))
      trit.quantize(net, { { ".*", trit.quant.twn {} } })
      local _, codes = check(net, { 3, 32, 32 }, 2)
      local weights = 0
      for _, m in net:quantizable() do weights = weights + m.weight:numel() end
      assert.equal(weights, codes.codes)
    end
  end)

  --- Is w' a sum of codes -1, 0, 1 times the values declared for them?
  local function ternary(q, w)
    q(w)
    return q.handle:properties().coded and q:codes():abs():max():item() <= 1
  end

  it("packs what every ternary or binary quantizer makes, and refuses the others in a sentence", function()
    local packed, refused = 0, 0
    for _, name in ipairs(trit.quant.list()) do
      for _, granularity in ipairs { "layer", "filter" } do
        local ok, q = pcall(trit.quant.create, name, { granularity = granularity })
        if ok then
          local net = stir(trit.models.resnet8 { classes = 7, seed = 2 })
          trit.quantize(net, { { ".*", q } })
          if ternary(net.conv1.quantizer, net.conv1.weight) then
            packed = packed + 1
            local _, codes = check(net, { 3, 16, 16 })
            assert.is_true(codes.codes >= 74000, name)
          else
            refused = refused + 1
            assert.error_matches(function() check(net, { 3, 16, 16 }) end,
              "^export: [%w.]+weight: the weights of " .. name .. "{.*} are not sums of")
          end
        end
      end
    end
    assert.is_true(packed >= 20 and refused >= 4, packed .. " " .. refused)
  end)

  it("keeps a layer float whose quantizer sleeps", function()
    local net = stir(trit.models.small { classes = 7 })
    trit.quantize(net, { { ".*", trit.quant.twn {} } })
    for _, m in net:quantizable() do m.quantizer.start = 0.5 end
    local model = check(net, { 3, 16, 16 })
    assert.equal("float", model:facts().nodes[1].weight)
  end)

  it("packs residual expansion in several planes", function()
    local net = stir(trit.models.small { classes = 7 })
    trit.quantize(net, { { ".*", trit.quant.tga { n_thresholds = 2 } } })
    local model = check(net, { 3, 16, 16 })
    assert.equal(2, model:facts().nodes[1].planes)
  end)

  it("keeps float layers float", function()
    local net = stir(trit.models.resnet8 { classes = 7 })
    trit.quantize(net, { { "^conv1%.", false }, { "^fc%.", false }, { ".*", trit.quant.twn {} } })
    local model = check(net, { 3, 32, 32 })
    local nodes = model:facts().nodes
    assert.equal("float", nodes[1].weight)
    assert.equal("2 bits", nodes[2].weight)
    assert.equal("float", nodes[#nodes].weight)
  end)

  it("packs nets of other ops: flatten, pools, clamps, lone batch norm and sums", function()
    local nn = trit.nn
    local Net = nn.class("mixed")
    function Net:init()
      self.bn0, self.conv1 = nn.batch_norm { 3 }, nn.conv2d { 3, 8, kernel = 3, bias = true }
      self.conv2 = nn.conv2d { 8, 8, kernel = 3, padding = 1, groups = 8 }
      self.bn, self.conv3 = nn.batch_norm { 8 }, nn.conv2d { 8, 8, kernel = 1 }
      self.fc1, self.fc2 = nn.linear { 8 * 7 * 7, 20 }, nn.linear { 20, 5 }
      self.drop = nn.dropout { p = 0.5 }
    end
    function Net:forward(x)
      x = self.conv1(self.bn0(x)):relu6():avg_pool { kernel = 2 }
      local y = self.conv2(x)
      x = trit.add(trit.relu(self.bn(y)), self.conv3(y)) -- y is used twice
      x = trit.add(x, x):hardtanh { min = -3, max = 3 }
      x = trit.max_pool(x, { kernel = 3, stride = 1, padding = 1 })
      return self.fc2(self.drop(self.fc1(x:flatten()):relu()))
    end
    local net = stir(Net())
    check(net, { 3, 16, 16 })
    trit.quantize(net, { { ".*", trit.quant.twn {} } })
    check(net, { 3, 16, 16 })
  end)

  it("says in one sentence what it cannot pack", function()
    local net = trit.nn.sequential { trit.nn.conv2d { 3, 4, kernel = 1 }, trit.nn.lambda(trit.sigmoid),
      trit.nn.lambda(trit.global_avg_pool) }
    local ok, why = pcall(infer.export, net, { data = { shape = { 3, 8, 8 } } })
    assert.is_false(ok)
    assert.matches("test_infer.lua:%d+: export: op sigmoid cannot be packed; possible are add, ", why)
    assert.is_nil(trit.core.op_hook(nil)) -- nothing is left behind
    assert.is_true(trit.core.grad_enabled(true))
  end)

  it("sees a code that differs", function()
    local net = trit.models.small { classes = 7 }
    trit.quantize(net, { { ".*", trit.quant.twn {} } })
    local model = infer.export(net:eval(), { data = { shape = { 3, 16, 16 } } })
    local w, layer = net.conv2.weight, nil
    w:copy(w:neg():detach())
    local r = infer.compare_codes(model, net)
    for _, row in ipairs(r.layers) do if row.name == "conv2" then layer = row end end
    assert.is_true(r.differ > 100 and r.differ == layer.differ)
  end)

  it("refuses inputs of another shape and closed models", function()
    local model = infer.export(trit.models.small { classes = 7 }, { data = { shape = { 3, 16, 16 } } })
    local runner = model:runner()
    assert.error_matches(function() runner:run(trit.zeros { 1, 3, 8, 8 }) end,
      "input is f32%[1,3,8,8%], but the model takes %[N,3,16,16%]")
    assert.error_matches(function() model:runner { bits = 5 } end, "5 bits")
    runner:close()
    assert.error_matches(function() runner:run(trit.zeros { 1, 3, 16, 16 }) end, "the runner is closed")
    model:close()
    assert.error_matches(function() model:runner() end, "the model is closed")
  end)
end)

describe("golden codes times activations", function()
  local golden = require "tests.lua.golden"
  local core = trit.core

  --- One output channel whose weights are `codes` (a flat list), and a runner of it.
  local function dot_model(codes)
    local one = core.tensor { 1 }
    local node = { kind = "conv", name = "dot", K = 1, scales = 1, planes = { {
      codes = core.tensor(codes):reshape { shape = { 1, #codes, 1, 1 } }, scale = one } } }
    return core.model_encode { name = "dot", C = #codes, H = 1, W = 1, mean = { 0, 0, 0 },
      std = { 1, 1, 1 }, class_names = { "sum" }, nodes = { node } }
  end

  local function flat(f, at) return f:read(at):totable() end

  it("are the reference's", function()
    local f, why = golden.open("pack.h5")
    if not f then return pending(why) end
    local seen = 0
    for _, name in ipairs(f:list("")) do
      if f:attr(name, "kind") == "dot" then
        seen = seen + 1
        local codes = flat(f, name .. "/in/codes")
        local model = dot_model(codes)
        local runner = model:runner()
        local has = {}
        for _, input in ipairs(f:list(name .. "/in")) do has[input] = true end
        for _, kind in ipairs { "i8", "u8", "f32" } do
          if not has["x_" .. kind] then goto continue end
          local x = f:read(name .. "/in/x_" .. kind):reshape { shape = { 1, #codes, 1, 1 } }
          local want = flat(f, name .. "/out/dot_" .. kind)[1]
          local got = runner:run(x):item()
          local allowed = kind == "f32" and 1e-5 * math.max(1, x:abs():sum():item()) or 0
          assert.is_true(math.abs(got - want) <= allowed, ("%s %s: %g, expected %g"):format(name, kind, got,
            want))
          ::continue::
        end
      end
    end
    assert.is_true(seen > 10)
  end)
end)

local SCRIPT = [[
local trit = require "trit"
local data = trit.data.open("shapes10:train=64,test=32", { batch = 32, seed = 1 })
local net = trit.models.resnet8 { classes = data.classes, seed = 1 }
trit.quantize(net, { { ".*", trit.quant.tga { init = 0.1 } } })
local r = trit.train { model = net, data = data, epochs = 1, lr_th = 0.001,
  optimizer = trit.optim.sgd(net:parameters(), { lr = 0.05 }) }
trit.checkpoint.save(r.dir, { tensors = net:state_dict() })]]

describe("the commands for packed models", function()
  local dir = os.tmpname()
  local run, model, photo = dir .. "/run", dir .. "/net.trit", nil
  local DATA = "shapes10:train=64,test=32"

  setup(function()
    os.remove(dir)
    assert(lfs.mkdir(dir))
    local file = assert(io.open(dir .. "/script.lua", "w"))
    file:write(SCRIPT)
    file:close()
    assert.equal(0, (command("run", dir .. "/script.lua", "--out", run, "--quiet")))
    trit.data.make("shapes10", dir .. "/photos", { train = 10, test = 10, size = 48 })
    photo = dir .. "/photos/test/disc/" .. (function()
      for name in lfs.dir(dir .. "/photos/test/disc") do if name:match("jpg$") then return name end end
    end)()
  end)
  teardown(function() os.execute("rm -rf " .. quote(dir)) end)

  it("export, verify, eval and predict agree with the network", function()
    local code, out, err = command("export", run, "-o", model)
    assert.equal("0", tostring(code) .. err)
    assert.matches("resnet8, 74800 weights %(74800 ternary%)", out)
    code, out = command("verify", model, run)
    assert.equal(0, code)
    assert.matches("^0 of 74800 codes differ\nlargest logit difference", out)
    code, out = command("verify", model, run, "--data", DATA, "--json")
    assert.equal(0, code)
    local report = assert(trit.core and require("trit.json").decode(out))
    assert.equal(report.logits.top1.net, report.logits.top1.model)
    assert.equal(1, report.logits.agree)
    assert.equal(32, report.logits.count)
    code, out = command("eval", model, "--data", DATA, "--json")
    assert.equal(0, code)
    assert.equal(8, require("trit.json").decode(out).bits)
    code, out = command("eval", model, "--data", DATA, "--bits", "0", "--json")
    assert.equal(0, code)
    assert.equal(report.logits.top1.net, require("trit.json").decode(out).top1)
    code, out = command("predict", model, photo, photo, "--top", "3", "--json")
    assert.equal(0, code)
    local list = require("trit.json").decode(out)
    assert.equal(2, #list)
    assert.equal(3, #list[1].top)
    assert.is_true(list[1].top[1].probability >= list[1].top[2].probability)
  end)

  it("integer activations cost little and are the same on every instruction set", function()
    local seen
    for _, isa in ipairs { "generic", "avx2", "avx512" } do
      if pcall(trit.core.isa_force, isa) then
        local packed = assert(infer.open(model))
        local y = packed:runner { bits = 8, batch = 2 }:run(trit.randn({ 3, 3, 32, 32 }, { seed = 1 }))
        seen = seen or y
        assert.equal(3 * 10, trit.eq(seen, y):sum():item())
      end
    end
    local code, out = command("eval", model, "--data", DATA, "--bits", "7", "--json")
    assert.equal(0, code)
    assert.matches("^u8 ", require("trit.json").decode(out).kernels)
  end)

  it("trit bench infer and linear give figures with residuals", function()
    local code, out = command("bench", "infer", "--model", "resnet8", "--size", "16", "--bits", "0,8",
      "--seconds", "0.02", "--json")
    assert.equal(0, code)
    local rows = require("trit.json").decode(out).rows
    assert.equal(3, #rows)
    assert.is_true(rows[2].residual < 1e-5 and rows[3].residual < 0.1 and rows[3].median > 0)
    code, out = command("bench", "linear", "--rows", "70", "--columns", "90", "--seconds", "0.02", "--json")
    assert.equal(0, code)
    assert.is_true(require("trit.json").decode(out).results[2].residual < 0.05)
    local peer = "echo me; while read x; do echo 0.001; done"
    code, out = command("bench", "infer", "--model", "resnet8", "--size", "16", "--bits", "0", "--seconds",
      "0.02", "--no-graph", "--peer", peer, "--peer", peer, "--json")
    assert.equal(0, code)
    assert.equal(0.001, require("trit.json").decode(out).rows[3].median)
    for _, bad in ipairs { "false", "echo me" } do
      local status, _, err = command("bench", "infer", "--model", "resnet8", "--size", "16", "--bits", "0",
        "--seconds", "0.02", "--no-graph", "--peer", peer, "--peer", bad)
      assert.equal(1, status)
      assert.matches("peer '" .. bad .. "' ended", err)
    end
  end)

  it("export and import carry a network through safetensors", function()
    local file, again = dir .. "/net.safetensors", dir .. "/again.trit"
    local code, out, err = command("export", run, "-o", file)
    assert.equal("0", tostring(code) .. err)
    assert.matches("net.safetensors: safetensors, %d+ bytes\n$", out)
    code, out, err = command("import", file, "-o", again, "--data", DATA)
    assert.equal("0", tostring(code) .. err)
    assert.matches("resnet8, 74800 weights %(74800 ternary%)", out)
    code, out = command("verify", again, run)
    assert.equal(0, code)
    assert.matches("^0 of 74800 codes differ", out)
    local _, a = command("eval", model, "--data", DATA, "--bits", "0", "--json")
    local _, b = command("eval", again, "--data", DATA, "--bits", "0", "--json")
    local json = require "trit.json"
    assert.equal(json.decode(a).loss, json.decode(b).loss)
  end)

  it("export writes the weights in use, and import takes them by name", function()
    local file, again, plain = dir .. "/used.safetensors", dir .. "/used.trit", dir .. "/plain.safetensors"
    assert.equal(0, (command("export", run, "-o", file, "--weights", "effective")))
    local tensors, net = trit.safetensors.load(file), assert(require("trit.trained").load(run))
    local q = net.layer1["0"].conv1.quantizer
    trit.no_grad(function()
      assert.is_true(tensors["layer1.0.conv1.weight"]:equal(q(net.layer1["0"].conv1.weight)))
    end)
    for name in pairs(tensors) do assert.is_nil(name:find("quantizer", 1, true)) end
    assert(trit.safetensors.save(plain, tensors)) -- nothing that says what it is
    local code, out, err = command("import", plain, "-o", again, "--model", "resnet8", "--size", "32",
      "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25")
    assert.equal("0", tostring(code) .. err)
    assert.matches("74800 weights %(0 ternary%)", out)
    local x = trit.randn({ 2, 3, 32, 32 }, { seed = 1 })
    local packed = assert(infer.open(again))
    assert.same({ 0.5, 0.5, 0.5 }, packed:facts().mean)
    local y = trit.no_grad(function() return net(x) end)
    assert.is_true(packed:runner { batch = 2 }:run(x):max_difference(y) < 1e-4)
  end)

  it("export says what an ending it does not know becomes", function()
    local code, _, err = command("export", run, "-o", dir .. "/net.foo")
    assert.equal(0, code)
    assert.matches("%.foo is the ending of no format: it becomes a packed model", err)
    assert(infer.open(dir .. "/net.foo"))
  end)

  it("export writes ONNX", function()
    if not trit.core.onnx_model(8, 17, "x") then return pending("built without protobuf-c") end
    local sizes = {}
    for _, form in ipairs { "int2", "int8", "float" } do
      local code, _, err = command("export", run, "-o", dir .. "/net.onnx", "--weights", form)
      assert.equal("0", tostring(code) .. err)
      sizes[form] = lfs.attributes(dir .. "/net.onnx", "size")
    end
    assert.is_true(sizes.int2 < sizes.int8 and sizes.int8 < sizes.float)
    assert.equal(0, (command("export", run, "-o", dir .. "/net.file", "--format", "onnx")))
    assert.equal(sizes.int2, lfs.attributes(dir .. "/net.file", "size"))
  end)

  it("the C example says what trit predict says", function()
    local program = build .. "/tests/classify"
    if not lfs.attributes(program) then return pending("no " .. program) end
    local code, out, err = shell(("%s %s %s"):format(quote(program), quote(model), quote(photo)))
    assert.equal("0", tostring(code) .. err)
    local _, said = command("predict", model, photo, "--bits", "0", "--top", "5", "--json")
    local top, lines = require("trit.json").decode(said)[1].top, {}
    for _, t in ipairs(top) do lines[#lines + 1] = ("%5.1f %%  %s\n"):format(100 * t.probability, t.class) end
    assert.equal(table.concat(lines), out)
    code, _, err = shell(("%s %s %s"):format(quote(program), quote(photo), quote(photo)))
    assert.equal(1, code)
    assert.matches("classify: .*: not a packed model", err)
  end)

  it("refuse what they cannot use in one sentence", function()
    local bare, to = dir .. "/plain.safetensors", dir .. "/m.trit"
    local cases = {
      { 1, "cannot open: No such file", "eval", dir .. "/nothing.trit", "--data", DATA },
      { 1, "not a packed model", "predict", photo, photo },
      { 1, "no run at", "export", dir .. "/nothing", "-o", model },
      { 2, "give %-o FILE", "export", run },
      { 2, "give %-%-data", "eval", model },
      { 1, "neither JPEG nor PNG", "predict", model, model },
      { 1, "No such file or directory", "export", run, "-o", dir .. "/no/where.trit" },
      { 1, "no such file or directory", "export", run, "-o", dir .. "/no/where.safetensors" },
      { 2, "int8 does not go with the format trit", "export", run, "-o", to, "--weights", "int8" },
      { 1, "No such file", "import", dir .. "/nothing", "-o", to },
      { 1, "photo.*but the file has %d+: no safetensors", "import", photo, "-o", to, "--model", "resnet8" },
      { 1, "is a packed model already", "import", model, "-o", to },
      { 2, "give %-%-model", "import", bare, "-o", to },
      { 1, "unknown model \"resnet9\"", "import", bare, "-o", to, "--model", "resnet9" },
      { 1, "is it a vgg7%?", "import", bare, "-o", to, "--model", "vgg7" },
      { 1, "is missing", "import", bare, "-o", to, "--model", "resnet14" },
      { 2, "2 numbers for 3 channels", "import", bare, "-o", to, "--model", "resnet8", "--mean", "1,2" },
    }
    for _, case in ipairs(cases) do
      local code, _, err = command(table.unpack(case, 3))
      assert.equal(case[1], code, table.concat(case, " "))
      assert.matches(case[2], err)
      assert.equal(1, select(2, err:gsub("\n", "")), err)
    end
  end)

  it("verify fails when the run has moved on", function()
    local net = assert(require("trit.trained").load(run))
    for _, m in net:quantizable() do m.weight:copy(m.weight:neg():detach()) end
    trit.checkpoint.save(run, { tensors = net:state_dict() })
    local code, out = command("verify", model, run)
    assert.equal(1, code)
    assert.matches("\n  layer1%.0%.conv1: %d+ of 2304\n", out)
  end)
end)
