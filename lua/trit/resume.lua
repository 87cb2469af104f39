--- Stopping a training and taking it up again, as if it had never stopped.
--
-- A checkpoint of a training holds, beside the model (tensors):
--
--   state   optimizer/..., thresholds/...: slots of the two optimizers; gradients/...: sums of an
--           accumulation under way and the batches it holds; codes/LAYER: codes the next flips are
--           counted against
--           own/NAME: of trit.train's option `state`
--   meta    config, and in `run` every number that moves: counters, rates, schedule, cursor in the epoch
--           with its sums, records of the run file, best result, costs
--
-- Everything random is a function of seed and counters, so with these nothing is left to chance.
-- A run file and its checkpoints carry the same run_id: those of an earlier run in the directory do not
-- count.

local core = require "trit.core"
local uv = require "luv"
local checkpoint = require "trit.checkpoint"
local config = require "trit.config"
local lfs = require "lfs"
local runfile = require "trit.runfile"
local runlog = require "trit.runlog"

local resume = {}

local FORMAT = 1 -- of meta.run

local function say(fmt, ...) io.stderr:write(("train: " .. fmt .. "\n"):format(...)) end

-- t[prefix/name] for every entry of `from`.
local function put(t, prefix, from)
  for name, value in pairs(from or {}) do t[prefix .. "/" .. name] = value end
end

