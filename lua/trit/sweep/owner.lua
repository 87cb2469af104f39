--- Who holds a claim, and whether they are still there.
--
-- A process is named by machine, boot, pid name space, pid and start time, so that a pid that is in
-- use again, a reboot or another container is not taken for it.
local lfs = require "lfs"
local uv = require "luv"

local owner = {}

local TICKS = 100 -- a second, in what /proc says

local function first_line(path)
  local file = io.open(path)
  if not file then return nil end
  local line = file:read("l")
  file:close()
  return line
end

--- Name of this machine as processes see it: host name, boot, pid name space.
function owner.host()
  return ("%s/%s/%s"):format(uv.os_gethostname(), first_line("/proc/sys/kernel/random/boot_id") or "-",
    uv.fs_readlink("/proc/self/ns/pid") or "-")
end

--- Start time of a living process in clock ticks since the boot; nil when there is none.
function owner.started(pid)
  local stat = first_line(("/proc/%d/stat"):format(pid))
  local rest = stat and stat:match("%) (.*)$") -- the name in brackets may hold anything
  if not rest or rest:match("^[ZX]") then return nil end -- dead, not yet waited for
  local k = 2 -- the rest begins with field 3; the start time is field 22
  for field in rest:gmatch("%S+") do
    k = k + 1
    if k == 22 then return tonumber(field) end
  end
end

--- When a living process started, in seconds of the clock; nil when there is none.
function owner.began(pid)
  local ticks, stat = owner.started(pid), io.open("/proc/stat")
  local boot = stat and stat:read("a"):match("\nbtime (%d+)")
  if stat then stat:close() end
  return ticks and boot and tonumber(boot) + ticks / TICKS
end

--- Is process { pid =, started = } of this machine alive?
function owner.alive(process)
  return process.started ~= nil and owner.started(process.pid) == process.started
end

--- This process, as { host =, pid =, started = }.
function owner.me()
  local pid = math.tointeger(uv.os_getpid())
  return { host = owner.host(), pid = pid, started = owner.started(pid) }
end

--- Seconds since `path` was last touched, by the clock of the file system (`clock_file`: a file of
-- ours there); nil when it is not there.
function owner.age(path, clock_file)
  local stat = uv.fs_stat(path)
  if not stat then return nil end
  lfs.touch(clock_file)
  local now = uv.fs_stat(clock_file)
  if not now then return nil end
  return now.mtime.sec - stat.mtime.sec + 1e-9 * (now.mtime.nsec - stat.mtime.nsec)
end

return owner
