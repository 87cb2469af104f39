--- trit sweep SCRIPT.lua: an experiment at many points; kill anything, the same command goes on.
local sweep = { name = "sweep", group = "train", raw = true,
  summary = "run an experiment at many points: grid, random, ...; resumes, shares the work" }

sweep.epilog = [[
Every field the script declares with trit.params is an option.  Its words:

  --init 0.02,0.05,0.1   these values             --method all          every choice
  --depth 1..4           whole numbers            --init 0.01..0.1:4    4 values, evenly spaced
  --lr log:1e-4..1e-1:4  4 values, evenly spaced in the logarithm
  --init 0.01..0.1       5 values; of whole numbers, all
  --data 'shapes10:train=1000\,test=200'    a comma within a value is '\,', in quotes for the shell

Values of several options are combined (--search grid), taken side by side (list), or drawn from
ranges A..B and log:A..B (random, halton; --points says how many).  All are checked before any run.

Every point is a run directory DIR/points/ID, its id the hash of script and options.  The same
command again goes on where the last one ended, or helps it while it runs, on this machine or any that
shares DIR.  The table goes to stdout and to table.csv, table.md and points.json in DIR.

Exit status: 0 all points complete or stopped early, 1 some failed, 2 usage, 75 interrupted.]]

-- Option -> { kind, default, help }; kinds: flag, text, count (whole number from 1), whole, size, span.
local OPTIONS = {
  { "seeds", "count", nil, "N", "run every point with N seeds; the table shows mean and 95 % interval" },
  { "jobs", "count", 1, "N", "runs at a time; threads are divided among them (default: 1)" },
  { "threads", "count", nil, "N", "compute threads of all runs together (default: all allowed)" },
  { "out", "text", nil, "DIR", "directory of the sweep (default: runs/SCRIPT/sweep)" },
  { "retry-failed", "flag", nil, nil, "run again what had failed before" },
  { "search", "text", "grid", "HOW", "grid, list, random or halton (default: grid)" },
  { "points", "count", 20, "N", "points that random and halton draw (default: 20)" },
  { "search-seed", "whole", 1, "N", "of the drawing (default: 1)" },
  { "metric", "text", "val/top1", "NAME", "series of the run file that is compared (default: val/top1)" },
  { "goal", "text", nil, "WAY", "max or min (default: by the metric's name)" },
  { "stop", "text", nil, "RULE", "stop bad runs early: median or asha (successive halving)" },
  { "stop-from", "count", 1, "EPOCH", "first epoch that is judged, first rung (default: 1)" },
  { "stop-factor", "count", 3, "N", "asha: one in N goes on; rungs are N times apart (default: 3)" },
  { "stop-peers", "count", 4, "N", "median: fewest other runs to compare with (default: 4)" },
  { "time-limit", "span", nil, "TIME", "of one run: 90, 90s, 10m, 2h" },
  { "memory-limit", "size", nil, "SIZE", "of one run: 500M, 2G" },
  { "ask-tell", "flag", nil, nil, "points come from stdin, results go to stdout, as JSON lines" },
  { "join", "flag", nil, nil, "work on the points that are in DIR, whoever put them there" },
  { "no-wait", "flag", nil, nil, "end when all that is left is being run by other workers" },
  { "stale-after", "count", 120, "SECONDS", "silence after which another machine's worker is lost" },
  { "dry-run", "flag", nil, nil, "only print the points" },
  { "json", "flag", nil, nil, "the outcome as one JSON document" },
  { "quiet", "flag", nil, nil, "no progress" },
}
local BY_NAME = {}
for _, row in ipairs(OPTIONS) do BY_NAME[row[1]] = row end

function sweep.setup(parser)
  parser:argument("script", "the experiment")
  parser:option("--NAME", "values of the script's option NAME"):argname("VALUES")
  for _, row in ipairs(OPTIONS) do
    if row[2] == "flag" then
      parser:flag("--" .. row[1], row[5])
    else
      parser:option("--" .. row[1], row[5]):argname(row[4])
    end
  end
end

local function usage(fmt, ...)
  error({ exit = 2, message = fmt:format(...) .. "; see trit sweep --help" })
end

