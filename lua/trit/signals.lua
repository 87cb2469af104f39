--- Signals that ask a training to stop: noticed between steps, never in the middle of one.
--
--     local watch <close> = signals.watch()       -- SIGTERM, SIGUSR1, SIGINT
--     watch:poll()                                -- "SIGTERM" once one came, else nil; about a microsecond
--
-- The handler (libuv's) only writes to a pipe, whichever thread it meets.  SIGINT is watched once: a second
-- Ctrl-C has its usual effect and ends the process at once.  Closing gives all signals the effect back
-- that they have without us (core.end_on_signals), at once if one came that nobody was told of.

local core = require "trit.core"
local uv = require "luv"

local signals = {}
local Watch = {}
Watch.__index = Watch

local ONCE = { sigint = true }

function signals.watch(names)
  local watch = setmetatable({ handles = {} }, Watch)
  for i, name in ipairs(names or { "sigterm", "sigusr1", "sigint" }) do
    local handle = uv.new_signal()
    local start = ONCE[name] and uv.signal_start_oneshot or uv.signal_start
    assert(start(handle, name, function() watch.seen = watch.seen or name:upper() end))
    uv.unref(handle) -- a loop of the user's own must not wait for signals
    watch.handles[i] = handle
  end
  return watch
end

--- Name of the first signal that came, or nil.
function Watch:poll()
  local any = self.handles[1]
  if any and not self.seen and not uv.loop_mode() then
    uv.ref(any) -- a loop without referenced handles does not look
    uv.run("nowait")
    uv.unref(any)
  end
  self.told = self.seen
  return self.seen
end

function Watch:close()
  local told = self.told
  local late = self:poll()
  for _, handle in ipairs(self.handles) do
    uv.signal_stop(handle)
    if not uv.is_closing(handle) then uv.close(handle) end
  end
  self.handles = {}
  if not uv.loop_mode() then uv.run("nowait") end -- lets the closing happen
  core.end_on_signals()
  if late and not told then uv.kill(uv.os_getpid(), late:lower()) end
end
Watch.__close = Watch.close

return signals
