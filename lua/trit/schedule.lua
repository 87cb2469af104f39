--- trit.schedule: learning rates as functions of time.
--
--   local s = trit.schedule.cosine { epochs = 60, min_lr = 0.001 }
--   s:rate(base_lr, t)      -- t in epochs from 0, fractions allowed: 2.5 is half-way in the third
--
-- Each is a pure function of t, so resuming needs no state; plateau alone observes a metric and keeps
-- state (state_dict, load_state_dict; a warmup passes both on to what comes after it).  trit.train asks
-- once per step.  Optimizers with several groups are scaled by rate(base) / base.

local core = require "trit.core"
local options = require "trit.options"

local schedule = {}

local Schedule = {}
Schedule.__index = Schedule

--- The learning rate at time t for base learning rate `base`.
function Schedule:rate(base, t) return self.formula(self.options, base, t) end

--- Report the metric of the epoch that just ended; only plateau listens.
function Schedule:observe(value)
  if self.options.after then self.options.after:observe(value) end
end

--- Does the rate depend on what was observed?
function Schedule:listens() return self.options.after ~= nil and self.options.after:listens() end

--- What a checkpoint must keep.
function Schedule:state_dict()
  return self.options.after and self.options.after:state_dict() or {}
end

function Schedule:load_state_dict(state)
  if self.options.after then self.options.after:load_state_dict(state) end
end

function Schedule:describe()
  local given = {}
  for name, v in pairs(self.options) do
    given[name] = getmetatable(v) and v.describe and v:describe() or v
  end
  return { schedule = self.name, options = given }
end
function Schedule.__tostring(s) return "schedule." .. s.name end

schedule.required = setmetatable({}, { __tostring = function() return "required" end })
schedule.optional = setmetatable({}, { __tostring = function() return "optional" end })
local required, optional = schedule.required, schedule.optional

local function is_number(v) return type(v) == "number" and v == v end

-- What an option may be, by name: test, words for the sentence.  Others whose default is a number are
-- numbers.
local kinds = {
  every = { function(v) return is_number(v) and v > 0 end, "a number > 0" },
  steps_per_epoch = { function(v) return is_number(v) and v > 0 end, "a number > 0" },
  epochs = { function(v) return is_number(v) and v >= 0 end, "a number >= 0" },
  factor = { is_number, "a number" },
  rise = { function(v) return is_number(v) and v >= 0 and v <= 1 end, "a number in [0, 1]" },
  div = { function(v) return is_number(v) and v > 0 end, "a number > 0" },
  final_div = { function(v) return is_number(v) and v > 0 end, "a number > 0" },
  mode = { function(v) return v == "min" or v == "max" end, '"min" or "max"' },
  after = { function(v) return type(v) == "table" and v.rate ~= nil end, "a schedule" },
}

local function numbers(v)
  if type(v) ~= "table" then return false end
  for _, x in ipairs(v) do
    if not is_number(x) then return false end
  end
  return true
end
kinds.milestones = { numbers, "a list of numbers" }
kinds.factors = { function(v) return is_number(v) or numbers(v) end, "a number or a list of numbers" }

local function check(name, given, defaults)
  local owner, o = "schedule." .. name, {}
  options.check(owner, given, defaults)
  for k, v in pairs(defaults) do o[k] = v end
  for k, v in pairs(given or {}) do o[k] = v end
  for k, v in pairs(o) do
    if v == required then core.raise(("%s: option %s is missing"):format(owner, k)) end
    local kind = kinds[k] or is_number(defaults[k]) and { is_number, "a number" }
    if v == optional then
      o[k] = nil
    elseif kind and not kind[1](v) then
      options.fail(owner, "option %s must be %s, got %s", k, kind[2], tostring(v))
    end
  end
  return o
end

--- Define a schedule: name, options with defaults (schedule.required = must be given, schedule.optional =
-- may be nil), formula function(options, base, t) -> rate, and perhaps verify(options, fail), which calls
-- fail(sentence) on options that do not go together.  Anyone may add one.
function schedule.define(name, defaults, formula, verify)
  schedule[name] = function(given)
    local o = check(name, given, defaults)
    if verify then verify(o, function(fmt, ...) options.fail("schedule." .. name, fmt, ...) end) end
    return setmetatable({ name = name, options = o, formula = formula }, Schedule)
  end
end

local function cosine_between(from, to, q) return to + (from - to) / 2 * (1 + math.cos(math.pi * q)) end

--- constant {}: the base rate.
schedule.define("constant", {}, function(_, base) return base end)

