--- trit show: configuration and last metrics of one run.
local flat = require "trit.flat"
local runfile = require "trit.runfile"
local term = require "trit.term"

local runs = require "trit.runs"

local show = { name = "show", group = "look", summary = "configuration and last metrics of a run" }

show.epilog = [[
A directory that holds several runs shows each of them; --where and --sort choose (see trit ls --help).

  trit show runs/one                       everything
  trit show runs/one params                lines whose name contains "params"
  trit show runs/sweep top1 --where 'zeros > 0.5' --sort top1]]

local SPARK_WIDTH = 40 -- columns of a series over the records

function show.setup(parser)
  parser:argument("run", "run directory, run.h5, or a directory with runs"):argname("RUN")
  parser:argument("pattern", "only lines whose name contains this or matches it as a Lua pattern")
    :args("?"):argname("PATTERN")
  runs.add_options(parser)
  parser:flag("--json", "one JSON document")
end

local function last_of(series)
  local out = {}
  for name, values in pairs(series) do
    if type(values) == "table" then out[name] = values[series.n] end
  end
  return out
end

-- `row`: what trit ls says of the run; its status knows of a sweep that ended it.
local function gather(run, row)
  local state, why = run:status()
  if not state then return nil, why end
  state.status, state.message = row.status, row.message or ""
  local out = { run = run.path, status = state, metrics = {}, records = {}, series = {} }
  out.config, out.env = run:config(), run:env()
  out.layers = run:layers()
  for _, group in ipairs(run:groups() or {}) do
    local series = run:series(group)
    if series and series.n > 0 then
      out.metrics[group], out.records[group], out.series[group] = last_of(series), series.n, series
    end
  end
  return out
end

local function matches(name, pattern)
  if not pattern or name:find(pattern, 1, true) then return true end
  local ok, found = pcall(string.find, name, pattern)
  return ok and found ~= nil
end

-- Lines { name, text } below a title; only those whose full name, prefix included, matches.
local function print_pairs(title, list, pattern, prefix)
  local chosen, width = {}, 0
  for _, item in ipairs(list) do
    if matches(prefix .. item[1], pattern) then
      chosen[#chosen + 1] = item
      width = math.max(width, term.length(item[1]))
    end
  end
  if #chosen == 0 then return end
  print("\n" .. title)
  for _, item in ipairs(chosen) do
    local text = item[2]:gsub("\n", "\n" .. (" "):rep(width + 4))
    print(("  %s%s  %s"):format(item[1], (" "):rep(width - term.length(item[1])), text))
  end
end

local function print_metrics(d, unicode, pattern)
  local groups = {}
  for group in pairs(d.metrics) do groups[#groups + 1] = group end
  table.sort(groups)
  for _, group in ipairs(groups) do
    local list = {}
    for _, item in ipairs(flat.sorted(d.metrics[group])) do
      local series = d.series[group][item[1]]
      local line = term.number(tonumber(item[2]), "%.6g")
      if item[1] ~= "step" and item[1] ~= "wall_time" and item[1] ~= "epoch" and #series > 1
        and type(series[1]) == "number" then
        line = ("%-12s %s"):format(line, term.sparkline(series, SPARK_WIDTH, unicode))
      end
      list[#list + 1] = { item[1], line }
    end
    print_pairs(("%s, last of %d records"):format(group, d.records[group]), list, pattern, group .. ".")
  end
end

-- "; logging 0.12 s (1.3 %), checkpoints ..., data wait ...", of what the run file knows.
local function cost_of(s)
  local parts, titles = {}, { log = "logging", checkpoint = "checkpoints", data_wait = "data wait" }
  for _, what in ipairs { "log", "checkpoint", "data_wait" } do
    local seconds, percent = s[what .. "_seconds"], s[what .. "_percent"]
    if seconds then
      parts[#parts + 1] = ("%s %.2f s%s"):format(titles[what], seconds,
        percent and (" (%.1f %%)"):format(percent) or "")
    end
  end
  return #parts > 0 and "; " .. table.concat(parts, ", ") or ""
end

-- Is there a line whose name, prefix included, matches?
local function has_line(d, pattern)
  for _, part in ipairs { { config = d.config, env = d.env }, d.metrics } do
    for name in pairs(flat.map(part)) do
      if matches(name, pattern) then return true end
    end
  end
  return false
end

-- "failed: loss is nan"; messages that begin with the status are all of it.
local function status_text(s)
  if s.message == "" then return s.status end
  if s.message:sub(1, #s.status) == s.status then return s.message end
  return s.status .. ": " .. s.message
end

local function print_run(d, pattern)
  local s = d.status
  print(("%s  %s"):format(d.run, status_text(s)))
  if not pattern then
    print(("created %s on %s%s%s"):format(s.created, s.hostname,
      s.elapsed and ", ran " .. term.span(s.elapsed) or "",
      cost_of(s)))
  end
  print_pairs("config", flat.sorted(d.config or {}), pattern, "config.")
  print_pairs("environment", flat.sorted(d.env or {}), pattern, "env.")
  print_metrics(d, term.unicode(), pattern)
  if #(d.layers or {}) > 0 and not pattern then
    print(("\n%d layers logged; trit inspect %s shows them"):format(#d.layers, d.run:gsub("/run%.h5$", "")))
  end
end

-- The runs meant: the one at the path, or those below it that pass the filter.
local function choose(args)
  local run, why = runfile.open(args.run)
  local found = not run and runs.find(args.run)
  local rows = {}
  if run then rows[1] = runs.summary(args.run) end
  for i, dir in ipairs(found or {}) do rows[i] = runs.summary(dir) end
  if #rows == 0 then return nil, why end
  return runs.select(rows, args)
end

function show.run(args)
  local rows, why = choose(args)
  if not rows then return nil, why end
  local all, found = {}, #rows == 0
  for i, row in ipairs(rows) do
    local run, message = runfile.open(row.run)
    local d
    if run then d, message = gather(run, row) end
    if not d then return nil, message end
    all[i], found = d, found or has_line(d, args.pattern)
  end
  if not found then
    return nil, ("nothing here has a name with \"%s\" in it, as config.epochs or val.top1 are names"):format(
      args.pattern)
  end
  if args.json then
    for _, d in ipairs(all) do d.series = nil end
    local json = require "trit.json"
    local one = #all == 1 and runfile.find(args.run)
    print(json.encode(one and all[1] or json.array(all), { indent = true }))
    return 0
  end
  for i, d in ipairs(all) do
    if i > 1 then print("\n" .. ("-"):rep(term.width()) .. "\n") end
    print_run(d, args.pattern)
  end
  if #all == 0 then io.stderr:write(("no run in '%s' is such\n"):format(args.run)) end
  return 0
end

return show
