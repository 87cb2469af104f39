--- trit show: configuration and last metrics of one run.
local flat = require "trit.flat"
local runfile = require "trit.runfile"
local term = require "trit.term"

local show = { name = "show", group = "look", summary = "configuration and last metrics of a run" }

local SPARK_WIDTH = 40 -- columns of a series over the records

function show.setup(parser)
  parser:argument("run", "run directory or run.h5"):argname("RUN")
  parser:flag("--json", "one JSON document")
end

local function last_of(series)
  local out = {}
  for name, values in pairs(series) do
    if type(values) == "table" then out[name] = values[series.n] end
  end
  return out
end

local function gather(run)
  local state, why = run:status()
  if not state then return nil, why end
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

local function print_pairs(title, list)
  if #list == 0 then return end
  print("\n" .. title)
  local width = 0
  for _, item in ipairs(list) do width = math.max(width, term.length(item[1])) end
  for _, item in ipairs(list) do
    print(("  %s%s  %s"):format(item[1], (" "):rep(width - term.length(item[1])), item[2]))
  end
end

local function print_metrics(d, unicode)
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
    print_pairs(("%s, last of %d records"):format(group, d.records[group]), list)
  end
end

function show.run(args)
  local run, why = runfile.open(args.run)
  if not run then return nil, why end
  local d, message = gather(run)
  if not d then return nil, message end
  if args.json then
    d.series = nil
    print(require("trit.json").encode(d, { indent = true }))
    return 0
  end
  local s = d.status
  print(("%s  %s%s"):format(d.run, s.status, s.message ~= "" and ": " .. s.message or ""))
  print(("created %s on %s%s%s"):format(s.created, s.hostname,
    s.elapsed and ", ran " .. term.span(s.elapsed) or "",
    s.log_seconds and ("; logging took %.2f s"):format(s.log_seconds) or ""))
  print_pairs("config", flat.sorted(d.config or {}))
  print_pairs("environment", flat.sorted(d.env or {}))
  print_metrics(d, term.unicode())
  if #(d.layers or {}) > 0 then
    print(("\n%d layers logged; trit inspect %s shows them"):format(#d.layers, args.run))
  end
  return 0
end

return show
