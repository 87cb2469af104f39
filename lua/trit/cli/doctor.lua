--- trit doctor: what this machine and this build are, and whether the parts work.

local doctor = { name = "doctor", group = "tool",
  summary = "processor, build, libraries, self-checks",
  epilog = "Each line is ok, warn or fail; the exit status is 1 if a check failed." }

-- A float32 Winograd pass of tile 4x4 stays below 2e-5 of the largest result on normal data; a wrong
-- algorithm is off by 1e-1 and more.
local CONV_RESIDUAL = 1e-4
local LOW_MEMORY = 512 << 20 -- bytes free below which training of the stock networks gets tight

-- Files of the process' map that tell the libraries in use: name -> pattern of the file.
local LIBRARIES = { { "HDF5", "libhdf5_serial%.so" }, { "BLIS", "libblis%.so" },
  { "TurboJPEG", "libturbojpeg%.so" }, { "spng", "libspng%.so" }, { "xxHash", "libxxhash%.so" },
  { "zlib", "libz%.so" } }
local MODULES = { "argparse", "lfs", "luv", "dkjson" }

function doctor.setup(parser)
  parser:flag("--json", "one JSON document: a list of { check, status, text }")
end

local function read_file(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

--- First line a shell command prints; nil when it fails or prints nothing.
local function line_of(command)
  local pipe = io.popen(command .. " 2>/dev/null")
  local line = pipe and pipe:read("l")
  return pipe and pipe:close() and line or nil
end

local function mib(bytes) return ("%.0f MiB"):format(bytes / (1 << 20)) end

local checks = {} -- in the order shown: { name, function -> status, text }

local function check(name, fn) checks[#checks + 1] = { name, fn } end

local function core() return require "trit.core" end

check("version", function()
  local path = package.searchpath("trit", package.path) or ""
  local root = path:match("^(.*)/lua/trit/init%.lua$")
  local commit = root and line_of(("git -C '%s' describe --always --dirty"):format(root:gsub("'", "'\\''")))
  return "ok", ("trit %s%s, %s"):format(core().version, commit and " commit " .. commit or "", _VERSION)
end)

check("build", function()
  local b = core().build()
  return b.sanitized and "warn" or "ok", ("%s, %s (%s)%s"):format(b.compiler, b.type, b.flags,
    b.sanitized and ", with sanitizers: slow" or "")
end)

check("processor", function()
  local line, vnni = core().cpu()
  return "ok", line .. (vnni and ", VNNI" or ", no VNNI")
end)

check("instruction set", function()
  local c = core()
  local used, available = c.isa(), {}
  for _, level in ipairs { "generic", "avx2", "avx512" } do
    if pcall(c.isa_force, level) then available[#available + 1] = level end
  end
  c.isa_force(used)
  local wish = os.getenv("TRIT_ISA")
  local best = available[#available]
  return used == "generic" and "warn" or "ok", ("%s in use%s; available: %s"):format(used,
    wish and wish ~= "" and " (TRIT_ISA=" .. wish .. ")" or used == best and " (the best here)" or "",
    table.concat(available, ", "))
end)

--- Processors' worth of time the control group grants; nil when unlimited or unknown.
local function quota()
  local text = read_file("/sys/fs/cgroup/cpu.max")
  local limit, period = (text or ""):match("^(%d+) (%d+)")
  if not limit then
    limit = (read_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") or ""):match("^(%d+)")
    period = (read_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us") or ""):match("^(%d+)")
  end
  return limit and period and tonumber(limit) / tonumber(period)
end

check("threads", function()
  local n = core().threads()
  local why = "the processors this process may use"
  for _, name in ipairs { "OMP_NUM_THREADS", "TRIT_THREADS" } do
    local value = os.getenv(name)
    if value and value ~= "" then why = name .. "=" .. value end
  end
  local allowed = (read_file("/proc/self/status") or ""):match("Cpus_allowed_list:%s*(%S+)")
  local text = ("%d: %s; affinity %s"):format(n, why, allowed or "unknown")
  local limit = quota()
  if limit then text = text .. ("; control group grants %.1f"):format(limit) end
  if limit and limit < n - 0.5 then
    return "warn", text .. (": set TRIT_THREADS=%d"):format(math.max(1, math.floor(limit)))
  end
  return "ok", text
end)

check("memory", function()
  local info = read_file("/proc/meminfo") or ""
  local total = tonumber(info:match("MemTotal:%s*(%d+)") or 0) * 1024
  local free = tonumber(info:match("MemAvailable:%s*(%d+)") or 0) * 1024
  local limit = tonumber((read_file("/sys/fs/cgroup/memory.max") or ""):match("^(%d+)"))
  local text = ("%s available of %s"):format(mib(free), mib(total))
  if limit then text = text .. ", control group limit " .. mib(limit) end
  return math.min(free, limit or free) < LOW_MEMORY and "warn" or "ok", text
end)

check("gemm", function() return "ok", core().gemm_library() end)

check("libraries", function()
  core().gemm_library() -- loads BLIS' kernels
  local maps, found = read_file("/proc/self/maps") or "", {}
  for _, row in ipairs(LIBRARIES) do
    local path = maps:match("(/[^\n]*/" .. row[2] .. "[^\n]*)")
    if path then
      local flavour = path:match("/blis%-(%l+)/")
      found[#found + 1] = ("%s %s%s"):format(row[1], path:match("%.so%.([%d.]+)$") or "?",
        flavour and " (" .. flavour .. ")" or "")
    end
  end
  return "ok", "shared objects " .. table.concat(found, ", ") .. "; HDF5 release " .. core().h5_version()
end)

check("Lua modules", function()
  local missing = {}
  for _, name in ipairs(MODULES) do
    if not pcall(require, name) then missing[#missing + 1] = name end
  end
  if #missing > 0 then return "fail", "missing: " .. table.concat(missing, ", ") end
  return "ok", table.concat(MODULES, ", ")
end)

check("convolution", function()
  local worst, names, seen = nil, {}, {}
  for _, row in ipairs(core().conv_check()) do
    if not worst or not (row.residual <= worst.residual) then worst = row end
    if not seen[row.algorithm] then names[#names + 1] = row.algorithm end
    seen[row.algorithm] = true
  end
  return worst.residual <= CONV_RESIDUAL and "ok" or "fail",
    ("%s; largest residual %.1e (%s, pass %s, %s), allowed %.0e"):format(table.concat(names, ", "),
      worst.residual, worst.shape, worst.pass, worst.algorithm, CONV_RESIDUAL)
end)

-- The child writes, flushes and is killed where it stands.
local CHILD = [[
local f = assert(require("trit.core").h5_open(arg[1], "w"))
for i = 1, 100 do f:write("train/loss" .. i, i + 0.5) f:flush() end
require("luv").kill(require("luv").os_getpid(), "sigkill")]]

check("HDF5 policy", function()
  local dir = assert(require("luv").fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/trit-doctor-XXXXXX"))
  local path, script = dir .. "/run.h5", dir .. "/child.lua"
  local file = assert(io.open(script, "w"))
  file:write(CHILD)
  file:close()
  os.execute(("lua5.4 '%s' '%s' 2>/dev/null"):format(script, path))
  local ok, status, text = pcall(function()
    local h5, why = core().h5_open(path, "r")
    if not h5 then return "fail", "a killed writer's file does not open: " .. why end
    local last = h5:read_numbers("train/loss100")[1]
    h5:close()
    local superblock = assert(read_file(path)):byte(9)
    if last ~= 100.5 then return "fail", "a killed writer's file lost what was flushed" end
    if superblock ~= 0 then
      return "fail", ("superblock version %d, but the oldest format has 0"):format(superblock)
    end
    return "ok", "earliest format, library locking off; complete after kill -9 of its writer"
  end)
  for _, name in ipairs { path, script } do os.remove(name) end
  require("lfs").rmdir(dir)
  return ok and status or "fail", ok and text or status
end)

check("random numbers", function()
  local a = core().randn({ 4 }, { seed = 1 }):totable()
  local b = core().randn({ 4 }, { seed = 1 }):totable()
  for i = 1, 4 do
    if a[i] ~= b[i] then return "fail", "the same seed gives different numbers" end
  end
  return "ok", ("Philox; seed 1 begins %.6f %.6f"):format(a[1], a[2])
end)

local COLOR = { ok = "\27[32m", warn = "\27[33m", fail = "\27[31m" }

local function colored()
  local no = os.getenv("NO_COLOR")
  return not (no and no ~= "") and os.getenv("TERM") ~= "dumb" and require("luv").guess_handle(1) == "tty"
end

-- Status and text of a check; of one that fails as another before it, that one's name (from `said`).
local function outcome(c, said)
  local ok, status, text = pcall(c[2])
  if not ok then status, text = "fail", tostring(status) end
  if status ~= "fail" then return status, text end
  if said[text] then return status, "as " .. said[text] end
  said[text] = c[1]
  return status, text
end

function doctor.run(args)
  local results, failed, color, said = {}, false, colored(), {}
  for _, c in ipairs(checks) do
    local status, text = outcome(c, said)
    failed = failed or status == "fail"
    results[#results + 1] = { check = c[1], status = status, text = text }
    if not args.json then
      local word = ("%-4s"):format(status)
      if color then word = COLOR[status] .. word .. "\27[0m" end
      print(("%s  %-15s  %s"):format(word, c[1], text))
    end
  end
  if args.json then
    print(require("dkjson").encode({ ok = not failed, checks = results }, { indent = true }))
  end
  return failed and 1 or 0
end

return doctor