-- The entries of t under prefix/, without it.
local function take(t, prefix)
  local out = {}
  for name, value in pairs(t) do
    if name:sub(1, #prefix + 1) == prefix .. "/" then out[name:sub(#prefix + 2)] = value end
  end
  return out
end

local optimizers = { optimizer = "optimizer", thresholds = "threshold_optimizer" } -- prefix -> field of run

-- state_dict of an optimizer: its tensors into `state`, the rest is returned.
local function counts_of(optimizer, state, prefix)
  local s = optimizer:state_dict()
  put(state, prefix, s.tensors)
  local counts = {}
  for k, v in pairs(s) do
    if k ~= "tensors" then counts[k] = v end
  end
  return counts
end

--- Everything of a training that moves, for checkpoint.save.
function resume.capture(run)
  local state = {}
  local gradients, step_counts = run.step_fn:state_dict()
  local meta = { format = FORMAT, id = run.id, step = run.step, cursor = run.cursor, complete = run.complete,
    result = run.result, rows = run.log:position(), counters = run.model:counters_dict(),
    steps = step_counts, cost = run:cost(), best_here = run.best_here }
  put(state, "gradients", gradients)
  put(state, "codes", run.log:codes())
  for prefix, field in pairs(optimizers) do
    if run[field] then meta[prefix] = counts_of(run[field], state, prefix) end
  end
  meta.own = {}
  for name, object in pairs(run.state) do meta.own[name] = counts_of(object, state, "own/" .. name) end
  if run.schedule and run.schedule.state_dict then meta.schedule = run.schedule:state_dict() end
  return { tensors = run.model:state_dict(), state = state, best = run.best_here,
    meta = { config = run.config, model = run.config.model, epoch = run.result.epoch,
      top1 = run.result.top1, run = meta } }
end

local function load_optimizer(optimizer, counts, tensors)
  local state = { tensors = tensors }
  for k, v in pairs(counts) do state[k] = v end
  optimizer:load_state_dict(state)
end

local function load_model(run, c)
  run.model:load_state_dict(c.tensors)
  run.model:counters_dict(c.meta.run.counters)
end

-- The opposite of capture.
local function restore(run, c)
  local meta = c.meta.run
  load_model(run, c)
  for prefix, field in pairs(optimizers) do
    if run[field] then load_optimizer(run[field], meta[prefix], take(c.state, prefix)) end
  end
  for name, object in pairs(run.state) do
    load_optimizer(object, meta.own[name] or {}, take(c.state, "own/" .. name))
  end
  if run.schedule and run.schedule.load_state_dict then run.schedule:load_state_dict(meta.schedule) end
  run.step_fn:load_state_dict(take(c.state, "gradients"), meta.steps)
  run.step, run.cursor, run.result, run.complete = meta.step, meta.cursor, meta.result, meta.complete
  run.spent = meta.cost
end

-- Names of what quantizers keep without training it; there NaN may mean "none" (inq).
local function kept_states(model)
  local names = {}
  for _, e in ipairs(model:quantizer_entries(true)) do names[e.name] = true end
  for _, e in ipairs(model:quantizer_entries()) do names[e.name] = nil end
  return names
end

local function sorted_names(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Save a checkpoint; a failure (full disk) rises as one sentence.
function resume.save(run)
  local start = core.io_clock()
  run.log:sync()
  local what, free = resume.capture(run), kept_states(run.model)
  for _, name in ipairs(sorted_names(what.tensors)) do
    local sum = core.ops.sum(what.tensors[name]:detach()):item()
    if sum - sum ~= 0 and not free[name] then
      core.raise(("train: %s is not finite after step %d; learning rate %g"):format(name, run.step,
        run.optimizer:lr()))
    end
  end
  local path, why = checkpoint.save(run.dir, what)
  if not path then error(why, 0) end
  run.best_here = nil
  run.saved = core.io_clock()
  run.checkpoint_seconds = run.checkpoint_seconds + run.saved - start
end

local function script_text(context)
  local file = context.script and context.script ~= "-" and io.open(context.script)
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

-- What is in the directory: "complete", "unfinished", "damaged"; nil: nothing that got anywhere.
local function kind_of(dir)
  local checkpoints = #checkpoint.list(dir) > 0
  if not lfs.attributes(dir .. "/run.h5", "mode") then return checkpoints and "damaged" or nil end
  local old = runfile.open(dir)
  local state = old and old:status()
  if not state then return "damaged" end
  if state.status == "complete" then return "complete" end
  local tests = old:series("val")
  return (checkpoints or tests and tests.n > 0) and "unfinished" or nil
end

-- Where the run in a directory goes: DIR/before-1, -2, ...
local function aside(dir)
  local number = 1
  while lfs.attributes(("%s/before-%d"):format(dir, number)) do number = number + 1 end
  return ("%s/before-%d"):format(dir, number)
end

local function move(run, to)
  local names = {}
  for _, c in ipairs(checkpoint.list(run.dir)) do names[#names + 1] = c.path:match("[^/]*$") end
  for _, name in ipairs { "best.h5", "run.h5" } do
    if lfs.attributes(run.dir .. "/" .. name, "mode") then names[#names + 1] = name end
  end
  local ok, why = lfs.mkdir(to)
  for _, name in ipairs(names) do
    if ok then ok, why = os.rename(run.dir .. "/" .. name, to .. "/" .. name) end
  end
  if not ok then core.raise(("train: cannot move the run in '%s' to '%s': %s"):format(run.dir, to, why)) end
end

-- A run that got anywhere is not overwritten.  Only the lock says that nobody writes it.
local function set_aside(run)
  if not kind_of(run.dir) then return end
  local lock <close>, why = core.lock(run.dir .. "/run.h5") -- luacheck: ignore lock
  if not lock then core.raise("train: " .. why) end
  local kind, to = kind_of(run.dir), aside(run.dir)
  if not kind then return end
  move(run, to)
  say("%s %s run was in '%s'; it is now in '%s'", kind == "unfinished" and "an" or "a", kind, run.dir, to)
end

local function start(run, context)
  set_aside(run)
  local log, why = runlog.create(run.dir, { config = run.config })
  if not log then core.raise("train: " .. why) end
  run.log = log
  run.id = ("%x-%x"):format(uv.hrtime(), uv.os_getpid())
  run.log:attr("run_id", run.id)
  run.log:text("script", script_text(context) or "")
  checkpoint.clear(run.dir)
end

local function refuse(run, fmt, ...)
  core.raise(("train: cannot resume '%s': "):format(run.dir) .. fmt:format(...))
end

-- Scripts of a run are its texts script, script-2, ...: { name =, text = } of one more when it has changed.
local function changed_script(run, file, text)
  local number, name, newest = 1, "script", file:text("script")
  if not text or not newest then return nil end
  while file:text(name) do
    newest, number = file:text(name), number + 1
    name = "script-" .. number
  end
  if newest == text then return nil end
  say("the script has changed since '%s' stopped; '%s' in its run.h5 is the new one", run.dir, name)
  return { name = name, text = text }
end

-- What the run file says: status, run_id; refuses when it is of another training.
local function examine(run, context)
  local file, why = runfile.open(run.dir)
  local state, before
  if file then state, why = file:status() end
  if state then before, why = file:config() end
  if not before then
    refuse(run, "%s; without --resume a new run begins, and this one moves to '%s'", why, aside(run.dir))
  end
  local different, machine = config.differences(before, run.config)
  if different then refuse(run, "it was made with other options: %s", different) end
  if machine then say("'%s' goes on with a change that may show in the last bits: %s", run.dir, machine) end
  run.script = changed_script(run, file, script_text(context))
  return state
end

-- The newest whole checkpoint of this run; nil when there is none.
local function newest(run)
  local c, why = checkpoint.load(run.dir, function(found)
    return found.meta.run and found.meta.run.id == run.id
  end)
  if not c and why and #checkpoint.list(run.dir) > 0 then refuse(run, "%s", why) end
  if c and c.note then say("%s", c.note) end
  if c and c.meta.run.format ~= FORMAT then
    refuse(run, "'%s' has format %s, this version reads %d", c.path, c.meta.run.format, FORMAT)
  end
  return c
end

local function complete(run, state, c)
  if not c then
    error({ exit = 0, message = ("'%s' is complete; its checkpoints are gone"):format(run.dir) })
  end
  load_model(run, c)
  run.result, run.step = c.meta.run.result, c.meta.run.step
  for name, value in pairs(c.meta.run.cost) do run.result[name] = value end
  say("'%s' is complete: %d epochs, top-1 %.2f %%, ended %s", run.dir, run.result.epoch,
    100 * run.result.top1, state.ended or "")
  return "complete"
end

local function go_on(run, state, c)
  local log, why = runlog.resume(run.dir, c.meta.run.rows)
  if not log then refuse(run, "%s", why) end
  run.log = log
  local ok, failure = pcall(restore, run, c)
  if not ok then refuse(run, "%s: %s", c.path, failure) end
  log:codes(take(c.state, "codes"))
  log:charge(run.spent.log_seconds)
  if run.script then log:text(run.script.name, run.script.text) end
  log:attr("resumes", (state.resumes or 0) + 1)
  if c.meta.run.best_here then assert(checkpoint.mark_best(c.path)) end
  say("'%s' goes on after step %d, epoch %d", run.dir, run.step, run.cursor.epoch)
  return "resumed"
end

--- Open the run file of `run` in run.dir: a new one, or, when `wanted`, the one that is there, with the run
-- as its newest checkpoint left it.  Returns "fresh", "resumed", or "complete" (then only the model and
-- run.result are loaded, and there is no log).
function resume.open(run, context, wanted)
  if not wanted then
    start(run, context)
    return "fresh"
  end
  if not lfs.attributes(run.dir .. "/run.h5", "mode") then
    if #checkpoint.list(run.dir) > 0 then refuse(run, "there are checkpoints but no run.h5") end
    say("nothing to resume in '%s': it starts from the beginning", run.dir)
    start(run, context)
    return "fresh"
  end
  local state = examine(run, context)
  run.id = state.run_id
  local c = newest(run)
  if state.status == "complete" and (not c or c.meta.run.complete) then return complete(run, state, c) end
  if c then return go_on(run, state, c) end
  say("'%s' ended before its first checkpoint: it starts from the beginning", run.dir)
  start(run, context)
  return "fresh"
end

return resume
