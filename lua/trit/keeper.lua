--- When a training saves, and when it stops: the policy around trit.resume.
--
--   local keeper <close> = keeper.new(run, every)
--   keeper:save()          -- now
--   keeper:step()          -- after each step: a signal stops the run, a due checkpoint is saved
--   keeper:poll()          -- between test batches: only signals
--   keeper:epoch(last)     -- after an epoch's records; saves when due, when it is the best or the last
--
-- `every` is trit.train's checkpoint_every: a number of epochs, { epochs =, steps =, seconds = } of which
-- any will do, or false for none.

local core = require "trit.core"
local resume = require "trit.resume"
local signals = require "trit.signals"

local Keeper = {}
Keeper.__index = Keeper

local DEFAULT = { epochs = 1, seconds = 600 }
local RESUMABLE = 75 -- exit status: interrupted, the same command with --resume goes on (EX_TEMPFAIL)

local function whole(name, value)
  if not math.tointeger(value) or value < 1 then
    core.raise(("train: checkpoint_every: %s must be a whole number from 1, not %s"):format(name,
      tostring(value)))
  end
end

local function policy(every)
  if every == nil then return DEFAULT end
  if type(every) == "number" then every = { epochs = every } end
  if type(every) ~= "table" then
    core.raise("train: checkpoint_every is a number of epochs, { epochs =, steps =, seconds = }, or false")
  end
  for name, value in pairs(every) do
    if name ~= "epochs" and name ~= "steps" and name ~= "seconds" then
      core.raise(("train: checkpoint_every has no field %q; known: epochs, seconds, steps"):format(
        tostring(name)))
    end
    if name ~= "seconds" then
      whole(name, value)
    elseif type(value) ~= "number" or not (value > 0) then
      core.raise("train: checkpoint_every: seconds must be a number above 0")
    end
  end
  return every
end

local function nothing() end
local Idle = { step = nothing, poll = nothing, epoch = nothing, save = nothing, __close = nothing }
Idle.__index = Idle

local keeper = { check = function(every) return every and policy(every) end }

local function check_state(what, object)
  if not (object.state_dict and object.load_state_dict) then
    core.raise(("train: %s has no state_dict and load_state_dict, so a checkpoint would lack it; give it "
      .. "both, or set checkpoint_every = false"):format(what))
  end
end

function keeper.new(run, every)
  if every == false or not run.log then return setmetatable({}, Idle) end
  check_state("the optimizer", run.optimizer)
  if run.threshold_optimizer then check_state("the threshold optimizer", run.threshold_optimizer) end
  for name, object in pairs(run.state) do check_state("state." .. name, object) end
  run.saved = core.io_clock()
  return setmetatable({ run = run, every = policy(every), watch = signals.watch() }, Keeper)
end

--- Stop when a signal came: save, then raise what ends the process with exit status 75.
function Keeper:poll()
  local signal = self.watch:poll()
  if not signal then return end
  local run = self.run
  resume.save(run)
  error(setmetatable({ exit = RESUMABLE, interrupted = true,
    message = ("interrupted by %s after step %d, epoch %d; with --resume it goes on"):format(signal, run.step,
      run.cursor.epoch) }, { __tostring = function(e) return e.message end }), 0)
end

function Keeper:step()
  self:poll()
  local run, every = self.run, self.every
  if every.steps and run.step % every.steps == 0
    or every.seconds and core.io_clock() - run.saved >= every.seconds then
    resume.save(run)
  end
end

function Keeper:epoch(last)
  local run, every = self.run, self.every
  if last or run.best_here or every.epochs and run.result.epoch % every.epochs == 0 then resume.save(run) end
end

--- Save now.
function Keeper:save() resume.save(self.run) end

function Keeper:__close() self.watch:close() end

return keeper
