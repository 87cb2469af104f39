-- tier: fast
-- Learning-rate tables against reference values, and what a user may get wrong.
local schedule = require "trit.schedule"
local golden = require "tests.lua.golden"

local makers = {
  constant = function() return schedule.constant() end,
  step = function(a) return schedule.step { every = a.step_size, factor = a.gamma } end,
  multistep = function(a) return schedule.multistep { milestones = a.milestones, factors = a.gammas } end,
  exponential = function(a) return schedule.exponential { factor = a.gamma } end,
  cosine = function(a) return schedule.cosine { epochs = a.T, min_lr = a.min_lr } end,
  warmup_cosine = function(a)
    return schedule.warmup { epochs = a.warmup, start = a.start_factor,
      after = schedule.cosine { epochs = a.T - a.warmup, min_lr = a.min_lr } }
  end,
  one_cycle = function(a)
    return schedule.one_cycle { epochs = a.T, steps_per_epoch = 1, rise = a.pct_start, div = a.div_factor,
      final_div = a.final_div_factor }
  end,
  plateau = function(a)
    return schedule.plateau { factor = a.factor, patience = a.patience, threshold = a.threshold,
      cooldown = a.cooldown }
  end,
}

describe("schedules", function()
  local f, why = golden.open("optim.h5")
  if not f then
    pending(why)
    return
  end
  for _, case in ipairs(f:list("")) do
    local a = f:attrs(case)
    if a.kind == "schedule" then
      it("give the table " .. case, function()
        local s = makers[a.schedule](a)
        local metric = a.schedule == "plateau" and f:read_numbers(case .. "/in/metric")
        local got = {}
        for t = 0, a.length - 1 do
          got[t + 1] = s:rate(a.base_lr, t)
          if metric then s:observe(metric[t + 1]) end
        end
        assert.is_true(golden.error(got, f:read_numbers(case .. "/out/lr")) < 1e-12)
      end)
    end
  end
end)

describe("a schedule", function()
  it("names an unknown or missing option at the script's line", function()
    local ok, message = pcall(schedule.cosine, { epoch = 3 })
    assert.is_false(ok)
    assert.is_truthy(message:find('schedule.cosine: unknown option "epoch"; known: epochs, min_lr', 1, true))
    ok, message = pcall(schedule.cosine)
    assert.is_false(ok)
    assert.is_truthy(message:find("schedule.cosine: option epochs is missing", 1, true))
  end)

  it("refuses options that give no rate", function()
    local function refused(sentence, make, options)
      local ok, message = pcall(make, options)
      assert.is_false(ok, sentence)
      assert.matches("^[^\n]*test_schedule%.lua:%d+: ", message)
      assert.is_truthy(message:find("schedule." .. sentence, 1, true), message)
    end
    refused("multistep: 1 factors for 2 milestones", schedule.multistep,
      { milestones = { 1, 2 }, factors = { 0.1 } })
    refused("multistep: option milestones must be a list of numbers, got 3", schedule.multistep,
      { milestones = 3 })
    refused("cosine: option epochs must be a number >= 0, got x", schedule.cosine, { epochs = "x" })
    refused("cosine: option min_lr must be a number, got x", schedule.cosine, { epochs = 1, min_lr = "x" })
    refused("step: option every must be a number > 0, got 0", schedule.step, { every = 0 })
    refused("warmup: option after must be a schedule, got 3", schedule.warmup, { epochs = 1, after = 3 })
    refused("one_cycle: option epochs must be a number > 0, got 0", schedule.one_cycle, { epochs = 0 })
    refused("one_cycle: option rise must be a number in [0, 1], got 2", schedule.one_cycle,
      { epochs = 1, rise = 2 })
    refused("plateau: option mode must be \"min\" or \"max\", got least", schedule.plateau,
      { mode = "least" })
    refused("exponential: option factor must be a number, got x", schedule.exponential, { factor = "x" })
  end)

  it("of one cycle ends with the last epoch, and starts at the peak where there is no rise", function()
    local s = schedule.one_cycle { epochs = 10 }
    local least = 0.1 / 25 / 1e4
    assert.is_true(math.abs(s:rate(0.1, 3) - 0.1) < 1e-15)
    assert.is_true(s:rate(0.1, 9) > 100 * least)
    assert.is_true(s:rate(0.1, 9.9) > s:rate(0.1, 9.99) and s:rate(0.1, 9.99) > least)
    assert.is_true(math.abs(s:rate(0.1, 10) - least) < 1e-15)
    for _, o in ipairs { { epochs = 10, rise = 0.1, steps_per_epoch = 1 },
      { epochs = 5, rise = 0.1, steps_per_epoch = 1 }, { epochs = 3, rise = 0 },
      { epochs = 1, steps_per_epoch = 1 } } do
      s = schedule.one_cycle(o)
      assert.are.equal(o.epochs == 1 and least or 0.1, s:rate(0.1, 0))
      for t = 0, 2 * o.epochs, 0.25 do
        local rate = s:rate(0.1, t)
        assert.is_true(rate >= least - 1e-15 and rate <= 0.1)
      end
    end
  end)

  it("of a cosine over no epochs is at its end", function()
    assert.are.equal(0.01, schedule.cosine({ epochs = 0, min_lr = 0.01 }):rate(0.1, 0))
  end)

  it("keeps plateau's state", function()
    local a, b = schedule.plateau { patience = 0 }, schedule.plateau { patience = 0 }
    for _, v in ipairs { 1, 1, 1 } do a:observe(v) end
    b:load_state_dict(a:state_dict())
    assert.are.equal(a:rate(1), b:rate(1))
    assert.is_true(a:rate(1) < 1)
  end)

  it("takes NaN for no improvement", function()
    local s = schedule.plateau { patience = 1, factor = 0.5 }
    for _, v in ipairs { 0 / 0, 2, 0 / 0, 0 / 0 } do s:observe(v) end
    assert.are.equal(2, s.best)
    assert.are.equal(0.5, s:rate(1))
  end)

  it("hands what a warmup observes to the schedule after it", function()
    local function warm() return schedule.warmup { epochs = 1, after = schedule.plateau { patience = 0 } } end
    local a, b = warm(), warm()
    for _, v in ipairs { 1, 1 } do a:observe(v) end
    b:load_state_dict(a:state_dict())
    assert.are.equal(0.1, a:rate(1, 2))
    assert.are.equal(0.1, b:rate(1, 2))
    schedule.cosine { epochs = 2 }:observe(1) -- listens to nothing
  end)
end)
