-- tier: fast
-- The training loop: what it returns, what it leaves, and how it fails.
local trit = require "trit"
local scratch = require "tests.lua.scratch"

local dir = scratch.dir "train"

local SPEC = "shapes10:train=160,test=40,size=16"

local function data() return trit.data.open(SPEC, { batch = 40, seed = 1 }) end

local function options(o)
  local net = trit.models.resnet8 { classes = 10, seed = 1 }
  if o.method then trit.quantize(net, { { ".*", trit.quant.create(o.method) } }) end
  return net, { model = net, data = data(), epochs = o.epochs or 2, quiet = true, out = o.out,
    log = o.log, hooks = o.hooks, schedule_mode = o.mode, lr_th = o.lr_th,
    optimizer = trit.optim.sgd(net:parameters(), { lr = o.lr or 0.05, momentum = 0.9 }) }
end

local function status(path)
  local f <close> = assert(trit.h5.open(path .. "/run.h5"))
  return f:attr("", "status"), f:attr("", "status_message")
end

describe("trit.train", function()
  teardown(function() scratch.remove(dir) end)

  it("returns what it measured and leaves a complete run file", function()
    local net, o = options { method = "tga", out = dir .. "/run" }
    local result = trit.train(o)
    assert.are.equal(2, result.epoch)
    assert.is_true(result.zeros > 0 and result.zeros < 1 and result.bits < 3)
    local f <close> = assert(trit.h5.open(dir .. "/run/run.h5"))
    assert.are.equal("complete", f:attr("", "status"))
    assert.are.equal(8, f:shape("train/loss")[1]) -- 2 epochs of 4 batches
    assert.are.equal(2, f:shape("val/top1")[1])
    for name, layer in net:quantizable() do
      local group = "layers/" .. name
      local counts = f:read_numbers(group .. "/hist/counts")
      assert.are.equal(2, counts.shape[1])
      local sum = f:read_numbers(group .. "/hist/under")[2] + f:read_numbers(group .. "/hist/over")[2]
      for b = 1, counts.shape[2] do sum = sum + counts[counts.shape[2] + b] end
      local zeros = f:read_numbers(group .. "/hist/zeros")[2]
      assert.is_true(sum == layer.weight:numel() or sum + zeros == layer.weight:numel(), group)
      for _, series in ipairs { "threshold", "scale", "mu", "sigma", "flips", "shapiro_w" } do
        assert.are.equal(2, f:shape(group .. "/" .. series)[1])
      end
      assert.are.equal(3, f:shape(group .. "/occupancy")[2])
    end
  end)

  it("moves thresholds in the sequential, joint and alternate schedules", function()
    for _, mode in ipairs { "sequential", "joint", "alternate" } do
      local net, o = options { method = "tga", mode = mode, log = false, lr_th = 1, epochs = 1 }
      local before = net:thresholds()[3]:clone()
      trit.train(o)
      assert.is_true(net:thresholds()[3]:max_difference(before) > 0, mode)
    end
  end)

  it("gives the same weights with and without a run file, and from the same seed", function()
    local a, oa = options { method = "tga", log = false }
    local b, ob = options { method = "tga", out = dir .. "/same" }
    trit.train(oa)
    trit.train(ob)
    for name, t in pairs(a:state_dict()) do assert.is_true(t:equal(b:state_dict()[name]), name) end
  end)

  it("marks the run failed when the loss is not finite, naming epoch and step", function()
    local _, o = options { out = dir .. "/nan" }
    o.loss = function(logits) return trit.log(trit.sum(logits * 0)) end
    local ok, message = pcall(trit.train, o)
    assert.is_false(ok)
    assert.is_truthy(tostring(message):find("the loss"), message)
    assert.is_truthy(tostring(message):find("epoch 1, step %d"), message)
    local state, why = status(dir .. "/nan")
    assert.are.equal("failed", state)
    assert.is_truthy(why:find("the loss"), why)
  end)

  it("marks the run failed when a hook raises", function()
    local _, o = options { out = dir .. "/hook", hooks = { step = function() error("mine") end } }
    local ok, message = pcall(trit.train, o)
    assert.is_false(ok)
    assert.is_truthy(tostring(message):find("mine"))
    assert.are.equal("failed", (status(dir .. "/hook")))
  end)

  it("names an unknown or missing option at the script's line", function()
    local _, o = options { log = false }
    o.epoch = 3
    local ok, message = pcall(trit.train, o)
    assert.is_false(ok)
    assert.is_truthy(message:find('test_train.lua:%d+: train: unknown option "epoch"'), message)
    o.epoch, o.model = nil, nil
    ok, message = pcall(trit.train, o)
    assert.is_false(ok)
    assert.is_truthy(message:find("train: option model is missing", 1, true), message)
    o.model, o.schedule_mode = trit.models.resnet8 {}, "both"
    trit.quantize(o.model, { { ".*", trit.quant.tga {} } })
    ok, message = pcall(trit.train, o)
    assert.is_false(ok)
    assert.is_truthy(message:find('schedule_mode is "both" but must be'), message)
  end)

  it("adds up batches like one large batch", function()
    local function last_weights(batch, accumulate)
      local net = trit.models.small { classes = 10, seed = 2 } -- no batch statistics
      local d = trit.data.open(SPEC, { batch = batch, seed = 1, shuffle = false })
      trit.train { model = net, data = d, epochs = 1, log = false, quiet = true, accumulate = accumulate,
        optimizer = trit.optim.sgd(net:parameters(), { lr = 0.1 }) }
      return net:state_dict()
    end
    local one, many = last_weights(80, 1), last_weights(20, 4)
    for name, t in pairs(one) do assert.is_true(t:max_difference(many[name]) < 1e-5, name) end
  end)
end)
