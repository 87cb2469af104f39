--- One `trit run` as a process of its own: started, watched, ended.
--
-- It runs in a session of its own, so that Ctrl-C reaches the worker only, and signals to it reach all
-- it started.  flock lets one run at a time into a run directory; setpriv ends it with its worker;
-- prlimit holds its memory (all three of util-linux).
local uv = require "luv"

local child = {}
local Child = {}
Child.__index = Child

local BUSY = 76              -- exit status of flock when another run is in the directory
local RESUMABLE = 75
local INTERRUPTED = 130
local GRACE = 20             -- seconds from SIGTERM, in which a run may checkpoint, to SIGKILL
local TAIL_BYTES = 4096      -- of stderr, searched for its last line

local NAMES = { -- numbers on x86-64 Linux
  [1] = "SIGHUP", [2] = "SIGINT", [3] = "SIGQUIT", [4] = "SIGILL", [5] = "SIGTRAP", [6] = "SIGABRT",
  [7] = "SIGBUS", [8] = "SIGFPE", [9] = "SIGKILL", [10] = "SIGUSR1", [11] = "SIGSEGV",
  [13] = "SIGPIPE", [15] = "SIGTERM", [24] = "SIGXCPU", [25] = "SIGXFSZ", [31] = "SIGSYS",
}
local ASKED_TO_END = { SIGHUP = true, SIGINT = true, SIGUSR1 = true, SIGTERM = true }

local function now() return uv.hrtime() * 1e-9 end

-- How this trit itself is started.
local function command()
  return uv.exepath(), assert(package.searchpath("trit.cli.main", package.path))
end

local function arguments(o)
  local lua, main = command()
  local list = { "--pdeathsig", "TERM", "flock", "-n", "-E", tostring(BUSY), "--no-fork", o.dir .. "/lock" }
  local function add(...)
    for _, word in ipairs { ... } do list[#list + 1] = word end
  end
  if o.memory_limit then add("prlimit", ("--data=%d"):format(o.memory_limit)) end
  add(lua, "-e", ("require('trit.context').origin = %q"):format(o.origin), main, "run", o.script)
  add("--out", o.dir, "--threads", tostring(o.threads), "--quiet")
  if o.resume then add("--resume") end
  for _, option in ipairs(o.options) do add(option) end
  return list
end

--- Start a run: o = { dir =, claim = directory of the claim, script =, origin = (what it is a
-- copy of), options = { "--NAME=VALUE" }, threads =, resume =, time_limit =, memory_limit = }.
-- Returns the child; nil and a sentence.
function child.start(o)
  local self = setmetatable({ o = o, began = now(), peak = 0 }, Child)
  local out, why = uv.fs_open(o.claim .. "/stdout", "w", tonumber("644", 8))
  if not out then return nil, why end
  local err, reason = uv.fs_open(o.claim .. "/stderr", "w", tonumber("644", 8))
  if not err then
    uv.fs_close(out)
    return nil, reason
  end
  local handle, pid = uv.spawn("setpriv",
    { args = arguments(o), stdio = { nil, out, err }, detached = true }, function(code, signal)
      self.code, self.signal = code, signal
      self.seconds = now() - self.began
    end)
  uv.fs_close(out)
  uv.fs_close(err)
  if not handle then return nil, ("cannot start setpriv: %s"):format(pid) end
  self.handle, self.pid = handle, pid
  return self
end

--- Has it ended?
function Child:ended() return self.code ~= nil end

local function signal_group(self, name)
  if not self:ended() then uv.kill(-self.pid, name) end
end

--- Ask it to end, for a reason: "stopped", "time", "memory", "shutdown", "lost"; force: at once.
function Child:stop(reason, sentence, force)
  if not self.reason then
    self.reason, self.sentence, self.kill_at = reason, sentence, now() + GRACE
    signal_group(self, force and "sigkill" or "sigterm")
  elseif force then
    signal_group(self, "sigkill")
  end
end

local function status_bytes(pid, field)
  local file = io.open(("/proc/%d/status"):format(pid))
  if not file then return 0 end
  local text = file:read("a")
  file:close()
  return 1024 * (tonumber(text:match("\n" .. field .. ":%s*(%d+) kB") or "") or 0)
end

local function megabytes(bytes) return ("%.0f MB"):format(bytes / 1e6) end

--- Look after it: limits, and SIGKILL for a run that does not heed SIGTERM.
function Child:watch()
  if self:ended() then return end
  local t, o = now(), self.o
  local rss = status_bytes(self.pid, "VmRSS")
  self.peak = math.max(self.peak, rss, status_bytes(self.pid, "VmHWM"))
  if self.kill_at and t > self.kill_at then
    signal_group(self, "sigkill")
  elseif o.time_limit and t - self.began > o.time_limit then
    self:stop("time", ("time limit: not done after %g s"):format(o.time_limit))
  elseif o.memory_limit and rss > o.memory_limit then
    self:stop("memory", ("memory limit: uses %s of %s"):format(megabytes(rss),
      megabytes(o.memory_limit)), true)
  end
end

-- Last line of what the run said, without the command's name.
local function last_words(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local size = file:seek("end")
  file:seek("set", math.max(0, size - TAIL_BYTES))
  local last = ""
  for line in file:read("a"):gmatch("[^\r\n]+") do
    if line:match("%S") then last = line end
  end
  file:close()
  return (last:gsub("^trit run: ", ""))
end

-- What a run that ended by itself did: state and reason.
local function verdict(self)
  local words = last_words(self.o.claim .. "/stderr")
  if self.signal ~= 0 then
    local name = NAMES[self.signal] or "signal " .. self.signal
    if ASKED_TO_END[name] then return "interrupted", "ended by " .. name end
    if name == "SIGKILL" then return "killed", "killed by SIGKILL (out of memory?)" end
    return "failed", ("crashed: %s%s"):format(name, words ~= "" and " after \"" .. words .. "\"" or "")
  end
  if self.code == 0 then return "complete" end
  if self.code == BUSY then return "busy", "another run is in the directory" end
  if self.code == RESUMABLE or self.code == INTERRUPTED then
    return "interrupted", words ~= "" and words or ("exit status %d"):format(self.code)
  end
  return "failed", words ~= "" and words or ("exit status %d without a word"):format(self.code)
end

--- How it ended: state, reason.  States: complete, failed, stopped, interrupted, killed (by SIGKILL from
-- outside), busy (another run holds the directory), lost (the claim was taken over).
function Child:result()
  local state, reason = verdict(self)
  if self.reason == "lost" then return "lost", self.sentence end
  if state == "complete" then return state end -- it was done before our signal arrived
  if self.reason == "time" or self.reason == "memory" then return "failed", self.sentence end
  if self.reason == "stopped" then return "stopped", self.sentence end
  if self.reason == "shutdown" and state ~= "failed" then return "interrupted", self.sentence end
  local limit = self.o.memory_limit
  if state == "failed" and limit and reason:lower():match("memory") then
    reason = ("%s (memory limit %s)"):format(reason, megabytes(limit))
  end
  return state, reason
end

--- Let go of the process.
function Child:close()
  if not self.handle:is_closing() then self.handle:close() end
end

return child
