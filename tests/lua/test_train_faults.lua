-- tier: fast
-- Trainings that go wrong, accumulate, or freeze a part: what is left, said and recorded.
local trit = require "trit"
local steps = require "trit.steps"
local scratch = require "tests.lua.scratch"

local dir = scratch.dir "faults"

-- Options of a training of `small` for one epoch of two batches.
local function options(quantizer, more)
  local net = trit.models.small { seed = 1 }
  if quantizer then trit.quantize(net, { { ".*", quantizer } }) end
  local data = trit.data.open("shapes10:train=64,test=32,size=16", { batch = 32, seed = 3 })
  local o = { model = net, data = data,
    optimizer = trit.optim.sgd(net:parameters(), { lr = 0.01 }), epochs = 1, quiet = true, log = false }
  for k, v in pairs(more or {}) do o[k] = v end
  return o, net
end

-- The sentence, which starts at this file's line.
local function refused(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches("^[^\n]*test_train_faults%.lua:%d+: ", message)
  return message
end

local function open_run(path) return assert(trit.h5.open(path .. "/run.h5")) end

describe("a training that fails", function()
  it("leaves a failed run file and names the layer when a weight is not finite", function()
    local o, net = options(trit.quant.tga {}, { out = dir .. "/nan", log = true, lr_th = 0.001 })
    o.hooks = { step = function() net.conv2.weight:set(1, 1, 1, 1, 0 / 0) end }
    local ok, message = pcall(trit.train, o)
    assert.is_false(ok)
    assert.matches("conv2%.weight: tga: weights must be finite", message)
    local f <close> = open_run(dir .. "/nan")
    assert.are.equal("failed", f:attr("", "status"))
    assert.matches("conv2%.weight: tga: weights must be finite", f:attr("", "status_message"))
  end)

  it("names the parameter that made the loss NaN", function()
    local o, net = options(nil)
    net.fc1.bias:set(1, 0 / 0)
    local ok, message = pcall(trit.train, o)
    assert.is_false(ok)
    assert.matches("train: the loss is %-?nan at epoch 1, step 1; fc1.bias is not finite; learning rate 0.01",
      message)
  end)

  it("says why it cannot have a run file", function()
    local file = assert(io.open(dir .. "/file", "w"))
    file:close()
    local message = refused(trit.train, (options(nil, { out = dir .. "/file/run", log = true })))
    assert.matches("train: .*file/run", message)
  end)

  it("does not share a directory with another run", function()
    local other <close> = assert(trit.runlog.create(dir .. "/shared"))
    local message = refused(trit.train, (options(nil, { out = dir .. "/shared", log = true })))
    assert.matches("train: .*is being written by process", message)
    other:finish("complete")
  end)
end)

local function loss(z, y) return trit.cross_entropy(z, y) end

-- Weights and thresholds of a linear layer after `rounds` passes over eight samples, in `parts` batches.
local function after(mode, parts, rounds)
  local net = trit.nn.sequential { trit.nn.linear { 8, 4, seed = 3 } }
  trit.quantize(net, { { ".*", trit.quant.tga {} } })
  local step = steps.new { model = net, loss = loss, mode = mode, accumulate = parts,
    optimizer = trit.optim.sgd(net:parameters(), { lr = 0.1, momentum = 0.9 }),
    threshold_optimizer = trit.optim.sgd(net:thresholds(), { lr = 0.1 }) }
  local x, y, n = trit.randn({ 8, 8 }, { seed = 5 }), { 1, 2, 3, 4, 1, 2, 3, 4 }, 8 // parts
  for _ = 1, rounds do
    for k = 0, parts - 1 do
      step(x:slice { start = { k * n, 0 }, stop = { (k + 1) * n, 8 } },
        trit.tensor { table.unpack(y, k * n + 1, (k + 1) * n) })
    end
  end
  return net:state_dict()
end

describe("accumulated steps", function()
  for _, mode in ipairs { "sequential", "joint", "alternate" } do
    it("equal one step on the whole batch in the schedule " .. mode, function()
      local fresh, whole = after(mode, 1, 0), after(mode, 1, 4)
      for _, parts in ipairs { 2, 4 } do
        for name, t in pairs(after(mode, parts, 4)) do
          assert.is_true(t:max_difference(whole[name]) < 2e-7, ("%s, %d parts"):format(name, parts))
          assert.is_true(t:max_difference(fresh[name]) > 1e-5, name .. " has not moved")
        end
      end
    end)
  end
end)

describe("the sequential schedule", function()
  local weight, mode = require "trit.nn.weight", require "trit.nn.mode"

  local function layer()
    local net = trit.nn.sequential { trit.nn.linear { 8, 4, seed = 3 } }
    trit.quantize(net, { { ".*", trit.quant.tga { granularity = "filter" } } })
    return net, trit.optim.sgd(net:parameters(), { lr = 0.1 }), trit.optim.sgd(net:thresholds(), { lr = 0.1 })
  end

  local function by_hand(rounds, x, y)
    local net, optimizer, thresholds = layer()
    for _ = 1, rounds do
      weight.mode.scale_only = true
      do
        local guard <close> = mode.frozen(net:parameters()) -- luacheck: ignore
        loss(net(x), y):backward()
      end
      weight.mode.scale_only = false
      thresholds:step()
      net:zero_grad()
      loss(net(x), y):backward()
      optimizer:step()
      net:zero_grad()
    end
    return net:state_dict()
  end

  it("takes the weights' statistics once, and equals two passes that take them twice", function()
    local x, y = trit.randn({ 8, 8 }, { seed = 5 }), trit.tensor { 1, 2, 3, 4, 1, 2, 3, 4 }
    local net, optimizer, thresholds = layer()
    local step = steps.new { model = net, loss = loss, mode = "sequential", optimizer = optimizer,
      threshold_optimizer = thresholds }
    local q, promised = net["0"].quantizer, {}
    local handle = q.handle
    q.handle = setmetatable({ phase = function(_, training, progress, salt, same)
      promised[#promised + 1] = same == true
      handle:phase(training, progress, salt, same)
    end }, { __index = function(_, name) return function(_, ...) return handle[name](handle, ...) end end })
    for _ = 1, 3 do step(x, y) end
    assert.are.same({ false, true, false, true, false, true }, promised)
    for name, t in pairs(by_hand(3, x, y)) do assert.is_true(t:equal(net:state_dict()[name]), name) end
  end)

  it("keeps no promise after an error", function()
    local net, optimizer, thresholds = layer()
    local calls = 0
    local step = steps.new { model = net, mode = "sequential", optimizer = optimizer,
      threshold_optimizer = thresholds, loss = function(z, y)
        calls = calls + 1
        if calls == 2 then error("mine") end
        return loss(z, y)
      end }
    assert.is_false(pcall(step, trit.randn { 8, 8 }, trit.tensor { 1, 2, 3, 4, 1, 2, 3, 4 }))
    assert.are.equal(2, calls)
    assert.is_false(weight.mode.same_weights)
  end)
end)

describe("a frozen parameter", function()
  it("stays where it is when thresholds are trained", function()
    local o, net = options(trit.quant.tga {}, { lr_th = 0.001 })
    net.conv1.weight:requires_grad(false)
    local before, other = net.conv1.weight:clone(), net.conv2.weight:clone()
    trit.train(o)
    assert.is_false(net.conv1.weight:requires_grad())
    assert.is_true(net.conv2.weight:requires_grad())
    assert.is_true(net.conv1.weight:equal(before))
    assert.is_false(net.conv2.weight:equal(other))
  end)
end)

describe("trit.evaluate", function()
  it("gives back gradients and every module's mode, after an error too", function()
    local net = trit.models.resnet8 {}
    net.bn1:eval()
    assert.is_false(pcall(trit.evaluate, net, function() error("mine") end))
    assert.is_true(trit.core.grad_enabled())
    assert.is_true(net.training and net.layer1.training)
    assert.is_false(net.bn1.training)
    trit.evaluate(net, function() end)
    assert.is_true(net.layer1.training)
    assert.is_false(net.bn1.training)
  end)
end)

describe("the run file of a training", function()
  it("holds where the cuts are", function()
    local o, net = options(nil, { out = dir .. "/shift", log = true, lr_th = 0 })
    net.conv1.weight:copy(net.conv1.weight + 0.2)
    trit.quantize(net, { { "conv1", trit.quant.tga {} } })
    o.optimizer = trit.optim.sgd(net:parameters(), { lr = 0 })
    trit.train(o)
    local f <close> = open_run(dir .. "/shift")
    local center = f:read_numbers("layers/conv1.weight/center")
    assert.is_true(math.abs(center[#center] - net.conv1.weight:mean():item()) < 1e-6)
  end)

  it("holds every filter's and every term's threshold, and the layer's mean and deviation", function()
    local cases = { filter = { granularity = "filter" }, terms = { n_thresholds = 4 } }
    for name, option in pairs(cases) do
      local o, net = options(trit.quant.tga(option), { out = dir .. "/" .. name, log = true, lr_th = 0 })
      o.optimizer = trit.optim.sgd(net:parameters(), { lr = 0 })
      trit.train(o)
      local f <close> = open_run(dir .. "/" .. name)
      local group, stats = "layers/conv2.weight/", net.conv2.quantizer:stats(net.conv2.weight)
      local all, sum = f:read_numbers(group .. "threshold_all"), 0
      assert.are.equal(name == "filter" and 12 or 4, all.shape[2])
      for i = 1, all.shape[2] do
        local row = name == "filter" and stats[i] or stats[1].terms[i]
        assert.is_true(math.abs(all[i] - row.delta) < 1e-6)
        sum = sum + row.delta
      end
      assert.is_true(math.abs(f:read_numbers(group .. "threshold")[1] - sum / all.shape[2]) < 1e-6)
      assert.are.equal(all.shape[2], f:shape(group .. "scale_all")[2])
      local w = trit.stats.weights(net.conv2.weight, { edges = { -1, 0, 1 } })
      assert.is_true(math.abs(f:read_numbers(group .. "mu")[1] - w.mean) < 1e-6)
      assert.is_true(math.abs(f:read_numbers(group .. "sigma")[1] - w.std) < 1e-6)
    end
  end)

  it("holds every option of the training, the data's checksum and the script", function()
    local o = options(trit.quant.tga {}, { out = dir .. "/config", log = true, lr_th = 0.003, clip_norm = 5,
      accumulate = 2, label_smoothing = 0.1, bn_first_pass = "freeze", max_steps = 2, histogram_every = 1,
      schedule = trit.schedule.warmup { epochs = 1, after = trit.schedule.cosine { epochs = 4 } } })
    local context = require "trit.context"
    local before = context.script
    context.script = debug.getinfo(1, "S").source:sub(2)
    trit.train(o)
    context.script = before
    local f <close> = open_run(dir .. "/config")
    local config = assert(require("trit.json").decode(f:read_strings("config")[1]))
    assert.are.equal(5, config.clip_norm)
    assert.are.equal(2, config.accumulate)
    assert.are.equal(0.1, config.label_smoothing)
    assert.are.equal("freeze", config.bn_first_pass)
    assert.are.equal(2, config.max_steps)
    assert.are.equal(1, config.histogram_every)
    assert.are.equal("warmup", config.schedule.schedule)
    assert.are.equal(4, config.schedule.options.after.options.epochs)
    assert.are.equal(0.003, config.threshold_optimizer.groups[1].options.lr)
    assert.are.equal(o.data:checksum(), config.data_checksum)
    assert.are.equal(3, config.data_options.seed)
    assert.are.equal("shapes10:train=64,test=32,size=16", config.data_spec)
    assert.matches("holds every option of the training", f:read_strings("script")[1])
  end)
end)

describe("trit.train refuses", function()
  local cases = {
    { "bn_first_pass is \"freez\" but must be one of freeze, update", { bn_first_pass = "freez" } },
    { "schedule_mode is \"sequental\" but must be one of alternate, joint, sequential",
      { schedule_mode = "sequental" } },
    { "accumulate must be a whole number >= 1, got 0", { accumulate = 0 } },
    { "epochs must be a whole number >= 1, got 0", { epochs = 0 } },
    { "epochs must be a whole number >= 1, got 3x", { epochs = "3x" } },
    { "clip_norm must be a number > 0, got -1", { clip_norm = -1 } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local message = refused(trit.train, (options(nil, case[2])))
      assert.is_truthy(message:find("train: option " .. case[1], 1, true), message)
    end)
  end

  it("data that give no batch", function()
    local o = options(nil)
    o.data = trit.data.open("shapes10:train=64,test=32,size=16", { batch = 128, drop_last = true })
    local message = refused(trit.train, o)
    assert.is_truthy(message:find("train: the data give no training batch: 64 images, batches of 128", 1,
      true), message)
  end)

  it("an optimizer that does not hold a quantizer's parameters", function()
    local o, net = options(nil)
    trit.quantize(net, { { "conv", trit.quant.ttq {} } })
    local message = refused(trit.train, o)
    assert.is_truthy(message:find("train: the optimizer lacks conv1.quantizer.wn, conv1.quantizer.wp, "
      .. "conv2.quantizer.wn, conv2.quantizer.wp", 1, true), message)
    net.conv1:set_quantizer(nil)
    for _, p in pairs(net.conv2.quantizer:parameters()) do p:requires_grad(false) end
    trit.train(o) -- nothing is left that it should train
  end)
end)

teardown(function() scratch.remove(dir) end)
