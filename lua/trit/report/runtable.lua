--- The table of runs, sortable by every column.
local svg = require "trit.report.svg"
local term = require "trit.term"

local runtable = {}

-- Text, and the number to sort by.
local function percent(v) return v and term.percent(v, 2):gsub(" ", " ") or "–", v end
local function number(v, format) return v and term.number(v, format) or "–", v end

local function columns(data)
  local list = {
    { title = "status", get = function(run) return run.status end },
    { title = "weights", get = function(run) return run.quantizer or "–" end },
  }
  for _, name in ipairs(data.varied) do
    list[#list + 1] = { title = name, code = true, get = function(run)
      local v = run.params[name]
      if type(v) == "number" then return number(v, "%.6g") end
      return v == nil and "–" or tostring(v)
    end }
  end
  local results = {
    { title = "top-1", get = function(run) return percent(run.top1) end, best = "top1" },
    { title = "best top-1", get = function(run) return percent(run.best) end },
    { title = "zeros", get = function(run)
      return percent(run.quantizer ~= "float" and run.zeros or nil)
    end },
    { title = "threshold/σ", get = function(run) return number(run.threshold, "%.3f") end },
    { title = "test loss", get = function(run) return number(run.loss, "%.4f") end },
    { title = "epochs", get = function(run) return number(run.epochs, "%g") end },
    { title = "time", get = function(run)
      return run.seconds and term.span(run.seconds) or "–", run.seconds
    end },
    { title = "logging", get = function(run)
      local share = run.log_seconds and run.seconds and run.seconds > 0 and run.log_seconds / run.seconds
      return percent(share or nil)
    end },
  }
  for _, column in ipairs(results) do list[#list + 1] = column end
  return list
end

local function heading(column, i, numeric)
  local title = column.code and svg.text("code", {}, column.title) or svg.escape(column.title)
  return svg.tag("th", { scope = "col", class = numeric and "n" or false },
    svg.tag("button", { type = "button", ["data-col"] = ("%d"):format(i) }, title))
end

local function best_of(data, field)
  local best
  for _, run in ipairs(data.runs) do
    local v = run[field]
    if v and v == v then best = math.max(best or v, v) end
  end
  return best
end

-- The run's name, with the button that highlights it.
local function name_cell(run, data)
  local chip = svg.tag("button", { type = "button", class = "chip " .. run.key, ["data-pin"] = run.key,
    ["aria-pressed"] = "false", ["aria-label"] = "Highlight " .. run.name,
    title = "highlight in all figures" }, "")
  local name = svg.text("a", { href = "#" .. run.key, title = run.dir }, run.name)
  local mark = ""
  if run.front and #data.runs > 2 then
    mark = svg.tag("span", { class = "mark", title = "on the Pareto front" }, "front")
  end
  return svg.tag("th", { scope = "row", ["data-v"] = run.name }, chip .. name .. mark)
end

local function row(run, list, data, numeric)
  local cells = { name_cell(run, data) }
  for i, column in ipairs(list) do
    local text, value = column.get(run)
    local finite = type(value) == "number" and value == value
    local best = column.best and finite and #data.runs > 1 and value == best_of(data, column.best)
    cells[#cells + 1] = svg.text("td", { class = best and "n best" or numeric[i] and "n" or false,
      ["data-v"] = finite and ("%.9g"):format(value) or false }, text)
  end
  return svg.tag("tr", { ["data-run"] = run.key }, cells)
end

--- HTML of the table.
function runtable.draw(data)
  local list, rows, numeric = columns(data), {}, {}
  for _, run in ipairs(data.runs) do -- which columns hold numbers, before the first row is written
    for i, column in ipairs(list) do
      local _, value = column.get(run)
      numeric[i] = numeric[i] or type(value) == "number"
    end
  end
  for i, run in ipairs(data.runs) do rows[i] = row(run, list, data, numeric) end
  local head = { heading({ title = "run" }, 0, false) }
  for i, column in ipairs(list) do head[i + 1] = heading(column, i, numeric[i]) end
  local caption = ("%d run%s.  The headings sort; the coloured buttons highlight a run in all figures.")
    :format(#data.runs, #data.runs == 1 and "" or "s")
  return svg.scroll("Table of runs", svg.grid { class = "sortable", id = "runs", caption = caption,
    head = head, rows = rows })
end

return runtable
