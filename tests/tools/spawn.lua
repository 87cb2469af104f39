--- Processes of tests: start, wait, kill.
--
--     local process = spawn.start(file, { "arg", ... })     -- output is collected
--     process:wait([seconds])   -- true once it has ended, false when the time is over
--     process.code, process.signal, process.out, process.err
--     process:kill("sigkill")
--     spawn.stop_all()          -- in a teardown: a process left over would outlive the test
local uv = require "luv"

local spawn = {}
local all = {}
local Process = {}
Process.__index = Process

local function collect(process, field)
  local pipe = uv.new_pipe(false)
  process[field], process.open = "", process.open + 1
  return pipe, function()
    pipe:read_start(function(_, text)
      if text then
        process[field] = process[field] .. text
      else
        process.open = process.open - 1
        pipe:close()
      end
    end)
  end
end

function spawn.start(file, args)
  local process = setmetatable({ open = 0 }, Process)
  local out, read_out = collect(process, "out")
  local err, read_err = collect(process, "err")
  process.handle, process.pid = assert(uv.spawn(file, { args = args, stdio = { nil, out, err } },
    function(code, signal)
      process.code, process.signal = code, signal
      process.handle:close()
    end))
  read_out()
  read_err()
  all[#all + 1] = process
  return process
end

--- Has it ended, and its output with it?
function Process:ended() return self.code ~= nil and self.open == 0 end

function Process:wait(seconds)
  uv.update_time() -- the loop may not have run for long, and timers count from its time
  local timer, over = uv.new_timer(), false
  if seconds then timer:start(math.floor(seconds * 1000), 0, function() over = true end) end
  while not self:ended() and not over do uv.run("once") end
  timer:close()
  uv.run("nowait") -- what was closed goes now, not with the Lua state
  return self:ended()
end

function Process:kill(signal)
  if not self.code then self.handle:kill(signal) end
end

function spawn.stop_all()
  for _, process in ipairs(all) do
    process:kill("sigkill")
    process:wait()
  end
  all = {}
end

return spawn
