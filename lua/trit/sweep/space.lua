--- What is swept: the words after --NAME, as axes; axes as a list of points.
--
--   V1,V2,...    these values
--   all          every choice of the option (true and false of a flag)
--   A..B         whole numbers: each; others: 5 values, evenly spaced
--   A..B:N       N values, evenly spaced
--   log:A..B:N   N values, evenly spaced in the logarithm
--
-- Ranges may stand in a list: 0,log:0.001..0.1:3.  A comma that belongs to a text is written \,.
-- Searches that draw (random, halton) take A..B and log:A..B as they are, without N.
local core = require "trit.core"
local halton = require "trit.sweep.halton"
local params = require "trit.params"

local space = {}

local DEFAULT_COUNT = 5     -- values of a range of reals that does not say
local MOST_VALUES = 10000   -- of one axis
local MOST_POINTS = 100000  -- of a sweep
local LINEAR, LOG, DRAWN = "%.10g", "%.6g", "%.4g" -- digits kept, so that values can be read and typed

local function fail(fmt, ...) return nil, fmt:format(...) end

local function split(text)
  local items = {}
  for item in (text:gsub("\\,", "\0") .. ","):gmatch("([^,]*),") do
    items[#items + 1] = (item:gsub("%z", ","))
  end
  return items
end

-- { low =, high =, log =, integer =, count = or nil } of "log:A..B:N"; nothing if it is no range.
local function range_of(name, item, row)
  if type(row[1]) ~= "number" then return nil end
  local log, rest = item:match("^(log:)(.*)$")
  local low, high, count = (rest or item):match("^(.-)%.%.([^:]*):?([^:]*)$")
  if not low then
    if log then return fail("option --%s: %q is not log:A..B or log:A..B:N", name, item) end
    return nil
  end
  local a, why = params.value(name, low, row)
  if a == nil then return nil, why end
  local b, reason = params.value(name, high, row)
  if b == nil then return nil, reason end
  local n = math.tointeger(tonumber(count))
  if count ~= "" and (not n or n < 1) or n and n > MOST_VALUES then
    return fail("option --%s: the N of %q is a whole number from 1 to %d", name, item, MOST_VALUES)
  end
  if a > b then return fail("option --%s: the range %s goes down", name, item) end
  if log and a <= 0 then return fail("option --%s: %s needs numbers above 0", name, item) end
  return { low = a, high = b, log = log ~= nil, integer = math.type(row[1]) == "integer", count = n }
end

local function clamp(range, v)
  return math.max(range.low, math.min(range.high, v))
end

-- The value at u in [0, 1] of a range, digits as in `format`.
local function at(range, u, format)
  local v
  if range.log then
    v = range.low * (range.high / range.low) ^ u
  else
    v = range.low + u * (range.high - range.low)
  end
  if range.integer then return clamp(range, math.floor(v + 0.5)) end
  return clamp(range, tonumber(format:format(v))) + 0.0
end

local function expand(name, range)
  local values = {}
  if range.integer and not range.count and not range.log then
    if range.high - range.low >= MOST_VALUES then
      return fail("option --%s: %d..%d are more than %d values; A..B:N takes N of them", name, range.low,
        range.high, MOST_VALUES)
    end
    for v = range.low, range.high do values[#values + 1] = v end
    return values
  end
  local n = range.count or DEFAULT_COUNT
  for i = 1, n do
    values[i] = at(range, n > 1 and (i - 1) / (n - 1) or 0, range.log and LOG or LINEAR)
  end
  return values
end

--- The value of a number option as it is stored: the type is the default's.
function space.typed(v, row)
  if math.type(row[1]) == "float" then return v + 0.0 end
  return v
end

local function add(axis, v, seen)
  if not seen[v] then axis.values[#axis.values + 1] = v end
  seen[v] = true
end

local function all_of(name, row)
  if row.choices then return row.choices end
  if type(row[1]) == "boolean" then return { true, false } end
  return fail("option --%s has no list of choices that `all` could stand for", name)
end

--- One axis: the option `name`, declared as `row`, given as `text`.
-- Returns { name =, values = {...}, range = (when it is one range without N) }; nil, sentence.
function space.axis(name, text, row)
  local axis, seen = { name = name, values = {} }, {}
  local items = split(text)
  for _, item in ipairs(items) do
    local values, why
    if item == "all" and not (type(row[1]) == "string" and not row.choices) then
      values, why = all_of(name, row)
    else
      local range, reason = range_of(name, item, row)
      if reason then return nil, reason end
      if range then
        if #items == 1 and not range.count then axis.range = range end
        values, why = expand(name, range)
      else
        local v
        v, why = params.value(name, item, row)
        values = v ~= nil and { v } or nil
      end
    end
    if not values then return nil, why end
    for _, v in ipairs(values) do add(axis, space.typed(v, row), seen) end
  end
  return axis
end

local function copy(t)
  local out = {}
  for k, v in pairs(t) do out[k] = v end
  return out
end

local searches = {}

--- Every combination; the last axis changes fastest.
function searches.grid(axes)
  local list = { {} }
  for _, axis in ipairs(axes) do
    local longer = {}
    if #list * #axis.values > MOST_POINTS then
      return fail("the grid has more than %d points", MOST_POINTS)
    end
    for _, point in ipairs(list) do
      for _, v in ipairs(axis.values) do
        local p = copy(point)
        p[axis.name] = v
        longer[#longer + 1] = p
      end
    end
    list = longer
  end
  return list
end

--- The axes side by side: the i-th values of all of them are the i-th point.
function searches.list(axes)
  local n = 1
  for _, axis in ipairs(axes) do n = math.max(n, #axis.values) end
  local list = {}
  for i = 1, n do
    list[i] = {}
    for _, axis in ipairs(axes) do
      if #axis.values ~= n and #axis.values ~= 1 then
        return fail("--search list: option --%s has %d values where others have %d", axis.name,
          #axis.values, n)
      end
      list[i][axis.name] = axis.values[math.min(i, #axis.values)]
    end
  end
  return list
end

local function draw(axis, u)
  local range = axis.range
  if not range then return axis.values[1 + math.floor(u * #axis.values)] end
  if range.integer and not range.log then
    return range.low + math.floor(u * (range.high - range.low + 1))
  end
  return at(range, u, DRAWN)
end

local function drawn(axes, count, uniform)
  local list = {}
  for i = 1, count do
    list[i] = {}
    for k, axis in ipairs(axes) do list[i][axis.name] = draw(axis, uniform(i, k)) end
  end
  return list
end

--- Independent uniform draws, by Philox from (seed, point, axis).
function searches.random(axes, o)
  return drawn(axes, o.points, function(i, k) return core.sweep_uniform(o.seed, i, k) end)
end

--- A low-discrepancy sequence.
function searches.halton(axes, o)
  if #axes > halton.most_dimensions then
    return fail("--search halton has at most %d options, not %d", halton.most_dimensions, #axes)
  end
  return drawn(axes, o.points, halton.new(o.seed))
end

space.searches = { "grid", "list", "random", "halton" }

--- Points of the axes: { { name = value }, ... }; search: one of space.searches; options of those that
-- draw: points, seed.  nil, sentence when that cannot be.
function space.points(axes, search, options)
  return searches[search](axes, options)
end

return space
