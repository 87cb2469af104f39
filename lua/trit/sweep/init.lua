--- trit.sweep: an experiment at many points, by any number of workers, in a directory.
--
-- sweep.run(options) is the command; the parts are
--
--   space      words -> axes -> points       discover   a script's options
--   point      configuration and id          store      the directory, claims, states
--   worker     the loop                      child      one run as a process
--   stop_*     early stopping rules          asktell    points from another program
--   summary    table, JSON, CSV, Markdown
local asktell = require "trit.sweep.asktell"
local discover = require "trit.sweep.discover"
local files = require "trit.sweep.files"
local json = require "trit.json"
local lfs = require "lfs"
local params = require "trit.params"
local point = require "trit.sweep.point"
local results = require "trit.sweep.results"
local space = require "trit.sweep.space"
local store = require "trit.sweep.store"
local summary = require "trit.sweep.summary"
local term = require "trit.term"
local view = require "trit.sweep.view"
local worker = require "trit.sweep.worker"

local sweep = {}

local OK, FAILED, RESUMABLE = 0, 1, 75

local function usage(fmt, ...) error({ exit = 2, message = fmt:format(...) .. "; see trit sweep --help" }) end

local function counted(n, noun) return ("%d %s%s"):format(n, noun, n == 1 and "" or "s") end

