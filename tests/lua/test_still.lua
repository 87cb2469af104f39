-- tier: fast
-- What stands still while a network trains: settled layers, held weights, windows of blocks; and what a
-- choice of `ste` leaves alone.
local trit = require "trit"
local scratch = require "tests.lua.scratch"

local dir = scratch.dir "still"
local x, y = trit.randn({ 4, 3, 8, 8 }, { seed = 5 }), trit.tensor { 1, 2, 3, 4 }

teardown(function() scratch.remove(dir) end)

local function small(q)
  return trit.quantize(trit.models.small { classes = 10, seed = 1 }, { { ".*", q } })
end

local function data() return trit.data.open("shapes10:train=96,test=32,size=16", { batch = 32, seed = 1 }) end

local function fails(fragment, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "no error; expected: " .. fragment)
  assert.is_truthy(tostring(message):find(fragment, 1, true), tostring(message))
end

-- Steps with momentum and decay, on weights and thresholds.
local function trainer(m)
  local rule = { lr = 0.05, momentum = 0.9, weight_decay = 1e-2 }
  local thresholds = m:thresholds()
  local step = require("trit.steps").new { model = m, 
    loss = function(logits, labels) return trit.cross_entropy(logits, labels) end,
    optimizer = trit.optim.sgd(m:parameters(), rule),
    threshold_optimizer = #thresholds > 0 and trit.optim.sgd(thresholds, rule) or nil }
  return function(n)
    for _ = 1, n do step(x, y) end
  end
end

-- All numbers of a tensor, to the bit; NAN equals NAN.
local function text(t)
  local list = {}
  local function walk(v)
    if type(v) == "table" then for _, e in ipairs(v) do walk(e) end else list[#list + 1] = ("%a"):format(v) end
  end
  walk(t:totable())
  return table.concat(list, " ")
end

local function used(layer)
  return trit.no_grad(function() return require("trit.nn.weight").effective(layer):clone() end)
end

describe("a settled layer", function()
  for _, name in ipairs(trit.quant.list()) do
    it("does not move: " .. name, function()
      local m = small(trit.quant[name] {}):train()
      local steps = trainer(m)
      steps(2)
      trit.schemes.freeze(m, "^conv2")
      local before, state = used(m.conv2), {}
      for k, v in pairs(m.conv2.quantizer:state_dict()) do state[k] = v:clone() end
      steps(3)
      assert.is_true(used(m.conv2):equal(before))
      for k, v in pairs(m.conv2.quantizer:state_dict()) do
        assert.are.equal(text(state[k]), text(v), k)
      end
    end)
  end
end)
