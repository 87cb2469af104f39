-- tier: full
-- A training loop's memory is flat without collectgarbage: resident size at step 100 and 500.
local trit = require "trit"
local steps = require "trit.steps"

local function resident_kib()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmRSS:%s+(%d+)")
    if kib then return tonumber(kib) end
  end
end

local ALLOWED_KIB = 4096 -- noise of Lua's own heap between collections

describe("memory of a training loop", function()
  it("is the same at step 100 and step 500", function()
    local net = trit.models.resnet8 { seed = 1 }:train()
    local step = steps.new { model = net, loss = function(z, y) return trit.cross_entropy(z, y) end,
      optimizer = trit.optim.sgd(net:parameters(), { lr = 0.01, momentum = 0.9 }) }
    local at_100
    for i = 1, 500 do
      local labels = {}
      for k = 1, 8 do labels[k] = (i + k) % 10 + 1 end
      step(trit.randn({ 8, 3, 16, 16 }, { seed = i, layout = "channels_last" }), trit.tensor(labels))
      if i == 100 then at_100 = resident_kib() end
    end
    local at_500 = resident_kib()
    print(("# resident KiB: step 100 %d, step 500 %d"):format(at_100, at_500))
    assert.is_true(at_500 <= at_100 + ALLOWED_KIB,
      ("resident size grew from %d to %d KiB"):format(at_100, at_500))
  end)
end)
