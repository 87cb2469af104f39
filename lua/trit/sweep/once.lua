--- Something all points of a sweep need and one of them makes, such as a float network to start from.
--
--     local state = once("runs/float/seed-1", function() return ... or nil end, function() ... end)
--
-- find() gives it if it is there; else make() makes it, in one process at a time: the others wait,
-- and when the maker is killed the next of them makes it.  A run that make() trains is a side job: it does
-- not resume, and it is not the run of the script.
local context = require "trit.context"
local core = require "trit.core"
local files = require "trit.sweep.files"

local WAIT = 0.5 -- seconds between looks while another process makes it

local side_job = {
  __close = function(saved) context.resume, context.run_dir = saved.resume, saved.run_dir end,
}

--- once(path, find, make): path: directory (made if missing) beside which the lock lies.
return function(path, find, make)
  assert(files.make_directory(path))
  while true do
    local found = find()
    if found ~= nil then return found end
    local lock <close> = core.lock(path .. "/once") -- luacheck: ignore
    if lock then
      found = find() -- it may have been finished in between
      if found ~= nil then return found end
      local guard <close> = setmetatable({ resume = context.resume, run_dir = context.run_dir }, side_job)
      context.resume = false
      make()
      found = find()
      if found == nil then error(("once: what was made for '%s' is not there"):format(path), 2) end
      return found
    end
    core.io_sleep(WAIT)
  end
end
