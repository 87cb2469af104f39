--- Accuracy and zeros against each numeric option in which the runs differ.
local scale = require "trit.report.scale"

local SPREAD = 20  -- greatest over least value from which an axis is logarithmic
local ASIDE = 0.05 -- room left and right of the outermost dots, of the axis

local function numeric(data, name)
  local values, seen, n = {}, {}, 0
  for _, run in ipairs(data.runs) do
    local v = run.params[name]
    if type(v) ~= "number" then return nil end
    values[#values + 1] = v
    if not seen[v] then n = n + 1 end
    seen[v] = true
  end
  return n > 1 and values or nil
end

local function mean_line(data, name, field)
  local sums, order = {}, {}
  for _, run in ipairs(data.runs) do
    local v, y = run.params[name], run[field]
    if scale.is_number(y) then
      if not sums[v] then order[#order + 1] = v end
      sums[v] = sums[v] or { 0, 0 }
      sums[v][1], sums[v][2] = sums[v][1] + y, sums[v][2] + 1
    end
  end
  table.sort(order)
  local line = {}
  for i, v in ipairs(order) do line[i] = { v, sums[v][1] / sums[v][2] } end
  return line
end

local function spec_of(data, name, field, title)
  local values, dots, ys = numeric(data, name), {}, {}
  if not values then return nil end
  local low, high = scale.extent { values }
  for _, run in ipairs(data.runs) do
    if scale.is_number(run[field]) then
      dots[#dots + 1] = { x = run.params[name], y = run[field], key = run.key, name = run.name }
      ys[#ys + 1] = run[field]
    end
  end
  local y0, y1 = scale.extent { ys }
  if not y0 or y0 == y1 and field == "zeros" then return nil end
  local log = low > 0 and high / low >= SPREAD
  local room = log and (high / low) ^ ASIDE or ASIDE * (high - low)
  local line = mean_line(data, name, field)
  local words = {}
  for i, p in ipairs(line) do words[i] = ("%.4g: %.2f %%"):format(p[1], 100 * p[2]) end
  return { name = field .. "-" .. name, title = title .. " against " .. name,
    desc = ("%s against %s of %d runs.  Means: %s."):format(title, name, #dots, table.concat(words, ", ")),
    x = { log and low / room or low - room, log and high * room or high + room, label = name, log = log },
    y = { y0, y1, label = title, percent = true, nice = true },
    lines = { { points = line, class = "mean", name = "mean" } }, dots = dots }
end

local function specs(data)
  local list = {}
  for _, name in ipairs(data.varied) do
    if name ~= "seed" then
      list[#list + 1] = spec_of(data, name, "top1", "top-1")
      list[#list + 1] = spec_of(data, name, "zeros", "zero share")
    end
  end
  return list
end

return { name = "slices", order = 40, scope = "all", title = "One option at a time",
  doc = "Dots are runs, the line goes through their means.", specs = specs }
