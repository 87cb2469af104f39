-- tier: full
-- The same bits for any thread count: 20 steps of ResNet-20 with 1, 2 and 3 threads.
local trit = require "trit"
local steps = require "trit.steps"

local STEPS, BATCH = 20, 16

local function train(threads, method)
  trit.threads(threads)
  local net = trit.models.resnet20 { seed = 5 }:train()
  if method then trit.quantize(net, { { ".*", trit.quant.create(method) } }) end
  local thresholds = net:thresholds()
  local step = steps.new { model = net, loss = function(z, y) return trit.cross_entropy(z, y) end,
    optimizer = trit.optim.sgd(net:parameters(), { lr = 0.05, momentum = 0.9, weight_decay = 1e-4 }),
    threshold_optimizer = #thresholds > 0 and trit.optim.sgd(thresholds, { lr = 0.001 }) or nil }
  for i = 1, STEPS do
    local labels = {}
    for k = 1, BATCH do labels[k] = (i * 7 + k * 3) % 10 + 1 end
    step(trit.randn({ BATCH, 3, 32, 32 }, { seed = i, layout = "channels_last" }), trit.tensor(labels))
  end
  return net:state_dict()
end

local function assert_same(a, b, what)
  for name, t in pairs(a) do
    assert.is_true(t:equal(b[name]), ("%s: %s differs"):format(what, name))
  end
end

describe("thread counts", function()
  local before = trit.threads()
  teardown(function() trit.threads(before) end)
  for _, method in ipairs { "float", "tga" } do
    it("do not change a bit of " .. method .. " training", function()
      local quantizer = method ~= "float" and method or nil
      local one = train(1, quantizer)
      assert_same(one, train(2, quantizer), "2 threads")
      assert_same(one, train(3, quantizer), "3 threads")
    end)
  end
end)
