-- tier: full
-- Every network: its parameter count at the published number of classes, and a few training steps.
local trit = require "trit"
local steps = require "trit.steps"

local counts = { -- torchvision's and the papers'; see methods 2.16
  resnet18 = 11689512, resnet34 = 21797672, resnet50 = 25557032, resnet101 = 44549160,
  resnext50_32x4d = 25028904, resnext101_32x4d = 44177704, resnext101_64x4d = 83455272,
  resnext29_8x64d = 34426698, resnext29_16x64d = 68155210, densenet121 = 7978856, densenet169 = 14149480,
  densenet201 = 20013928, densenet161 = 28681000, inception_v3 = 27161264, alexnet_bn = 62387912,
}

local small = { -- name -> options that make a step cheap
  small = { size = 16 }, resnet8 = { size = 16 }, resnet20 = { size = 16 },
  resnet110 = { size = 8, width = 4 }, lenet5 = { size = 16 },
  vgg7 = { size = 16, width = 16 }, vgg9 = { size = 16, width = 16 }, vgg_small = { size = 16, width = 16 },
  alexnet_bn = { size = 63 }, resnet18 = { size = 32 }, resnet50 = { size = 32 },
  resnext50_32x4d = { size = 32 }, resnext29_8x64d = { size = 8 }, densenet121 = { size = 32 },
  densenet_bc_40_12 = { size = 16, dropout = 0.1 }, mobilenet_v2 = { size = 64 },
  inception_v3 = { size = 75, aux = false },
}

local BATCH, STEPS, CLASSES, LR = 8, 6, 5, 0.01

-- At 32x32 these end in single pixels, and batch norm over eight of them makes six steps at LR a matter of
-- rounding: the first loss agrees between all paths to 1e-4, the third not to 1.
local rates = { resnet50 = 0.002, resnext50_32x4d = 0.002 }

local function batch(net)
  local labels = {}
  for i = 1, BATCH do labels[i] = (i - 1) % CLASSES + 1 end
  return trit.randn({ BATCH, table.unpack(net.input_shape) }, { seed = 2 }), trit.tensor(labels)
end

local function loss_of(logits, y) return trit.cross_entropy(logits, y, { label_smoothing = 0.1 }) end

--- Losses of a few steps on one batch.
local function train(net, method, lr)
  if method then trit.quantize(net, { { ".*", trit.quant.create(method) } }) end
  local thresholds = net:thresholds()
  local step = steps.new { model = net:train(), loss = loss_of,
    optimizer = trit.optim.sgd(net:parameters(), { lr = lr or LR, momentum = 0.9 }),
    threshold_optimizer = #thresholds > 0 and trit.optim.sgd(thresholds, { lr = 1e-4 }) or nil }
  local x, y = batch(net)
  local losses = {}
  for i = 1, STEPS do losses[i] = step(x, y) end
  return losses
end

local function falls(name, losses)
  local least = math.min(table.unpack(losses, 2))
  assert.is_true(least < losses[1], ("%s: losses %s"):format(name, table.concat(losses, ", ")))
end

describe("networks", function()
  for name, count in pairs(counts) do
    it(("have the parameter count of %s"):format(name), function()
      local net = trit.models.create(name)
      assert.are.equal(count, net:parameter_count())
      collectgarbage()
    end)
  end

  for name, options in pairs(small) do
    options.classes, options.seed = CLASSES, 3
    it(("train: %s"):format(name), function()
      falls(name, train(trit.models.create(name, options), nil, rates[name]))
      collectgarbage()
    end)
  end

  for _, name in ipairs { "vgg7", "resnet110", "densenet_bc_40_12", "mobilenet_v2" } do
    it(("train with ternary weights: %s"):format(name), function()
      falls(name, train(trit.models.create(name, small[name]), "tga"))
    end)
  end

  it("give every parameter of Inception-v3 a gradient, the auxiliary head's too", function()
    local net = trit.models.inception_v3 { classes = CLASSES, dropout = 0 }:train()
    local x = trit.randn({ 2, 3, 299, 299 }, { seed = 1 })
    local logits, aux = net(x)
    local y = trit.tensor { 1, 4 }
    local main, head = loss_of(logits, y), loss_of(aux, y)
    local expected = main:item() + 0.4 * head:item();
    (main + head * net.aux_weight):backward()
    local list = net:parameters()
    for i, p in ipairs(list) do assert.is_truthy(p.grad, list.names[i]) end
    net:zero_grad()
    local step = steps.new { model = net, loss = loss_of,
      optimizer = trit.optim.sgd(net:parameters(), { lr = 0 }) }
    local loss = step(x, y)
    assert.is_true(math.abs(loss - expected) < 1e-5 * expected)
    local _, none = trit.no_grad(net:eval(), x)
    assert.is_nil(none)
  end)
end)