--- step { every = epochs, factor = 0.1 }: base * factor^floor(t / every).
schedule.define("step", { every = required, factor = 0.1 }, function(o, base, t)
  return base * o.factor ^ (t // o.every)
end)

--- multistep { milestones = {80, 120, 160}, factors = {0.1, 0.1, 0.5} }: base times every factor whose
-- milestone has been reached.  One number for factors stands for all.
schedule.define("multistep", { milestones = required, factors = 0.1 }, function(o, base, t)
  for k, milestone in ipairs(o.milestones) do
    if t >= milestone then base = base * (type(o.factors) == "table" and o.factors[k] or o.factors) end
  end
  return base
end, function(o, fail)
  if type(o.factors) == "table" and #o.factors ~= #o.milestones then
    fail("%d factors for %d milestones", #o.factors, #o.milestones)
  end
end)

--- exponential { factor = 0.95 }: base * factor^t, by whole epochs.
schedule.define("exponential", { factor = required }, function(o, base, t)
  return base * o.factor ^ math.floor(t)
end)

--- cosine { epochs =, min_lr = 0 }: from base to min_lr along half a cosine.
schedule.define("cosine", { epochs = required, min_lr = 0 }, function(o, base, t)
  return cosine_between(base, o.min_lr, t >= o.epochs and 1 or t / o.epochs)
end)

--- warmup { epochs =, start = 0.1, after = schedule }: linear from start * base to base, then `after`
-- with its own time from 0.
schedule.define("warmup", { epochs = required, start = 0.1, after = schedule.constant() },
  function(o, base, t)
    if t < o.epochs then return base * (o.start + (1 - o.start) * t / o.epochs) end
    return o.after:rate(base, t - o.epochs)
  end)

--- one_cycle { epochs =, rise = 0.3, div = 25, final_div = 1e4, steps_per_epoch = nil }: cosine from
-- base/div up to base in the share `rise` of the epochs, cosine down to base/div/final_div at their end
-- (Smith & Topin 2018).  With steps_per_epoch = n the peak and the end are reached one step earlier, at
-- the last step of the rise and of the training, as torch counts; a rise of one step or none starts at base.
schedule.define("one_cycle",
  { epochs = required, steps_per_epoch = optional, rise = 0.3, div = 25, final_div = 1e4 },
  function(o, base, t)
    local last = o.steps_per_epoch and 1 / o.steps_per_epoch or 0 -- step, in epochs
    local up, stop = math.max(o.rise * o.epochs - last, 0), o.epochs - last
    if t < up then return cosine_between(base / o.div, base, t / up) end
    return cosine_between(base, base / o.div / o.final_div, t < stop and (t - up) / (stop - up) or 1)
  end,
  function(o, fail)
    if o.epochs <= 0 then fail("option epochs must be a number > 0, got %s", o.epochs) end
  end)

local Plateau = setmetatable({}, { __index = Schedule })
Plateau.__index = Plateau

--- plateau { factor = 0.1, patience = 10, threshold = 1e-4, cooldown = 0, min_lr = 0, mode = "min" }:
-- multiply by factor when the metric has not improved by the relative threshold for more than `patience`
-- observations; then rest for `cooldown`.
function schedule.plateau(given)
  local o = check("plateau", given, { factor = 0.1, patience = 10, threshold = 1e-4, cooldown = 0,
    min_lr = 0, mode = "min" })
  return setmetatable({ name = "plateau", options = o, scale = 1, bad = 0, rest = 0 }, Plateau)
end

function Plateau.listens() return true end

function Plateau:rate(base) return math.max(base * self.scale, self.options.min_lr) end

local function better(o, value, best)
  if value ~= value then return false end -- NaN is no improvement, not even as the first
  if not best then return true end
  if o.mode == "max" then return value > best * (1 + o.threshold) end
  return value < best * (1 - o.threshold)
end

--- Report the metric of the epoch that just ended.
function Plateau:observe(value)
  local o = self.options
  if better(o, value, self.best) then
    self.best, self.bad = value, 0
  else
    self.bad = self.bad + 1
  end
  if self.rest > 0 then
    self.rest, self.bad = self.rest - 1, 0
  end
  if self.bad > o.patience then
    self.scale, self.rest, self.bad = self.scale * o.factor, o.cooldown, 0
  end
end

function Plateau:state_dict()
  return { scale = self.scale, bad = self.bad, rest = self.rest, best = self.best }
end

function Plateau:load_state_dict(s)
  self.scale, self.bad, self.rest, self.best = s.scale, s.bad, s.rest, s.best
end

return schedule
