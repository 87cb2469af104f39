--- trit run SCRIPT.lua: one experiment; every trit.params field of the script is a --NAME.

local run = { name = "run", group = "train", raw = true, summary = "run one experiment script" }

run.epilog = "Every field the script declares with trit.params is an option, --NAME VALUE;\n" ..
  "`trit run SCRIPT.lua --help` lists them.  The last line of stdout is the run directory.\n\n" ..
  "Ctrl-C, SIGTERM and SIGUSR1 save at the next step and end with status 75 (a second Ctrl-C\n" ..
  "ends at once).  After that, or a crash, the same command with --resume goes on, to the bits\n" ..
  "of a run that never stopped."

function run.setup(parser)
  parser:argument("script", "the experiment")
  parser:option("--NAME", "set the script's option NAME"):argname("VALUE")
  parser:option("--out", "run directory (default: runs/SCRIPT/TIME)"):argname("DIR")
  parser:flag("--resume", "continue the run in the run directory")
  parser:option("--threads", "compute threads (default: all allowed by the system)"):argname("N")
  parser:flag("--quiet", "no progress")
end

local INTERRUPTED = 75 -- the same command goes on, or begins anew where nothing was saved
local CTRL_C = 130     -- of a script that Lua itself stopped
local FLAGS = { resume = true, quiet = true, help = true }

local function usage(fmt, ...)
  error({ exit = 2, message = fmt:format(...) .. "; see trit run --help" })
end

--- Split words into the script, our options and the script's: --NAME VALUE, --NAME=VALUE; a --NAME
-- without a value is `true`.
local function parse(words)
  local context = require "trit.context"
  local given, i = {}, 1
  while i <= #words do
    local word = words[i]
    local name, value = word:match("^%-%-([%w_]+)=(.*)$")
    name = name or word:match("^%-%-([%w_-]+)$") or word == "-h" and "help"
    if not name then
      if word:match("^%-.") then usage("unknown option %s", word) end
      if context.script then usage("one script at a time: %s and %s", context.script, word) end
      context.script = word
    else
      if given[name] then usage("option --%s is given twice", name) end
      if value == nil and not FLAGS[name] and words[i + 1] and not words[i + 1]:match("^%-%-") then
        i = i + 1
        value = words[i]
      end
      given[name] = value or true
    end
    i = i + 1
  end
  return context, given
end

--- Move our own options from `given` into the context; what remains is the script's.
local function take(context, given)
  local function pop(name)
    local value = given[name]
    given[name] = nil
    return value
  end
  context.resume, context.quiet = pop("resume") ~= nil, pop("quiet") ~= nil
  context.out = pop("out")
  if context.out == true or context.out == "" then usage("option --out takes a directory") end
  if context.resume and not context.out then usage("--resume needs --out DIR, the run to continue") end
  local threads = pop("threads")
  if threads == true then usage("option --threads needs a value") end
  if threads then
    context.threads = math.tointeger(tonumber(threads))
    if not context.threads or context.threads < 1 then
      usage("option --threads takes a whole number from 1, not %q", threads)
    end
  end
  local help = pop("help")
  context.argv = given
  return help
end

local function show_options(context)
  context.argv = {}
  context.on_params = function(declared)
    print(("Usage: trit run %s [--NAME VALUE]... [--out DIR] [--resume] [--threads N] [--quiet]\n\n" ..
      "Options of the script:\n%s"):format(context.script, require("trit.params").help(declared)))
    error({ exit = 0 })
  end
end

function run.run(words)
  local context, given = parse(words)
  if not context.script then usage("no script is named") end
  local help = take(context, given)
  if help then show_options(context) end
  local core = require "trit.core"
  if context.threads then
    local set, why = pcall(core.threads, context.threads)
    if not set then usage("option --%s", why) end
  end
  core.end_on_signals(INTERRUPTED) -- a training takes them over
  local ok, failure = require("trit.script").run(context.script)
  if not ok then
    if failure.exit == CTRL_C then failure.exit = INTERRUPTED end
    -- Refused before any option was accepted: the command line is at fault, not the run.
    local message = failure.message
    if failure.exit == 1 and not context.params and message:match("option %-%-") then
      return 2, (message:gsub("^[^\n]-:%d+: ", "", 1))
    end
    if context.run_dir and (failure.exit == 0 or failure.exit == INTERRUPTED) and not help then
      print(context.run_dir)
    end
    return failure.exit, message
  end
  if help then return 0, ("%s declares no options"):format(context.script) end
  if not context.params and next(given) then
    return 2, ("unknown option --%s; %s declares no options"):format(next(given), context.script)
  end
  if context.run_dir then print(context.run_dir) end
  return 0
end

return run
