-- tier: fast
-- A trained net back from its run directory, and the threshold scan.
local trit = require "trit"
local json = require "trit.json"
local scan = require "trit.scan"

local source = os.getenv("TRIT_SOURCE") or "."
local SET = "shapes10:train=128,test=96"
local dir

local function command(text)
  local pipe = io.popen(("LC_ALL=C COLUMNS=100 lua5.4 '%s/lua/trit/cli/main.lua' %s 2>&1; echo \"exit $?\"")
    :format(source, text))
  local all = pipe:read("a")
  pipe:close()
  local output, status = all:match("^(.*)exit (%d+)\n$")
  return output, tonumber(status)
end

--- Two steps of training, enough for weights, statistics and thresholds of their own.
local function train(name, rules, options)
  local data = trit.data.open(SET, { batch = 64, seed = 1 })
  local net = trit.models.resnet8 { classes = data.classes, seed = 3, width = 8 }
  if rules then trit.quantize(net, rules) end
  local result = trit.train { model = net, data = data, epochs = 1, lr_th = 0.01, quiet = true,
    optimizer = trit.optim.sgd(net:parameters(), { lr = 0.05, momentum = 0.9 }), out = dir .. "/" .. name }
  local tensors = {}
  local prefix = options and options.prefix or ""
  for key, tensor in pairs(net:state_dict()) do tensors[prefix .. key] = tensor end
  if options and options.extra then tensors[options.extra] = trit.zeros { 3 } end
  assert(trit.checkpoint.save(result.dir, { tensors = tensors, meta = {} }))
  return net:eval(), data, result.dir
end

local function logits(net, data)
  local x = data:test()()
  return trit.no_grad(function() return net(x) end):totable()
end

