-- tier: full
-- A training loop's memory is flat without collectgarbage: resident size at step 100 and 500; and what
-- the tape frees costs no collections.
local trit = require "trit"
local steps = require "trit.steps"

local function resident_kib()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmRSS:%s+(%d+)")
    if kib then return tonumber(kib) end
  end
end

--- Collections that `f` runs into, by an object that each of them finds dead.
local function collections(f)
  local count, over = 0, false
  local function sentinel()
    setmetatable({}, { __gc = function()
      if over then return end
      count = count + 1
      sentinel()
    end })
  end
  collectgarbage()
  sentinel()
  f()
  over = true
  return count
end

local function training_step(net)
  return steps.new { model = net, loss = function(z, y) return trit.cross_entropy(z, y) end,
    optimizer = trit.optim.sgd(net:parameters(), { lr = 0.01, momentum = 0.9 }) }
end

local ALLOWED_KIB = 4096 -- noise of Lua's own heap between collections

describe("memory of a training loop", function()
  it("is the same at step 100 and step 500", function()
    local net = trit.models.resnet8 { seed = 1 }:train()
    local step, at_100 = training_step(net), nil
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

  it("is not collected for half a gigabyte of temporaries", function()
    local step = training_step(trit.models.resnet8 { seed = 1 }:train())
    local x, y = trit.randn({ 64, 3, 32, 32 }, { seed = 1, layout = "channels_last" }), trit.ones { 64 }
    step(x, y)
    local boxed = 64 * 16 * 32 * 32 * 4 * 12 * 10 -- of the first three layers alone, ten steps: 0.5 GB
    local n = collections(function() for _ = 1, 10 do step(x, y) end end)
    assert.is_true(n <= 2, ("%d collections for over %.0f MB"):format(n, boxed / 1e6))
  end)

  it("does not hold last step's gradients", function()
    local net = trit.models.resnet8 { seed = 1 }:train()
    local step, x, y = training_step(net), trit.randn({ 2, 3, 16, 16 }, { seed = 1 }), trit.ones { 2 }
    step(x, y)
    collectgarbage()
    collectgarbage("stop")
    finally(function() collectgarbage("restart") end)
    local before = trit.memory().live
    for _ = 1, 5 do step(x, y) end
    local grown = trit.memory().live - before
    assert.is_true(grown < net:parameter_count() * 4, ("%d bytes in five steps"):format(grown))
  end)

  it("is collected when scripts pile up tensors", function()
    local before = trit.memory().live
    for _ = 1, 200 do trit.zeros { 1 << 20 } end -- 800 MiB of 4 MiB each
    local grown = (trit.memory().live - before) / 2 ^ 20
    assert.is_true(grown <= 160, ("%.0f MiB more in use"):format(grown))
  end)

  it("does not let scripts pile up what a large phase once needed", function()
    local function hold() -- 400 MiB
      local large = {}
      for i = 1, 100 do large[i] = trit.zeros { 1 << 20 } end
      return #large
    end
    assert.are.equal(100, hold())
    collectgarbage()
    local before = trit.memory()
    for n = 1, 6 do -- other sizes find no block of these
      for _ = 1, 160 do trit.zeros { (1 << 20) + n * (1 << 17) } end
    end
    local now = trit.memory()
    local grown = (now.live + now.cached - before.live - before.cached) / 2 ^ 20
    print(("# the arena grew by %.0f MiB"):format(grown))
    assert.is_true(grown <= 1400, ("%.0f MiB more in the arena"):format(grown))
  end)
end)