local SIZES = { [""] = 1, K = 1e3, M = 1e6, G = 1e9, T = 1e12 }
local SPANS = { [""] = 1, s = 1, m = 60, h = 3600, d = 86400 }

local kinds = {}

function kinds.text(_, text) return text end

function kinds.whole(name, text)
  local n = math.tointeger(tonumber(text))
  if not n then usage("option --%s takes a whole number, not %q", name, text) end
  return n
end

function kinds.count(name, text)
  local n = math.tointeger(tonumber(text))
  if not n or n < 1 then usage("option --%s takes a whole number from 1, not %q", name, text) end
  return n
end

local function scaled(name, text, units, example)
  local number, unit = text:match("^([%d.]+)(%a?)$")
  local factor = units[unit or "?"]
  local value = tonumber(number or "")
  if not value or not factor or value <= 0 then usage("option --%s takes %s, not %q", name, example, text) end
  return value * factor
end

function kinds.size(name, text)
  return math.floor(scaled(name, text:upper():gsub("I?B$", ""), SIZES, "a size such as 500M or 2G"))
end

function kinds.span(name, text)
  return scaled(name, text, SPANS, "a time such as 90s, 10m or 2h")
end

-- words -> script, given = { { name =, text = }, ... } in order; a name alone has no text.
local function parse(words)
  local script, given, seen, i = nil, {}, {}, 1
  while i <= #words do
    local word = words[i]
    local name, text = word:match("^%-%-([%w_-]+)=(.*)$")
    name = name or word:match("^%-%-([%w_-]+)$")
    if name then
      if seen[name] then usage("option --%s is given twice; values are joined by commas", name) end
      seen[name] = true
      local flag = BY_NAME[name] and BY_NAME[name][2] == "flag"
      if flag and text then usage("option --%s takes no value", name) end
      if text == nil and not flag and words[i + 1] and not words[i + 1]:match("^%-%-") then
        i = i + 1
        text = words[i]
      end
      if text == nil and BY_NAME[name] and not flag then usage("option --%s needs a value", name) end
      given[#given + 1] = { name = name, text = text }
    else
      if word:match("^%-.") then usage("unknown option %s", word) end
      if script then usage("one script at a time: %s and %s", script, word) end
      script = word
    end
    i = i + 1
  end
  return script, given
end

local function one_of(name, value, list)
  for _, known in ipairs(list) do
    if value == known then return end
  end
  usage("option --%s is %q but must be one of %s", name, value, table.concat(list, ", "))
end

-- Own options into fields (retry-failed -> retry_failed), the script's stay in `given`.
local function collect(words)
  local script, given = parse(words)
  local o = { script = script, given = {}, own = BY_NAME, words = words }
  for _, row in ipairs(OPTIONS) do o[row[1]:gsub("-", "_")] = row[3] end
  for _, option in ipairs(given) do
    local row = BY_NAME[option.name]
    if not row then
      table.insert(o.given, option)
    else
      o[option.name:gsub("-", "_")] = row[2] == "flag" or kinds[row[2]](option.name, option.text)
    end
  end
  if not script then usage("no script is named") end
  one_of("search", o.search, require("trit.sweep.space").searches)
  if o.goal then one_of("goal", o.goal, { "max", "min" }) end
  if o.stop_factor < 2 then usage("option --stop-factor takes a whole number from 2") end
  if o.ask_tell and o.join then usage("--ask-tell and --join exclude each other") end
  return o
end

-- With a script, --help lists its options too.
local function help_of_script(words)
  local script
  for _, word in ipairs(words) do
    if word:match("%.lua$") then script = word end
  end
  if not script then return 0 end
  local discover = require "trit.sweep.discover"
  local found, why = discover.read(script)
  local declared
  if found then declared, why = discover.declared(found) end
  if not declared then return 1, why end
  print(("\nOptions of %s:\n%s"):format(script, require("trit.params").help(declared)))
  return 0
end

function sweep.run(words)
  for _, word in ipairs(words) do
    if word == "--help" or word == "-h" then
      local parser = require("argparse")("trit sweep", sweep.summary, sweep.epilog)
      sweep.setup(parser)
      print(parser:get_help())
      return help_of_script(words)
    end
  end
  return require("trit.sweep").run(collect(words))
end

return sweep
