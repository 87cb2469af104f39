--- In which settings the runs differ, and which they share.
local flat = require "trit.flat"
local svg = require "trit.report.svg"

local differences = {}

local COLUMNS = 6 -- with more runs than this, values are listed with how many runs have them
local MANY = 8    -- different values listed

local ABSENT = "–"

local function union(runs)
  local seen, names = {}, {}
  for _, run in ipairs(runs) do
    for name in pairs(run.flat) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  table.sort(names)
  return names
end

local function values_of(runs, name)
  local list, same = {}, true
  for i, run in ipairs(runs) do
    list[i] = run.flat[name] or ABSENT
    same = same and list[i] == list[1]
  end
  return list, same
end

--- { { name =, values = one per run }, ... } of what differs, and the same of what does not, with one
-- value.  Settings that are the same for all layers are one row, "layers.*.options.init".
function differences.find(runs)
  local differ, shared, seen = {}, {}, {}
  for _, name in ipairs(union(runs)) do
    local values, same = values_of(runs, name)
    local key = flat.general(name) .. "\0" .. table.concat(values, "\0")
    if not seen[key] then
      seen[key] = true
      local list = same and shared or differ
      list[#list + 1] = { name = flat.general(name), values = values }
    end
  end
  return differ, shared
end

local function cell(text)
  return svg.text("td", {}, text)
end

-- "0.1 ×4, 0.2 ×4"
local function counted(values)
  local count, order = {}, {}
  for _, v in ipairs(values) do
    if not count[v] then order[#order + 1] = v end
    count[v] = (count[v] or 0) + 1
  end
  local words = {}
  for i, v in ipairs(order) do
    if i > MANY then
      words[i] = ("and %d more"):format(#order - MANY)
      break
    end
    words[i] = ("%s ×%d"):format(v, count[v])
  end
  return table.concat(words, ",  ")
end

local function differing(data, list)
  local wide = #data.runs > COLUMNS
  local head = { svg.tag("th", { scope = "col" }, "setting") }
  if wide then
    head[2] = svg.tag("th", { scope = "col" }, "values, and how many runs have each")
  else
    for i, run in ipairs(data.runs) do head[i + 1] = svg.text("th", { scope = "col" }, run.name) end
  end
  local rows = {}
  for i, d in ipairs(list) do
    local cells = { svg.tag("th", { scope = "row" }, svg.text("code", {}, d.name)) }
    if wide then
      cells[2] = cell(counted(d.values))
    else
      for k, v in ipairs(d.values) do cells[k + 1] = cell(v) end
    end
    rows[i] = svg.tag("tr", {}, cells)
  end
  return svg.grid { class = "settings", caption = "Settings in which the runs differ.", head = head,
    rows = rows }
end

local function common(list, one)
  local rows = {}
  for i, d in ipairs(list) do
    rows[i] = svg.tag("tr", {}, svg.tag("th", { scope = "row" }, svg.text("code", {}, d.name)) ..
      cell(d.values[1]))
  end
  local title = one and ("Configuration, %d settings"):format(#list)
    or ("Settings that all runs share, %d"):format(#list)
  return svg.tag("details", {}, svg.text("summary", {}, title) ..
    svg.scroll(title, svg.grid { class = "settings", caption = title, hidden = true, rows = rows }))
end

--- HTML: the table of differences and, folded, what the runs share.
function differences.draw(data)
  local differ, shared = differences.find(data.runs)
  local parts = {}
  if #data.runs > 1 then
    if #differ > 0 then
      parts[1] = svg.scroll("Settings that differ", differing(data, differ))
    else
      parts[1] = svg.tag("p", {}, "The runs have the same settings.")
    end
  end
  parts[#parts + 1] = common(shared, #data.runs == 1)
  return table.concat(parts)
end

return differences
