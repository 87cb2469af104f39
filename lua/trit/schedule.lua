--- trit.schedule: learning rates as functions of time.
--
--   local s = trit.schedule.cosine { epochs = 60, min_lr = 0.001 }
--   s:rate(base_lr, t)      -- t in epochs from 0, fractions allowed: 2.5 is half-way in the third
--
-- Each is a pure function of t, so resuming needs no state; plateau alone observes a metric and keeps
-- state (state_dict, load_state_dict; a warmup passes both on to what comes after it).  trit.train asks
-- once per step.  Optimizers with several groups are scaled by rate(base) / base.

local core = require "trit.core"

local schedule = {}

local Schedule = {}
Schedule.__index = Schedule

--- The learning rate at time t for base learning rate `base`.
function Schedule:rate(base, t) return self.formula(self.options, base, t) end

--- Report the metric of the epoch that just ended; only plateau listens.
function Schedule:observe(value)
  if self.options.after then self.options.after:observe(value) end
end

--- What a checkpoint must keep.
function Schedule:state_dict()
  return self.options.after and self.options.after:state_dict() or {}
end

function Schedule:load_state_dict(state)
  if self.options.after then self.options.after:load_state_dict(state) end
end

function Schedule:describe()
  local options = {}
  for name, v in pairs(self.options) do
    options[name] = getmetatable(v) and v.describe and v:describe() or v
  end
  return { schedule = self.name, options = options }
end
function Schedule.__tostring(s) return "schedule." .. s.name end

local function check(name, given, defaults)
  local o = {}
  for k, v in pairs(defaults) do o[k] = v end
  for k, v in pairs(given or {}) do
    if defaults[k] == nil then
      local known = {}
      for n in pairs(defaults) do known[#known + 1] = n end
      table.sort(known)
      core.raise(("schedule.%s: unknown option %q; known: %s"):format(name, tostring(k),
        table.concat(known, ", ")))
    end
    o[k] = v
  end
  for k, v in pairs(o) do
    if v == schedule.required then core.raise(("schedule.%s: option %s is missing"):format(name, k)) end
  end
  return o
end

schedule.required = setmetatable({}, { __tostring = function() return "required" end })
local required = schedule.required

--- Define a schedule: name, options with defaults (schedule.required = must be given), formula
-- function(options, base, t) -> rate.  Anyone may add one.
function schedule.define(name, defaults, formula)
  schedule[name] = function(options)
    return setmetatable({ name = name, options = check(name, options, defaults), formula = formula },
      Schedule)
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
end)

--- exponential { factor = 0.95 }: base * factor^t, by whole epochs.
schedule.define("exponential", { factor = required }, function(o, base, t)
  return base * o.factor ^ math.floor(t)
end)

--- cosine { epochs =, min_lr = 0 }: from base to min_lr along half a cosine.
schedule.define("cosine", { epochs = required, min_lr = 0 }, function(o, base, t)
  return cosine_between(base, o.min_lr, math.min(t / o.epochs, 1))
end)

--- warmup { epochs =, start = 0.1, after = schedule }: linear from start * base to base, then `after`
-- with its own time from 0.
schedule.define("warmup", { epochs = required, start = 0.1, after = schedule.constant() },
  function(o, base, t)
    if t < o.epochs then return base * (o.start + (1 - o.start) * t / o.epochs) end
    return o.after:rate(base, t - o.epochs)
  end)

--- one_cycle { epochs =, steps_per_epoch = 1, rise = 0.3, div = 25, final_div = 1e4 }: cosine from
-- base/div up to base in the share `rise` of all steps, cosine down to base/div/final_div at the last
-- (Smith & Topin 2018, as torch counts steps).
schedule.define("one_cycle",
  { epochs = required, steps_per_epoch = 1, rise = 0.3, div = 25, final_div = 1e4 },
  function(o, base, t)
    local total, step = o.epochs * o.steps_per_epoch, t * o.steps_per_epoch
    local up = o.rise * total - 1
    if step <= up then return cosine_between(base / o.div, base, step / up) end
    local q = math.min((step - up) / (total - 1 - up), 1)
    return cosine_between(base, base / o.div / o.final_div, q)
  end)

local Plateau = setmetatable({}, { __index = Schedule })
Plateau.__index = Plateau

--- plateau { factor = 0.1, patience = 10, threshold = 1e-4, cooldown = 0, min_lr = 0, mode = "min" }:
-- multiply by factor when the metric has not improved by the relative threshold for more than `patience`
-- observations; then rest for `cooldown`.
function schedule.plateau(options)
  local o = check("plateau", options, { factor = 0.1, patience = 10, threshold = 1e-4, cooldown = 0,
    min_lr = 0, mode = "min" })
  return setmetatable({ name = "plateau", options = o, scale = 1, bad = 0, rest = 0 }, Plateau)
end

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
