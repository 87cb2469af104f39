--- Scales: numbers to coordinates, with ticks at round values.
--
--     local x = scale.linear(0, 6, 40, 350)       -- data 0..6 on pixels 40..350
--     x(3)  x.ticks  x.format(v)
--     scale.extent(lists)                          -- least and greatest number of lists of numbers
local scale = {}
local Scale = {}
Scale.__index = Scale

function Scale:__call(v)
  if self.log then v = math.log(v, 10) end
  return self.from + (v - self.low) / (self.high - self.low) * (self.to - self.from)
end

local function is_number(v)
  return type(v) == "number" and v == v and v ~= math.huge and v ~= -math.huge
end
scale.is_number = is_number

--- Least and greatest of the numbers in lists; nil when there is none.
function scale.extent(lists)
  local low, high = math.huge, -math.huge
  for _, list in ipairs(lists) do
    for i = 1, #list do
      if is_number(list[i]) then low, high = math.min(low, list[i]), math.max(high, list[i]) end
    end
  end
  if low > high then return nil end
  return low, high
end

-- The round step (1, 2, 5 times a power of ten) that divides a span into about `count` parts.
local function round_step(span, count)
  local raw = span / count
  local power = 10 ^ math.floor(math.log(raw, 10))
  for _, m in ipairs { 1, 2, 5, 10 } do
    if raw <= m * power * 1.0001 then return m * power end
  end
end

--- Round numbers in [low, high], about `count` of them, and the digits they need after the point.
function scale.ticks(low, high, count)
  local step = round_step(high - low, count)
  local list = {}
  for i = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) do
    list[#list + 1] = i == 0 and 0 or i * step
  end
  return list, math.max(0, -math.floor(math.log(step, 10) + 1e-9))
end

local function plain(digits)
  return function(v)
    if v ~= 0 and (math.abs(v) >= 1e5 or digits > 4) then return ("%.3g"):format(v) end
    return ("%." .. digits .. "f"):format(v)
  end
end

--- A linear scale of [low, high] on [from, to]; options: ticks (about how many, default 5), nice (widen
-- to round ends), percent (shares shown as percent).
function scale.linear(low, high, from, to, options)
  options = options or {}
  if high <= low then -- one value: some room around it, above it where it is 0
    local pad = math.abs(low) * 0.1
    low, high = low - pad, high + pad
    if pad == 0 then high = options.percent and 0.1 or 1 end
  end
  if options.nice then
    local step = round_step(high - low, options.ticks or 5)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
  end
  local ticks, digits = scale.ticks(low, high, options.ticks or 5)
  local format = plain(digits)
  if options.percent then
    local inner = plain(math.max(0, digits - 2))
    format = function(v) return inner(100 * v) .. "%" end
  end
  return setmetatable({ low = low, high = high, from = from, to = to, ticks = ticks, format = format },
    Scale)
end

--- A logarithmic scale; ticks at powers of ten, and at 2 and 5 times them where there are few.
function scale.logarithmic(low, high, from, to)
  local a, b = math.log(low, 10), math.log(high, 10)
  if b <= a then a, b = a - 0.5, b + 0.5 end
  local ticks = {}
  local between = b - a < 2 and { 1, 2, 5 } or { 1 }
  for e = math.floor(a), math.ceil(b) do
    for _, m in ipairs(between) do
      local v = m * 10.0 ^ e
      if math.log(v, 10) >= a - 1e-9 and math.log(v, 10) <= b + 1e-9 then ticks[#ticks + 1] = v end
    end
  end
  return setmetatable({ low = a, high = b, from = from, to = to, ticks = ticks, log = true,
    format = function(v) return ("%.6g"):format(v) end }, Scale)
end

return scale
