--- Interleaved timing: candidates take turns, so that what disturbs the machine meets all of them.
--
--   local rows = measure.rounds({ { name = "a", run = f }, ... }, { seconds = 2, rounds = 15 })
--   rows[1].median, rows[1].least, rows[1].iqr       -- seconds of one call
--   measure.set_ratio(rows[2], candidates[2], candidates[1])   -- ratio, ratio_low, ratio_high
--
-- A candidate's `run` may return seconds it measured itself (a peer process); its `ready`, if it has one,
-- is called before it is timed (to set the number of threads, say).

local uv = require "luv"

local measure = {}

local function now() return uv.hrtime() * 1e-9 end

local function timed(candidate, times)
  if candidate.ready then candidate.ready() end
  local began, own = now(), 0
  for _ = 1, times do own = own + (candidate.run() or 0) end
  return (own > 0 and own or now() - began) / times
end

--- Quantile q of a sorted list.
local function quantile(list, q)
  return list[math.max(1, math.ceil(q * #list))]
end

--- options: rounds (default 15); seconds per candidate in all (default 1).  A candidate's seconds, round by
-- round, are in its `samples` afterwards.
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
  for i, unsorted in ipairs(samples) do
    candidates[i].samples = unsorted
    local list = table.move(unsorted, 1, rounds, 1, {})
    table.sort(list)
    rows[i] = { name = candidates[i].name, median = quantile(list, 0.5), least = list[1],
      iqr = quantile(list, 0.75) - quantile(list, 0.25), rounds = rounds, times = times[i] }
  end
  return rows
end

--- Say in `row` how many times as long a candidate takes as another: of each round's ratio the median and the
-- quartiles.  What disturbs a whole round hardly moves its ratio.
function measure.set_ratio(row, candidate, other)
  local list = {}
  for r, seconds in ipairs(candidate.samples) do list[r] = seconds / other.samples[r] end
  table.sort(list)
  row.ratio, row.ratio_low, row.ratio_high = quantile(list, 0.5), quantile(list, 0.25), quantile(list, 0.75)
end

--- "2.05 (2.01-2.09)": ratio and quartiles of a row, with so many digits (2).
function measure.ratio_text(row, digits)
  if not row.ratio then return "-" end
  local number = ("%%.%df"):format(digits or 2)
  return ("%s (%s-%s)"):format(number, number, number):format(row.ratio, row.ratio_low, row.ratio_high)
end

--- A program that runs one timed call per line it reads and answers with its seconds; its first line is
-- its name, and after a tab "residual R" where it knows one.  Returns { name =, residual =, pid =,
-- run = function, close = function }, or nil and a sentence; when all peers are closed, call
-- measure.finish().
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
  local plain, residual = name:match("^(.-)\tresidual (%S+)$")
  return { name = plain or name, residual = tonumber(residual), pid = pid,
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

--- Add peers to a list of candidates, fields of `words` (threads, batch ...) in the place of "{threads}" ...
-- in their commands; one that does not name {threads} only when `first`.  The list, or nil and a sentence:
-- then every peer of the list is closed, for one left running would keep us from ending.
function measure.add_peers(list, commands, words, first)
  for _, command in ipairs(commands) do
    if first or command:find("{threads}", 1, true) then
      local peer, why = measure.peer((command:gsub("{(%a+)}", words)))
      if not peer then
        measure.close_peers(list)
        return nil, why
      end
      peer.threads, peer.ready = words.threads, words.threads and measure.with_threads(1)
      list[#list + 1] = peer
    end
  end
  return list
end

--- A candidate's `ready` for so many threads of ours; `run` is called once after a change, so that their
-- first touch of memory is not measured.
function measure.with_threads(threads, run)
  local core = require "trit.core"
  return function()
    if core.threads() == threads then return end
    core.threads(threads)
    if run then run() end
  end
end

--- Stop every peer of a list of candidates; their memory is in `memory` afterwards.
function measure.close_peers(list)
  for _, c in ipairs(list) do
    if c.pid then c.memory = measure.peak_memory(c.pid) end
  end
  for _, c in ipairs(list) do
    if c.pid then c.close() end
    c.pid = nil
  end
  measure.finish()
end

--- "1,2" -> { 1, 2 }; nil: { threads in use }.
function measure.thread_counts(text, current)
  local list = {}
  for word in (text or tostring(current)):gmatch("[^,%s]+") do
    list[#list + 1] = math.tointeger(tonumber(word))
      or error(("--threads %s: numbers expected"):format(text), 0)
  end
  return list
end

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