--- Names of the early stopping rules: the files stop_NAME.lua beside this one.
function sweep.rules()
  local dir = assert(package.searchpath("trit.sweep.store", package.path)):match("^(.*)/")
  local names = {}
  for file in lfs.dir(dir) do
    names[#names + 1] = file:match("^stop_(%l+)%.lua$")
  end
  table.sort(names)
  return names
end

local function rule_named(name)
  if not name then return nil end
  for _, known in ipairs(sweep.rules()) do
    if name == known then return require("trit.sweep.stop_" .. name) end
  end
  usage("option --stop is %q but must be one of %s", name, table.concat(sweep.rules(), ", "))
end

-- ------------------------------------------------------------------------- points

-- "shapes10:train=1000,test=200" are two values, which nobody means who writes it.
local function warn_of_cut(axis)
  local first = axis.values[1]
  if type(first) ~= "string" or not first:find(":", 1, true) then return end
  for _, v in ipairs(axis.values) do
    if v:match("^[%w_]+=[^:]*$") then
      io.stderr:write(("option --%s: %s is a value of its own here; ',' within a value is '\\,', " ..
        "in quotes for the shell\n"):format(axis.name, v))
    end
  end
end

local function axes_of(o, declared)
  local axes = {}
  for _, given in ipairs(o.given) do
    local row = declared[given.name]
    if not row then usage("%s", params.unknown(given.name, declared)) end
    if not given.text and type(row[1]) ~= "boolean" then usage("option --%s needs a value", given.name) end
    local axis, why = space.axis(given.name, given.text or "true", row)
    if not axis then usage("%s", why) end
    warn_of_cut(axis)
    axes[#axes + 1] = axis
  end
  return axes
end

-- The seed's axis is taken out: replicates are made of every point.
local function seeds_of(o, declared, axes)
  local row, axis = declared[point.SEED], nil
  for i, a in ipairs(axes) do
    if a.name == point.SEED then axis = table.remove(axes, i) break end
  end
  if not row then
    if o.seeds then usage("--seeds needs an option `seed` in the script's trit.params") end
    return { false }
  end
  if o.seeds and axis and #axis.values > 1 then usage("--seeds counts from one --seed, not from several") end
  local first = axis and axis.values[1] or row[1]
  if not o.seeds then return axis and axis.values or { first } end
  if math.type(first) ~= "integer" then usage("--seeds needs a whole number as the script's seed") end
  local seeds = {}
  for i = 1, o.seeds do seeds[i] = first + i - 1 end
  return seeds
end

-- Seeds outermost: every configuration has run once before any runs again.
local function points_of(o, declared, script)
  local axes = axes_of(o, declared)
  local names = {}
  for i, axis in ipairs(axes) do names[i] = axis.name end
  local seeds = seeds_of(o, declared, axes)
  if o.ask_tell or o.join then
    local base = {}
    for _, axis in ipairs(axes) do
      if #axis.values > 1 then usage("with --ask-tell and --join, --%s takes one value", axis.name) end
      base[axis.name] = axis.values[1]
    end
    return {}, names, base, seeds
  end
  local chosen, why = space.points(axes, o.search, { points = o.points, seed = o.search_seed })
  if not chosen then usage("%s", why) end
  local list, seen = {}, {}
  for _, seed in ipairs(seeds) do
    for _, values in ipairs(chosen) do
      if seed then values[point.SEED] = seed end
      local p = point.new(script, point.values(declared, values))
      if not seen[p.id] then list[#list + 1] = p end
      seen[p.id] = true
    end
  end
  return list, names
end

-- Points of the directory that are of this script: what --join works on.
local function points_there(place, script)
  local list = {}
  for _, p in ipairs(place:all()) do
    if p.script_hash == script.hash then list[#list + 1] = p end
  end
  return list
end

-- ------------------------------------------------------------------------ dry run

local function dry_run(o, place, points, names)
  local rows, varying = {}, point.varying(points, names)
  for i, p in ipairs(points) do
    local look = place:look(p.id)
    rows[i] = { id = p.id, params = p.params, dir = place:path(p.id), state = look.state }
  end
  if o.json then
    print(json.encode(json.array(rows), { indent = true }))
    return OK
  end
  local head, lines = { "point", table.unpack(varying) }, {}
  head[#head + 1] = "state"
  for i, row in ipairs(rows) do
    lines[i] = { row.id }
    for _, name in ipairs(varying) do table.insert(lines[i], point.text(row.params[name])) end
    table.insert(lines[i], row.state)
  end
  print(term.table(head, lines))
  io.stderr:write(counted(#points, "point"), "\n")
  return OK
end

-- --------------------------------------------------------------------------- plan

local function integer_env(name) return math.tointeger(tonumber(os.getenv(name) or "")) end

-- A task of a Slurm array begins with its share of the points and does not wait for the others.
local function array_share()
  local id, count = integer_env("SLURM_ARRAY_TASK_ID"), integer_env("SLURM_ARRAY_TASK_COUNT")
  if not id then return nil end
  count = count or 1
  return { at = (id - (integer_env("SLURM_ARRAY_TASK_MIN") or 0)) % count, of = count }
end

local function threads_per_run(o)
  local total = o.threads or integer_env("SLURM_CPUS_PER_TASK") or require("trit.core").threads()
  return math.max(1, total // o.jobs)
end

local function announcer(screen, names, metric)
  return function(p, record, s)
    local value = results.value(record.result, metric)
    screen:line("%d/%d  %-11s %s  %s%s  %s%s", s.done, s.total, record.state, p.id:sub(1, 8),
      point.describe(p, names()),
      value and ("  %s %s"):format(metric, summary.number(metric, value)) or "",
      term.span(record.seconds or record.result and record.result.seconds),
      record.reason and record.state ~= "complete" and "  " .. record.reason or "")
  end
end

local function plan_of(o, script, place, points, names)
  local share = array_share()
  local screen = view.new { quiet = o.quiet }
  local plan = { store = place, points = points, script = script.copy, origin = script.path, jobs = o.jobs,
    changed = function() return discover.changed(script) end,
    threads = threads_per_run(o), time_limit = o.time_limit, memory_limit = o.memory_limit,
    rule = o.rule, metric = o.metric, goal = o.goal, retry_failed = o.retry_failed,
    wait = not o.no_wait and not share, share = share, view = screen,
    rule_options = { from = o.stop_from, factor = o.stop_factor, peers = o.stop_peers,
      sign = o.goal == "max" and 1 or -1 } }
  plan.announce = announcer(screen, function() return point.varying(points, names) end, o.metric)
  plan.save = function()
    return summary.save(summary.make(place, points,
      { metric = o.metric, goal = o.goal, first = names, script = script }))
  end
  if o.join then
    plan.refresh = function(list)
      local known = {}
      for _, p in ipairs(list) do known[p.id] = true end
      for _, p in ipairs(points_there(place, script)) do
        if not known[p.id] then list[#list + 1] = p end
      end
    end
    plan.refresh(points)
  end
  return plan
end

-- The command as given, for people who find the directory later.  Says which files changed since.
local function describe(o, script, place, screen)
  local before = files.read_json(place.dir .. "/sweep.json")
  for path, hash in pairs(before and before.files or {}) do
    if script.files[path] and script.files[path] ~= hash then
      screen:line("%s changed since the last sweep here: its points are others now", path)
    end
  end
  local record = { script = script.path, script_hash = script.hash, files = script.files,
    command = o.words, search = o.search, metric = o.metric, goal = o.goal }
  return files.write_json(place.dir .. "/sweep.json", record, { indent = true })
end

-- ------------------------------------------------------------------------ the end

local function say_outcome(o, s, interrupted)
  if o.json then
    print(json.encode(s, { indent = true }))
  elseif not o.ask_tell then
    if #s.groups > 0 then print(summary.text(s, term.unicode())) end
  end
  local function note(fmt, ...)
    if not o.quiet then io.stderr:write(fmt:format(...), "\n") end
  end
  local failed = {}
  for _, row in ipairs(s.points) do
    if row.state == "failed" then failed[#failed + 1] = row end
  end
  for _, row in ipairs(failed) do io.stderr:write(("failed: %s: %s\n"):format(row.dir, row.reason or "")) end
  note("%s in %s: table.csv, table.md, points.json", counted(#s.points, "point"), s.directory)
  if interrupted then
    return RESUMABLE, ("ended by %s; the same command goes on"):format(interrupted)
  end
  if #failed > 0 then
    return FAILED, ("%d of %s failed; --retry-failed tries again"):format(#failed,
      counted(#s.points, "point"))
  end
  return OK
end

local function prepare(o)
  local script, why = discover.read(o.script)
  if not script then return nil, why end
  local declared, reason = discover.declared(script)
  if not declared then return nil, reason end
  for name in pairs(declared) do
    if o.own[name:gsub("_", "-")] then
      usage("the script's option --%s has the name of an option of trit sweep", name)
    end
  end
  o.rule = rule_named(o.stop)
  o.goal = o.goal or results.goal(o.metric)
  o.out = o.out or ("runs/%s/sweep"):format(script.path:match("([^/]+)%.lua$") or "script")
  return script, declared
end

--- Run a sweep; options as trit.cli.sweep collects them.  Returns exit status, message.
function sweep.run(o)
  local script, declared = prepare(o)
  if not script then return FAILED, declared end
  local points, names, base, seeds = points_of(o, declared, script)
  if o.dry_run then
    local place = store.view(o.out, { stale_after = o.stale_after })
    local code = dry_run(o, place, o.join and points_there(place, script) or points, names)
    place:close()
    return code
  end
  local place, why = store.open(o.out, { stale_after = o.stale_after })
  if not place then return FAILED, why end
  local copy, reason = discover.copy(script, o.out)
  if not copy then return FAILED, reason end
  script.copy = copy
  local plan = plan_of(o, script, place, points, names)
  if not o.join then describe(o, script, place, plan.view) end
  if o.ask_tell then
    plan.feed = asktell.new { declared = declared, base = base, seeds = seeds, script = script,
      metric = o.metric, goal = o.goal, jobs = o.jobs }
  end
  plan.view:line("%s in %s, %d at a time, %s each", counted(#points, "point"), o.out, o.jobs,
    counted(plan.threads, "thread"))
  local interrupted = worker.new(plan):run()
  local s = summary.make(place, points, { metric = o.metric, goal = o.goal, first = names, script = script })
  local saved, message = summary.save(s)
  place:close()
  if not saved then return FAILED, message end
  return say_outcome(o, s, interrupted)
end

return sweep
