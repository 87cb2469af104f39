--- Replicates: runs with the same parameters and different seeds, joined to one row each.
--
--     local points = replicates.join(data.runs, data.varied)       -- nil when no parameters ran twice
--
-- A point: { key, name (without the seed), runs, params, top1, zeros, loss, threshold = means, half = {
-- top1 = half the 95 % interval, ... } }; complete runs count where there are any.
local interval = require "trit.sweep.interval"
local json = require "trit.json"
local svg = require "trit.report.svg"
local term = require "trit.term"

local replicates = {}

local SEED = "seed"
local FIELDS = { "top1", "zeros", "threshold", "loss" }

-- What replicates have in common, as text; nil: nothing is known of the run's parameters.
local function common(run)
  if run.params[SEED] == nil then return nil end
  local rest = { model = run.model, quantizer = run.quantizer, params = {} }
  for name, v in pairs(run.params) do
    if name ~= SEED then rest.params[name] = v end
  end
  return json.encode(rest)
end

local function text_of(v) return type(v) == "number" and ("%.6g"):format(v) or tostring(v) end

local function name_of(run, varied)
  local words = {}
  for _, name in ipairs(varied) do
    if name ~= SEED and run.params[name] ~= nil then
      words[#words + 1] = name .. "=" .. text_of(run.params[name])
    end
  end
  return #words > 0 and table.concat(words, " ") or "all runs"
end

local function finite(v) return type(v) == "number" and v == v and math.abs(v) ~= math.huge end

local function counted(list)
  local complete = {}
  for _, run in ipairs(list) do
    if run.status == "complete" then complete[#complete + 1] = run end
  end
  return #complete > 0 and complete or list
end

local function point_of(list, varied)
  local first = list[1]
  local p = { key = first.key, name = #list > 1 and name_of(first, varied) or first.name,
    params = first.params, quantizer = first.quantizer, runs = list, counted = counted(list), half = {} }
  for _, field in ipairs(FIELDS) do
    local values = {}
    for _, run in ipairs(p.counted) do
      if finite(run[field]) then values[#values + 1] = run[field] end
    end
    p[field], p.half[field] = interval.of(values)
  end
  return p
end

--- Points in the order of their first runs; nil when every one would be a single run.
function replicates.join(list, varied)
  local groups, by_key = {}, {}
  for _, run in ipairs(list) do
    local key = common(run)
    local group = key and by_key[key]
    if not group then
      group = {}
      groups[#groups + 1] = group
      if key then by_key[key] = group end
    end
    group[#group + 1] = run
  end
  if #groups == #list then return nil end
  local points = {}
  for i, group in ipairs(groups) do points[i] = point_of(group, varied) end
  return points
end

--- "88.25 ± 0.31 %" of a point's share.
function replicates.percent(point, field, digits)
  local mean, half = point[field], point.half and point.half[field]
  if not half then return term.percent(mean, digits) end
  local number = ("%%.%df"):format(digits or 1)
  return (number .. " ± " .. number .. " %%"):format(100 * mean, 100 * half)
end

--- "0.512 ± 0.004" of another number.
function replicates.number(point, field, format)
  local text, half = term.number(point[field], format), point.half and point.half[field]
  return half and text .. " ± " .. term.number(half, "%.2g") or text
end

local function row(p, best)
  local function cell(text, value, class)
    local sort = finite(value) and ("%.9g"):format(value) or false
    return svg.text("td", { class = class or "n", ["data-v"] = sort }, text)
  end
  local runs = #p.counted == #p.runs and ("%d"):format(#p.runs) or ("%d of %d"):format(#p.counted, #p.runs)
  local name = svg.tag("span", { class = "chip " .. p.key }, "") .. " " ..
    svg.text("a", { href = "#" .. p.key }, p.name)
  return svg.tag("tr", {}, svg.tag("th", { scope = "row", ["data-v"] = p.name }, name) ..
    cell(runs, #p.counted) .. cell(replicates.percent(p, "top1", 2), p.top1, p.top1 == best and "n best") ..
    cell(replicates.percent(p, "zeros", 2), p.zeros) .. cell(replicates.number(p, "threshold", "%.3f"),
      p.threshold) .. cell(replicates.number(p, "loss", "%.4f"), p.loss))
end

--- HTML: the table that compares points.
function replicates.draw(points)
  local head, rows, best = {}, {}, nil
  for _, p in ipairs(points) do best = finite(p.top1) and math.max(best or p.top1, p.top1) or best end
  for i, title in ipairs { "parameters", "runs", "top-1", "zeros", "threshold/σ", "test loss" } do
    head[i] = svg.tag("th", { scope = "col", class = i > 1 and "n" or false },
      svg.tag("button", { type = "button", ["data-col"] = ("%d"):format(i - 1) }, title))
  end
  for i, p in ipairs(points) do rows[i] = row(p, best) end
  local caption = "Runs with the same parameters and different seeds: mean and 95 % interval " ..
    "(Student's t) of those that are complete."
  return svg.scroll("Table of parameters", svg.grid { class = "sortable", id = "points", caption = caption,
    head = head, rows = rows })
end

return replicates