describe("a trained net", function()
  setup(function()
    dir = os.tmpname()
    os.remove(dir)
  end)
  teardown(function() os.execute("rm -rf '" .. dir .. "'") end)

  local cases = {
    float = {}, tga = { { { ".*", trit.quant.tga { init = 0.2 } } } },
    mixed = { { { "^conv1%.", false }, { "^fc", trit.quant.ttq {} },
      { ".*", trit.quant.twn { delta = 0.5 } } } },
    prefixed = { { { ".*", trit.quant.tga { granularity = "filter", center = "zero" } } },
      { prefix = "net/", extra = "optimizer/momentum/fc.bias" } },
  }
  for name, case in pairs(cases) do
    it("comes back from its run directory to the bit: " .. name, function()
      local net, data, path = train(name, case[1], case[2])
      local again, config, dataset = trit.trained.load(path)
      assert(again, config)
      assert.equal("resnet8", config.model)
      assert.equal(SET, dataset.spec)
      assert.is_false(again.training)
      local reopened = trit.trained.open(dataset, { batch = 64 })
      assert.same(data.mean, reopened.mean)
      assert.same(logits(net, data), logits(again, reopened))
    end)
  end

  it("comes back with quantized activations and as far in its quantizers' schedules", function()
    local data = trit.data.open(SET, { batch = 64, seed = 1 })
    local net = trit.quantize(trit.models.small { seed = 2 }, { { "^conv1", trit.quant.rpr { draws = 4 } },
      { ".*", trit.quant.twn {} } })
    trit.quantize_activations(net, { { "^conv1", false }, { ".*", trit.act.dorefa { bits = 2 } } })
    trit.schemes.delay(net, { pattern = "^fc1", share = 0.2 })
    trit.schemes.delay(net, { pattern = "^fc2", share = 0.9 })
    local path = dir .. "/scheduled"
    trit.train { model = net, data = data, epochs = 1, quiet = true, out = path,
      optimizer = trit.optim.sgd(net:parameters(), { lr = 0.05 }),
      schedule = trit.schemes.follow(net, trit.schedule.constant {}, 1) }
    local again, why, dataset = trit.trained.load(path)
    assert(again, why)
    net:eval()
    assert.is_true(net.fc1.quantizer.woken and not net.fc2.quantizer.woken)
    assert.is_true(again.conv1.quantizer.progress == 0.5)
    local reopened = trit.trained.open(dataset, { batch = 64 })
    assert.same(logits(net, data), logits(again, reopened))
    assert(trit.checkpoint.save(path, { tensors = net:state_dict() })) -- of a script: only the tensors
    again, why = trit.trained.load(path)
    assert(again, why)
    assert.is_true(again.fc1.quantizer.woken and not again.fc2.quantizer.woken)
  end)

  it("comes back with the rectifiers that signs of activations need", function()
    local data = trit.data.open(SET, { batch = 64, seed = 1 })
    local net = trit.quantize_activations(trit.models.small { seed = 2 },
      { { "^conv1", false }, { ".*", trit.act.bnn {} } })
    local path = dir .. "/signed"
    trit.train { model = net, data = data, epochs = 1, quiet = true, out = path,
      optimizer = trit.optim.sgd(net:parameters(), { lr = 0.05 }) }
    local again, why, dataset = trit.trained.load(path)
    assert(again, why)
    net:eval()
    local reopened = trit.trained.open(dataset, { batch = 64 })
    assert.same(logits(net, data), logits(again, reopened))
  end)

  it("comes back from a run that stored a description only", function()
    local data = trit.data.open(SET, { batch = 64 })
    local net = trit.models.small { classes = 7, channels = 3, seed = 2 }
    local config = { model = "small", layers = {}, data = data:describe() }
    for name in net:quantizable() do
      config.layers[#config.layers + 1] = { name = name, quantizer = "float" }
    end
    local path = dir .. "/told"
    local log = assert(trit.runlog.create(path, { config = config }))
    log:finish("complete")
    assert(trit.checkpoint.save(path, { tensors = net:state_dict() }))
    local again, why, dataset = trit.trained.load(path)
    assert(again, why)
    assert.same(logits(net:eval(), data), logits(again, trit.trained.open(dataset, { batch = 64 })))
  end)

  it("is refused with a sentence when something is missing", function()
    local log = assert(trit.runlog.create(dir .. "/own", { config = { model = "mine" } }))
    log:finish("complete")
    local net, why = trit.trained.load(dir .. "/own")
    assert.is_nil(net)
    assert.matches("checkpoint: none in", why)
    assert(trit.checkpoint.save(dir .. "/own", { tensors = {} }))
    net, why = trit.trained.load(dir .. "/own")
    assert.is_nil(net)
    assert.matches('own\': its network "mine" is not one of trit%.models', why)
    log = assert(trit.runlog.create(dir .. "/none", { config = { model = "resnet8", model_options = {} } }))
    log:finish("complete")
    assert(trit.checkpoint.save(dir .. "/none", { tensors = { ["conv9.weight"] = trit.zeros { 2 } } }))
    assert.matches('"conv9%.weight" is not a tensor of this model',
      select(2, trit.trained.load(dir .. "/none")))
    log = assert(trit.runlog.create(dir .. "/lua", { config = { model = "resnet8", model_options = {},
      layers = { { name = "conv1.weight", quantizer = "dreamt" } } } }))
    log:finish("complete")
    assert(trit.checkpoint.save(dir .. "/lua", { tensors = {} }))
    assert.matches("quantizer \"dreamt\", which is not defined here",
      select(2, trit.trained.load(dir .. "/lua")))
    assert.matches("no run at", select(2, trit.trained.load(dir .. "/nowhere")))
  end)

  it("with a quantizer that is not defined here is scanned by a rule, its layers as float", function()
    local data = trit.data.open(SET, { batch = 64 })
    local net = trit.models.small { classes = 10, channels = 3, seed = 2 }
    local state, layers = net:state_dict(), {}
    for name in net:quantizable() do
      layers[#layers + 1] = { name = name, quantizer = name == "conv1.weight" and "dreamt" or "float" }
    end
    state["conv1.quantizer.depth"] = trit.zeros { 2 }
    local log = assert(trit.runlog.create(dir .. "/dreamt", { config = { model = "small", layers = layers,
      data = data:describe() } }))
    log:finish("complete")
    assert(trit.checkpoint.save(dir .. "/dreamt", { tensors = state,
      meta = { counters = { ["conv1.quantizer"] = { progress = 0.5 } } } }))
    local text, status = command(("scan '%s/dreamt' --delta 1 --quiet"):format(dir))
    assert.equal(1, status)
    assert.matches("not defined here; .*trit scan %-%-scale twn", text)
    text, status = command(("scan '%s/dreamt' --delta 1 --quiet --scale twn"):format(dir))
    assert.equal(0, status, text)
    assert.matches("^trit scan: conv1%.weight %(dreamt, not defined here%) is taken as float\n", text)
    local again, config = trit.trained.load(dir .. "/dreamt", { unknown = "float" })
    assert(again, config)
    assert.equal("dreamt", config.layers[1].quantizer)
    assert.same(logits(net:eval(), data), logits(again, data))
  end)
end)

describe("the threshold scan", function()
  local float, tga, data, float_dir, tga_dir
  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    float, data, float_dir = train("float")
    tga, data, tga_dir = train("tga", { { ".*", trit.quant.tga { init = 0.2 } } })
  end)
  teardown(function() os.execute("rm -rf '" .. dir .. "'") end)

  it("gives the trained net at the trained threshold", function()
    local layers = scan.layers(tga, "layer3.0.conv2")
    assert.equal(1, #layers)
    local r = scan.run { net = tga, data = data, pattern = "layer3.0.conv2",
      deltas = { layers[1].trained_delta }, unit = "weight" }
    assert.equal(r.trained.loss, r.points[1].loss)
    assert.equal(r.trained.top1, r.points[1].top1)
    assert.equal(layers[1].trained_zeros, r.points[1].zeros)
    assert.equal("tga", r.layers[1].rule)
  end)

  it("takes batch-norm statistics without a change to the layers it does not scan", function()
    local net = trit.models.resnet8 { classes = data.classes, seed = 3, width = 8 }
    trit.quantize(net, { { "^layer1", trit.quant.lqnets {} }, { "^layer2", trit.quant.uniq {} },
      { "^layer3", trit.quant.twn {} } })
    local before = {}
    for name, t in pairs(net:state_dict()) do before[name] = t:clone() end
    scan.run { net = net, data = data, pattern = "^layer3", deltas = { 0.5 }, batch_norm = 2 }
    for name, t in pairs(net:state_dict()) do assert.is_true(t:equal(before[name]), name) end
  end)

  it("is the quantizer's own result for a float net", function()
    local name, module
    for n, m in float:quantizable() do
      if n == "layer2.0.conv1.weight" then name, module = n, m end
    end
    local cut = 0.7 * module.weight:abs():mean():item()
    local r = scan.run { net = float, data = data, pattern = name, deltas = { cut }, unit = "weight",
      scale = "twn" }
    module:set_quantizer(trit.quant.twn {})
    local want = trit.evaluate(float, data:test())
    module:set_quantizer(nil)
    assert.near(want.loss, r.points[1].loss, 1e-6)
    assert.equal(want.top1, r.points[1].top1)
    assert.equal(cut, r.points[1].cut)
  end)

  it("goes from no zeros to all zeros, in sigma of each layer", function()
    local r = scan.run { net = float, data = data, deltas = { 0, 0.5, 1, 100 } }
    local zeros = {}
    for i, p in ipairs(r.points) do zeros[i] = p.zeros end
    assert.equal(0, zeros[1])
    assert.near(0.383, zeros[2], 0.02) -- P(|N| < 0.5)
    assert.near(0.683, zeros[3], 0.02)
    assert.equal(1, zeros[4])
    assert.equal(32, r.trained.bits)
    assert.is_true(r.points[1].bits < 3)
  end)

  it("leaves the net as it was", function()
    local before = logits(tga, data)
    local quantizer = tga.conv1.quantizer
    local mean = tga.bn1.running_mean:totable()
    scan.run { net = tga, data = data, deltas = { 0.3 }, batch_norm = 2 }
    assert.equal(quantizer, tga.conv1.quantizer)
    assert.same(mean, tga.bn1.running_mean:totable())
    assert.equal(0.1, tga.bn1.momentum)
    assert.same(before, logits(tga, data))
  end)

  it("takes the batch-norm statistics anew when asked", function()
    local as_trained = scan.run { net = float, data = data, deltas = { 0.6 } }
    local renewed = scan.run { net = float, data = data, deltas = { 0.6 }, batch_norm = 2 }
    assert.equal(as_trained.points[1].zeros, renewed.points[1].zeros)
    assert.are_not.equal(as_trained.points[1].loss, renewed.points[1].loss)
    assert.equal(as_trained.trained.loss, renewed.trained.loss)
  end)

  it("scans every layer on its own", function()
    local r = scan.run { net = tga, data = data, pattern = "layer1", deltas = { 0.2, 0.9 }, each = true }
    assert.equal(4, #r.points)
    assert.equal("layer1.0.conv1.weight", r.points[1].layer)
    assert.equal("layer1.0.conv2.weight", r.points[4].layer)
    assert.is_true(r.points[2].zeros > r.points[1].zeros)
  end)

  it("moves TTQ's zone and keeps its scales; refuses what has no single threshold", function()
    local net = trit.models.small { seed = 1 }
    trit.quantize(net, { { "fc1", trit.quant.tga { n_thresholds = "2" } }, { "fc2", trit.quant.wacv {} },
      { ".*", trit.quant.ttq {} } })
    local layer = scan.layers(net, "conv1")[1]
    local own = net.conv1.quantizer
    local q = layer.mover(layer, 1)
    q(net.conv1.weight)
    assert.same(own.wp:totable(), q.wp:totable())
    assert.near(layer.sigma, q:stats()[1].delta, 1e-6 * layer.sigma)
    assert.has_error(function() scan.layers(net, "fc1") end,
      "scan: layer 'fc1.weight': the threshold of tga cannot be moved, it has several thresholds; " ..
      "ask for the rule tga or twn instead")
    assert.equal("twn", scan.layers(net, "fc1", "twn")[1].rule)
    assert.equal("wacv", scan.layers(net, "fc2")[1].rule)
  end)

  it("prints a table, a plot and the layers", function()
    local text, status = command(("scan '%s' --delta 0:1:0.5 --quiet"):format(tga_dir))
    assert.equal(0, status, text)
    assert.matches("as trained: top%-1 [%d.]+ %%", text)
    assert.matches("layer3%.0%.conv2%.weight +tga +9216", text)
    assert.matches("\n +0%.5 +[%d.]+ +[%d.]+ %%", text)
    assert.matches("%* top%-1   o zeros", text)
    assert.is_nil(text:find("[\128-\255]"))
  end)

  it("gives JSON and CSV", function()
    local csv = dir .. "/scan.csv"
    local text, status = command(("scan '%s' --delta 0.4,0.8 --layer fc --json --csv '%s' --images 32")
      :format(float_dir, csv))
    assert.equal(0, status, text)
    local r = assert(json.decode(text))
    assert.equal(2, #r.points)
    assert.equal(32, r.points[1].images)
    assert.equal("fc.weight", r.layers[1].name)
    local rows = {}
    for line in io.lines(csv) do rows[#rows + 1] = line end
    assert.equal("layer,delta,cut,top1,top5,loss,images,zeros,net_zeros,bits\r", rows[1])
    assert.equal(3, #rows)
    assert.equal(r.points[2].loss, tonumber(rows[3]:match("^fc.weight,0%.8,[^,]+,[^,]+,[^,]+,([^,]+),")))
  end)

  it("takes ranges and lists of thresholds", function()
    local deltas = require("trit.cli.scan").deltas
    assert.same({ 0.0, 0.1, 0.2, 0.3 }, deltas "0:0.3:0.1")
    assert.equal(21, #deltas "0:2:0.1")
    assert.same({ 0.5 }, deltas "0.5:0.5:1")
    assert.same({ 1, 0.25 }, deltas "1,0.25")
  end)

  it("says what is wrong, with the exit status", function()
    for words, want in pairs {
      ["--delta 1:0:0.1"] = { 2, "B >= A" }, ["--delta 0:1:0"] = { 2, "STEP must be" },
      ["--delta x"] = { 2, "takes A:B:STEP or numbers" }, ["--delta 0:1e9:1"] = { 2, "the most are 10000" },
      [""] = { 2, "which thresholds" }, ["--delta=-1,2"] = { 2, "thresholds are >= 0" },
      ["--delta 1 --layer zzz"] = { 1, 'no layer matches "zzz"; there are: conv1.weight' },
      ["--delta 1 --data folder:/nowhere"] = { 1, "/nowhere" },
    } do
      local text, status = command(("scan '%s' %s --quiet"):format(float_dir, words))
      assert.equal(want[1], status, words .. ": " .. text)
      assert.is_truthy(text:find(want[2], 1, true), text)
    end
  end)
end)
