--- The outcome of a sweep: points, replicates joined to groups, as table, JSON, CSV and Markdown.
local files = require "trit.sweep.files"
local interval = require "trit.sweep.interval"
local json = require "trit.json"
local point = require "trit.sweep.point"
local results = require "trit.sweep.results"
local term = require "trit.term"

local summary = {}

local ORDER = { complete = 1, stopped = 2, running = 3 } -- of states in the table; others after

local function row_of(store, p, metric)
  local look = store:look(p.id)
  local record = look.exit or {}
  local last = record.result
  if not last and look.claim > 0 then last = results.last(store:path(p.id)) end
  return { id = p.id, params = p.params, dir = store:path(p.id), state = look.state, reason = record.reason,
    attempts = look.claim, value = results.value(last, metric), zeros = results.value(last, "val/zeros"),
    epoch = results.value(last, "val/epoch"), seconds = last and last.seconds or record.seconds,
    group = point.group(p) }
end

-- Replicates of one configuration -> one row of the table.
local function join(rows)
  local first, count = rows[1], {}
  local group = { params = {}, runs = #rows, points = json.array {} }
  for name, v in pairs(first.params) do
    if name ~= point.SEED then group.params[name] = v end
  end
  local values, partial, zeros, seconds = {}, {}, {}, {}
  for _, row in ipairs(rows) do
    count[row.state] = (count[row.state] or 0) + 1
    group.points[#group.points + 1] = row.id
    if row.value then table.insert(row.state == "complete" and values or partial, row.value) end
    if row.zeros then zeros[#zeros + 1] = row.zeros end
    if row.seconds then seconds[#seconds + 1] = row.seconds end
  end
  group.complete, group.count = count.complete or 0, count
  group.mean, group.half = interval.of(#values > 0 and values or partial)
  group.zeros, group.seconds = interval.of(zeros), interval.of(seconds)
  for state, n in pairs(count) do
    if n == #rows then group.state = state end
  end
  return group
end

local function state_text(group)
  if group.state then return group.state end
  local list = {}
  for state, n in pairs(group.count) do list[#list + 1] = ("%d %s"):format(n, state) end
  table.sort(list)
  return table.concat(list, ", ")
end

-- Complete ones first, the best of them on top.
local function sort(groups, goal)
  local sign = goal == "max" and 1 or -1
  local function rank(g)
    if g.complete > 0 then return 1 end
    return g.mean and (ORDER[g.state] or 4) or 5
  end
  for i, g in ipairs(groups) do g.index = i end
  table.sort(groups, function(a, b)
    local x, y = rank(a), rank(b)
    if x ~= y then return x < y end
    if a.mean ~= b.mean and a.mean and b.mean then return sign * a.mean > sign * b.mean end
    return a.index < b.index
  end)
  for _, g in ipairs(groups) do g.index = nil end
end

--- summary.make(store, points, { metric =, goal =, first = names of the swept options, script = })
function summary.make(store, points, o)
  local s = { script = o.script and o.script.path, script_hash = o.script and o.script.hash,
    directory = store.dir, metric = o.metric, goal = o.goal, points = json.array {}, groups = json.array {},
    varying = json.array {}, count = {} }
  local by_group, order = {}, {}
  for _, p in ipairs(points) do
    local row = row_of(store, p, o.metric)
    s.points[#s.points + 1] = row
    s.count[row.state] = (s.count[row.state] or 0) + 1
    if not by_group[row.group] then
      by_group[row.group] = {}
      order[#order + 1] = row.group
    end
    table.insert(by_group[row.group], row)
    row.group = nil
  end
  for _, key in ipairs(order) do s.groups[#s.groups + 1] = join(by_group[key]) end
  for _, g in ipairs(s.groups) do g.states = state_text(g) end
  sort(s.groups, o.goal)
  for _, name in ipairs(point.varying(points, o.first or {})) do
    if name ~= point.SEED then s.varying[#s.varying + 1] = name end
  end
  return s
end

local function is_share(name)
  local _, series = results.metric(name)
  return series:match("top%d") or series:match("acc") or series == "zeros"
end

--- A metric's value for people, with half its interval if there is one.
function summary.number(metric, mean, half, plus)
  if not mean then return "-" end
  local share = is_share(metric)
  local scale, format = share and 100 or 1, share and "%.2f" or "%.5g"
  local text = format:format(scale * mean)
  if half then text = text .. " " .. plus .. " " .. (share and "%.2f" or "%.2g"):format(scale * half) end
  return share and text .. " %" or text
end

-- Titles and cells of the table.
local function cells(s, plus)
  local head, rows, right = {}, {}, {}
  for i, name in ipairs(s.varying) do head[i] = name end
  local n = #head
  for i, title in ipairs { "seeds", s.metric, "zeros", "seconds", "state" } do
    head[n + i], right[n + i] = title, i < 5
  end
  for r, g in ipairs(s.groups) do
    local row = {}
    for i, name in ipairs(s.varying) do row[i] = point.text(g.params[name]) end
    row[n + 1] = g.complete == g.runs and tostring(g.runs) or ("%d/%d"):format(g.complete, g.runs)
    row[n + 2] = summary.number(s.metric, g.mean, g.half, plus)
    row[n + 3] = term.percent(g.zeros)
    row[n + 4] = term.number(g.seconds, "%.1f")
    row[n + 5] = g.states
    rows[r] = row
  end
  return head, rows, right
end

--- The table as text.
function summary.text(s, unicode)
  local head, rows, right = cells(s, unicode and "±" or "+-")
  return term.table(head, rows, right)
end

local function markdown(s)
  local head, rows, right = cells(s, "±")
  local rule, lines = {}, {}
  for i = 1, #head do rule[i] = right[i] and "---:" or "---" end
  for _, row in ipairs { head, rule, table.unpack(rows) } do
    for i, text in ipairs(row) do row[i] = text:gsub("|", "\\|") end
    lines[#lines + 1] = "| " .. table.concat(row, " | ") .. " |"
  end
  return table.concat(lines, "\n") .. "\n"
end

local function csv_cell(v)
  if v == nil then return "" end
  local text = type(v) == "string" and v or json.encode(v)
  return text:find("[\",\r\n]") and '"' .. text:gsub('"', '""') .. '"' or text
end

-- One row per group, numbers in full precision.
local function csv(s)
  local columns = { "runs", "complete", "mean", "half", "zeros", "seconds", "states" }
  local line, lines = {}, {}
  for _, name in ipairs(s.varying) do line[#line + 1] = csv_cell(name) end
  for _, name in ipairs(columns) do line[#line + 1] = name end
  lines[1] = table.concat(line, ",")
  for _, g in ipairs(s.groups) do
    line = {}
    for _, name in ipairs(s.varying) do line[#line + 1] = csv_cell(g.params[name]) end
    local width = #s.varying
    for i, name in ipairs(columns) do line[width + i] = csv_cell(g[name]) end
    lines[#lines + 1] = table.concat(line, ",")
  end
  return table.concat(lines, "\r\n") .. "\r\n"
end

--- points.json, table.csv and table.md in the sweep's directory.  Returns true; nil and a sentence.
function summary.save(s)
  local ok, why = files.write_json(s.directory .. "/points.json", s, { indent = true })
  if ok then ok, why = files.write(s.directory .. "/table.csv", csv(s)) end
  if ok then ok, why = files.write(s.directory .. "/table.md", markdown(s)) end
  return ok, why
end

return summary
