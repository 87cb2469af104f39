--- Interleaved timing: candidates take turns, so that what disturbs the machine meets all of them.
--
--   local rows = measure.rounds({ { name = "a", run = f }, ... }, { seconds = 2, rounds = 15 })
--   rows[1].median, rows[1].least, rows[1].iqr       -- seconds of one call
--
-- A candidate's `run` may return seconds it measured itself (a peer process).

local uv = require "luv"

local measure = {}

local function now() return uv.hrtime() * 1e-9 end

local function timed(candidate, times)
  local began, own = now(), 0
  for _ = 1, times do own = own + (candidate.run() or 0) end
  return (own > 0 and own or now() - began) / times
end

--- Quantile q of a sorted list.
local function quantile(list, q)
  return list[math.max(1, math.ceil(q * #list))]
end

--- options: rounds (default 15); seconds per candidate in all (default 1).
function measure.rounds(candidates, options)
  local rounds, seconds = options.rounds or 15, options.seconds or 1
  local times, samples = {}, {}
  for i, c in ipairs(candidates) do
    timed(c, 1) -- warm
    times[i] = math.max(1, math.floor(seconds / rounds / timed(c, 1)))
    samples[i] = {}
  end
  for r = 1, rounds do
    for i, c in ipairs(candidates) do samples[i][r] = timed(c, times[i]) end
  end
  local rows = {}
  for i, list in ipairs(samples) do
    table.sort(list)
    rows[i] = { name = candidates[i].name, median = quantile(list, 0.5), least = list[1],
      iqr = quantile(list, 0.75) - quantile(list, 0.25), rounds = rounds, times = times[i] }
  end
  return rows
end

--- A program that runs one timed call per line it reads and answers with its seconds; its first line
-- is its name.  Returns { name =, pid =, run = function, close = function }, or nil and a sentence; when
-- all peers are closed, call measure.finish().
function measure.peer(command)
  local input, output = uv.new_pipe(), uv.new_pipe()
  local buffer, ended = "", false
  local process, pid
  process, pid = uv.spawn("/bin/sh", { args = { "-c", command }, stdio = { input, output, 2 } },
    function()
      ended = true
      process:close()
    end)
  if not process then return nil, ("peer '%s': %s"):format(command, tostring(pid)) end
  output:read_start(function(_, data)
    if data then buffer = buffer .. data else ended = true end
  end)
  local function line()
    while not buffer:find("\n") and not ended do uv.run("once") end
    local text, rest = buffer:match("^([^\n]*)\n(.*)$")
    buffer = rest or ""
    return text
  end
  local name = line()
  if not name then
    input:close()
    output:close()
    return nil, ("peer '%s' ended before it said its name"):format(command)
  end
  return { name = name, pid = pid,
    run = function()
      if not ended then input:write("\n") end
      return tonumber(line()) or error(("peer '%s' ended"):format(command), 0)
    end,
    close = function()
      input:close()
      if not ended then process:kill("sigterm") end
      output:close()
    end }
end

--- After every peer's close(): wait until all handles have gone; none may be left when Lua ends.
function measure.finish() uv.run() end

local function read(path)
  local f = io.open(path)
  local text = f and f:read("a") or ""
  if f then f:close() end
  return text
end

--- Most memory a process, or a child of it (a peer's shell has one), has had: bytes, VmHWM of /proc; 0 where
-- that is not known.  Without a pid: this process alone.
function measure.peak_memory(pid)
  local most = 1024 * (tonumber(read(("/proc/%s/status"):format(pid or "self")):match("VmHWM:%s*(%d+)")) or 0)
  local children = pid and read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""
  for child in children:gmatch("%d+") do
    most = math.max(most, measure.peak_memory(math.tointeger(tonumber(child))))
  end
  return most
end

return measure
