--- Parallel coordinates: one line per run through its options and results.
local chart = require "trit.report.chart"
local scale = require "trit.report.scale"
local svg = require "trit.report.svg"

local HEIGHT, TOP, BOTTOM, SIDE, RIGHT = 300, 34, 18, 56, 34 -- of the picture
local WIDTH, LEAST, MOST = 1180, 110, 280                   -- of the picture; of the space between axes
local SPREAD = 50                                           -- greatest over least value of a log axis

local function sorted_texts(seen)
  local list = {}
  for text in pairs(seen) do list[#list + 1] = text end
  table.sort(list)
  return list
end

-- An axis: place(run) -> coordinate or nil, ticks = { { coordinate, text }, ... }.
local function numeric_axis(name, get, values, percent)
  local low, high = scale.extent { values }
  local s = low > 0 and high / low >= SPREAD and scale.logarithmic(low, high, HEIGHT - BOTTOM, TOP)
    or scale.linear(low, high, HEIGHT - BOTTOM, TOP, { percent = percent, ticks = 4 })
  local ticks = {}
  for i, v in ipairs(s.ticks) do ticks[i] = { s(v), s.format(v) } end
  return { name = name, ticks = ticks, place = function(run)
    local v = get(run)
    return scale.is_number(v) and s(v) or nil
  end }
end

local function text_axis(name, get, seen)
  local texts, at, ticks = sorted_texts(seen), {}, {}
  for i, text in ipairs(texts) do
    at[text] = #texts == 1 and (TOP + HEIGHT - BOTTOM) / 2
      or HEIGHT - BOTTOM - (i - 1) / (#texts - 1) * (HEIGHT - BOTTOM - TOP)
    ticks[i] = { at[text], #text > 12 and text:sub(1, 11) .. "…" or text }
  end
  return { name = name, ticks = ticks, place = function(run) return at[tostring(get(run))] end }
end

local function axis_of(data, name, get, percent)
  local values, seen, numbers = {}, {}, true
  for _, run in ipairs(data.runs) do
    local v = get(run)
    seen[tostring(v)] = true
    if scale.is_number(v) then values[#values + 1] = v
    elseif v ~= nil then numbers = false end
  end
  if numbers and #values > 0 then return numeric_axis(name, get, values, percent) end
  if not numbers then return text_axis(name, get, seen) end
end

local function axes_of(data)
  local list = {}
  for _, name in ipairs(data.varied) do
    list[#list + 1] = axis_of(data, name, function(run) return run.params[name] end)
  end
  local results = { { "threshold/σ", "threshold" }, { "zeros", "zeros", true }, { "top-1", "top1", true } }
  for _, r in ipairs(results) do
    list[#list + 1] = axis_of(data, r[1], function(run) return run[r[2]] end, r[3])
  end
  return list
end

local function draw_axis(axis, x)
  return svg.tag("path", { class = "base", d = svg.path { { x, TOP }, { x, HEIGHT - BOTTOM } } }) ..
    svg.tag("g", { class = "ticks" },
      svg.text("text", { x = x, y = TOP - 16, class = "strong" }, axis.name)) ..
    svg.ticks(axis.ticks, { x = x - 5 })
end

local function draw(data)
  if #data.runs < 3 or #data.varied == 0 then return nil end
  local axes, lines, drawn = axes_of(data), {}, {}
  if #axes < 2 then return nil end
  local step = math.max(LEAST, math.min(MOST, (WIDTH - SIDE - RIGHT) / (#axes - 1)))
  for _, run in ipairs(data.runs) do
    local points = {}
    for i, axis in ipairs(axes) do
      local y = axis.place(run)
      points[i] = y and { SIDE + (i - 1) * step, y } or false
    end
    lines[#lines + 1] = svg.tag("path", { class = "line s " .. run.key, d = svg.path(points) })
  end
  local names = {}
  for i, axis in ipairs(axes) do -- drawn above the lines, so that the numbers stay legible
    drawn[i], names[i] = draw_axis(axis, SIDE + (i - 1) * step), axis.name
  end
  local width = SIDE + (#axes - 1) * step + RIGHT
  local desc = "One line for each of %d runs through the axes %s.  The table of runs has the same values."
  local element = chart.element({ title = "Parallel coordinates", width = width, height = HEIGHT,
    class = "parallel", desc = desc:format(#data.runs, table.concat(names, ", ")) },
    table.concat(lines) .. table.concat(drawn))
  return svg.tag("figure", { class = "wide" },
    svg.scroll("Parallel coordinates", element, ("--w:%.0fpx"):format(width)))
end

-- gnuplot has a style of its own for this: every axis scaled to 0..1.
local function plot(data)
  if #data.runs < 3 or #data.varied == 0 then return {} end
  local axes, rows = axes_of(data), {}
  for _, run in ipairs(data.runs) do
    local points = {}
    for i, axis in ipairs(axes) do
      local y = axis.place(run)
      points[i] = y and { i, (HEIGHT - BOTTOM - y) / (HEIGHT - BOTTOM - TOP) } or nil
    end
    rows[#rows + 1] = { points = points, key = run.key, name = run.name }
  end
  local tics = {}
  for i, axis in ipairs(axes) do tics[i] = { i, axis.name } end
  return { { name = "parallel", title = "Parallel coordinates", lines = rows, xtics = tics,
    x = { 1, #axes }, y = { 0, 1, label = "least to greatest" } } }
end

return { name = "parallel", order = 30, scope = "all", title = "Parallel coordinates", draw = draw,
  plots = plot }
