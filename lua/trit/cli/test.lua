--- trit test: build the tests and run them under ctest.

local test = { name = "test", group = "tool", summary = "build and run the tests",
  epilog = "Tiers: fast takes a minute or two, full adds the sanitizer build and whole training runs,\n" ..
    "slow is everything.  PATTERN is a regular expression on test names." }

function test.setup(parser)
  parser:argument("tier", "fast, full (the default) or slow"):choices({ "fast", "full", "slow" }):args("?")
  parser:option("-k", "only tests whose name matches"):argname("PATTERN"):target("pattern")
  parser:option("-j", "tests at a time"):argname("N"):target("jobs"):default("2"):convert(math.tointeger)
  parser:flag("-v", "show the output of every test"):target("verbose")
  parser:flag("--list", "only list the tests")
end

local LABELS = { fast = "^fast$", full = "^(fast|full)$", slow = "." }
local LOG_TAIL = 60 -- lines of a failed build shown

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

--- Root of the source tree this command belongs to; nil for an installed one.
local function source_root()
  local path = package.searchpath("trit.cli.test", package.path)
  local root = path and path:match("^(.*)/lua/trit/cli/test%.lua$")
  local file = root and io.open(root .. "/CMakeLists.txt")
  if file then file:close() end
  return file and root
end

-- Debian's tools before any other cmake or python in PATH; one build at a time.
local BUILD = [[
PATH=/usr/bin:/bin:$PATH; mkdir -p %s && exec 9>%s/.lock && flock 9 &&
{ cmake -G Ninja -S %s -B %s -DTRIT_TESTS=ON -DTRIT_WERROR=ON && cmake --build %s; } >%s 2>&1 ||
{ tail -n %d %s >&2; exit 1; }]]

local function build(root, dir)
  io.stderr:write(("trit test: building in %s\n"):format(dir))
  local d, log = quote(dir), quote(dir .. "/build.log")
  return os.execute(BUILD:format(d, d, quote(root), d, d, log, LOG_TAIL, log))
end

function test.run(args)
  local root = source_root()
  if not root then return nil, "the tests are part of the source tree; this is an installation" end
  local shared = os.getenv("TRIT_SHARED") or root .. "/../shared"
  if not require("lfs").attributes(shared .. "/golden") then
    io.stderr:write(("trit test: no reference values in %s: the cases that need them are skipped\n")
      :format(shared))
  end
  local dir = root .. "/build-test"
  if not os.getenv("TRIT_NO_BUILD") and not build(root, dir) then
    return nil, ("the test build failed; all of it is in %s/build.log"):format(dir)
  end
  local command = { "PATH=/usr/bin:/bin:$PATH exec ctest --output-on-failure --no-tests=error",
    "--test-dir", quote(dir), "-j", tostring(args.jobs or 2), "-L", quote(LABELS[args.tier or "full"]) }
  if args.pattern then command[#command + 1] = "-R " .. quote(args.pattern) end
  if args.list then command[#command + 1] = "-N" end
  if args.verbose then command[#command + 1] = "-V" end
  return os.execute(table.concat(command, " ")) and 0 or 1
end

return test
