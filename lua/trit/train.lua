--- trit.train: the training loop, its log and its manners.
--
--   local result = trit.train { model = net, data = data, optimizer = opt, epochs = 30,
--     schedule = trit.schedule.cosine { epochs = 30 }, label = "float" }
--   result.top1  result.best_top1  result.loss  result.seconds  result.dir
--
-- A run can be stopped at any moment and taken up again (`trit run ... --resume`, or resume = true):
-- it ends with the bits it would have had without the stop.  Checkpoints are in the run directory
-- (trit.checkpoint), what they hold in trit.resume.  SIGTERM, SIGUSR1 and Ctrl-C save one at the next
-- step and raise { exit = 75, message = }.

local core = require "trit.core"
local config = require "trit.config"
local files = require "trit.sweep.files"
local keeper = require "trit.keeper"
local lfs = require "lfs"
local mode = require "trit.nn.mode"
local progress = require "trit.progress"
local resume = require "trit.resume"
local steps = require "trit.steps"
local traincheck = require "trit.traincheck"

local M = {}

local known = { -- option -> doc; an option not listed here is an error
  model = "module to train", data = "trit.data object", optimizer = "of the weights",
  threshold_optimizer = "of the thresholds (made from lr_th when absent)",
  lr_th = "threshold learning rate (default: the optimizer's)",
  schedule = "learning rate schedule", epochs = "passes over the data",
  schedule_mode = "sequential | joint | alternate", bn_first_pass = "update | freeze",
  loss = "function(logits, labels, x) -> scalar", label_smoothing = "of the default loss",
  clip_norm = "largest gradient norm", accumulate = "batches per update",
  out = "run directory", label = "name shown", log = "false: no run file",
  quiet = "no progress", hooks = "{ step = f, epoch = f }", config = "extra fields of the run file",
  histogram_every = "epochs between weight histograms", max_steps = "stop early (smoke runs)",
  checkpoint_every = "epochs, or { epochs =, steps =, seconds = }; false: none (default: 1, seconds 600)",
  resume = "go on with the run in the directory (default: as trit run --resume says)",
  state = "{ name = object } of the script that change in training: have state_dict, load_state_dict",
}

local now = core.io_clock

--- Accuracy of a function x -> logits over `batches`, an iterator of x, y, such as data:test():
-- { top1, top5, loss, count }, shares in 0..1.
function M.score(forward, ...)
  local sum = { top1 = 0, top5 = 0, loss = 0, count = 0 }
  for x, y in ... do
    local logits = forward(x)
    local n, classes = y:numel(), logits:shape()[2]
    sum.top1 = sum.top1 + core.ops.topk_correct(logits, y, { k = 1 }):item()
    sum.top5 = sum.top5 + core.ops.topk_correct(logits, y, { k = math.min(5, classes) }):item()
    sum.loss = sum.loss + core.ops.cross_entropy(logits, y):item() * n
    sum.count = sum.count + n
  end
  local n = math.max(sum.count, 1)
  return { top1 = sum.top1 / n, top5 = sum.top5 / n, loss = sum.loss / n, count = sum.count }
end

--- Accuracy of a model: trit.evaluate(model, batches), as train.score, in evaluation mode.
function M.evaluate(model, ...)
  local guard <close> = mode.evaluation(model) -- luacheck: ignore
  return M.score(model, ...)
end

--- Share of zero codes over all quantized weights, and average bits per weight of the model
-- (2 per ternary weight and term, 32 per other; scales counted).  A layer whose quantizer sleeps is float.
function M.sparsity(model)
  local zeros, coded, bits, total = 0, 0, 0, 0
  for _, m in model:quantizable() do
    local n = m.weight:numel()
    total = total + n
    local q = rawget(m, "quantizer")
    if q and not q:asleep() then
      for _, row in ipairs(q:stats(m.weight)) do zeros = zeros + row.occupancy[2] * row.count end
      coded = coded + n
      bits = bits + n * q:bits()
    else
      bits = bits + 32 * n
    end
  end
  return coded > 0 and zeros / coded or 0, total > 0 and bits / total or 32
end

-- Is the network what it is going to be?  Not while a quantizer sleeps and its layer is float.
local function all_awake(model)
  for _, m in model:quantizable() do
    local q = rawget(m, "quantizer")
    if q and q:asleep() then return false end
  end
  return true
end

local THRESHOLD_MOMENTUM = 0.9 -- Nesterov, as the author's threshold optimizer (methods 1.6)

local function thresholds_optimizer(o)
  if o.threshold_optimizer then return o.threshold_optimizer end
  local thresholds = o.model:thresholds()
  if #thresholds == 0 then return nil end
  return require("trit.optim").sgd({ { params = thresholds, name = "thresholds" } },
    { lr = o.lr_th or o.optimizer:lr(), momentum = THRESHOLD_MOMENTUM, nesterov = true, weight_decay = 0 })
end

--- All optimizers follow the schedule; t in epochs from 0.
local function set_rates(run, t)
  if not run.schedule then return end
  for optimizer, base in pairs(run.base) do optimizer:set_lr(run.schedule:rate(base, t)) end
end

-- The directory itself, or with -2, -3, ... where another run has been; it is there when this returns.
local function claim(dir)
  files.make_directory(dir:match("^(.*)/"))
  local number, try = 1, dir
  while not lfs.mkdir(try) and lfs.attributes(try, "mode") do
    number = number + 1
    try = ("%s-%d"):format(dir, number)
  end
  return try
end

-- The k-th training of a script that names no directory of its own goes into DIR/k.
local function run_directory(o)
  local ok, context = pcall(require, "trit.context")
  context = ok and context or {}
  if o.out then return o.out, context end
  local script = context.script and context.script:match("([^/]+)%.lua$") or "train"
  local base = context.out or context.base
  if not base then
    base = ("runs/%s/%s"):format(script, os.date("%Y%m%d-%H%M%S"))
    if o.log ~= false then base = claim(base) end
  end
  if o.log == false then return base, context end
  context.base, context.trainings = base, (context.trainings or 0) + 1
  return context.trainings > 1 and ("%s/%d"):format(base, context.trainings) or base, context
end

local function log_layers(run, epoch)
  for name, m in run.model:quantizable() do
    local q = rawget(m, "quantizer")
    local record = { step = run.step, epoch = epoch, weights = m.weight }
    if q then q:record(m.weight, record) end
    run.log:layer(name, record)
  end
end

local function new_cursor(epoch)
  return { epoch = epoch, batch = 0, trained = false, loss = 0, correct = 0, count = 0, seconds = 0,
    wait = 0 }
end

local function show(run, c, began, count)
  run.bar:update(c.batch, ("loss %.4f  %.0f images/s  data wait %.1f%%"):format(c.loss / c.count,
    (c.count - count) / (now() - began), 100 * c.wait / c.seconds), now())
end

-- One step on one batch; `at` is the number of batches before it in the epoch.
local function one_step(run, c, at, x, y)
  set_rates(run, c.epoch - 1 + at / run.data.batches)
  local loss, logits, first = run.step_fn(x, y)
  run.step = run.step + 1
  c.correct = c.correct + core.ops.topk_correct(logits:detach(), y, { k = 1 }):item()
  c.loss, c.count = c.loss + loss * y:numel(), c.count + y:numel()
  if run.log then
    run.log:train { step = run.step, epoch = c.epoch, loss = loss, loss_threshold_pass = first,
      lr = run.optimizer:lr() }
  end
  if run.hooks.step then run.hooks.step(run, loss) end
end

--- The batches of the cursor's epoch that are still to come.
local function train_batches(run, c)
  run.bar = progress.new { total = run.data.batches, quiet = run.quiet,
    label = ("%s epoch %d/%d"):format(run.label, c.epoch, run.epochs) }
  local began, waited, count, seconds, wait = now(), run.data:wait_seconds(), c.count, c.seconds, c.wait
  local iterator, state, control, pass = run.data:train(c.epoch, c.batch + 1)
  for x, y in iterator, state, control, pass do
    local at = c.batch
    c.batch = pass and pass.position and pass:position() or at + 1 -- batches may be left out
    one_step(run, c, at, x, y)
    c.seconds, c.wait = seconds + now() - began, wait + run.data:wait_seconds() - waited
    c.trained = run.max_steps ~= nil and run.step >= run.max_steps
    show(run, c, began, count)
    run.keeper:step()
    if c.trained then break end
  end
  run.bar:clear()
  c.trained = true
end

--- One epoch of batches; returns mean loss, top-1 on the training batches, images per second.
local function train_epoch(run)
  local c = run.cursor
  if not c.trained then train_batches(run, c) end
  local count, seconds = math.max(c.count, 1), math.max(c.seconds, 1e-9)
  return { loss = c.loss / count, top1 = c.correct / count, rate = c.count / seconds, seconds = seconds,
    wait = c.wait / seconds }
end

local function report(run, epoch, t, v, zeros)
  if run.quiet then return end
  io.stderr:write(("%s epoch %d/%d  loss %.4f  train %.2f%%  test %.2f%%  zeros %.1f%%  lr %.3g  " ..
    "%.0f images/s  data wait %.1f%%\n"):format(run.label, epoch, run.epochs, t.loss, 100 * t.top1,
    100 * v.top1, 100 * zeros, run.optimizer:lr(), t.rate, 100 * t.wait))
end

-- The batches of an iterator, looking for signals between them.
local function watched(run, iterator, state, control, pass)
  return function(s, k)
    run.keeper:poll()
    return iterator(s, k)
  end, state, control, pass
end

-- What the run has cost as attributes of its file, with shares in percent; on disk with the next record.
local function note_cost(run, cost)
  for _, what in ipairs { "log", "checkpoint", "data_wait" } do
    local seconds = cost[what .. "_seconds"]
    run.log:attr(what .. "_seconds", seconds)
    run.log:attr(what .. "_percent", 100 * seconds / cost.seconds)
  end
end

local function log_epoch(run, epoch, t, v, zeros)
  note_cost(run, run:cost())
  run.log:val { step = run.step, epoch = epoch, loss = v.loss, top1 = v.top1, top5 = v.top5,
    train_top1 = t.top1, zeros = zeros, images_per_second = t.rate, data_wait = t.wait }
  if epoch % run.histogram_every ~= 0 and epoch ~= run.epochs then return end
  local start, before = now(), run.log:cost()
  log_layers(run, epoch)
  run.log:charge(now() - start - (run.log:cost() - before))
end

local function one_epoch(run)
  local epoch, result = run.cursor.epoch, run.result
  local t = train_epoch(run)
  local v = M.evaluate(run.model, watched(run, run.data:test()))
  local zeros = M.sparsity(run.model)
  if run.log then log_epoch(run, epoch, t, v, zeros) end
  if run.schedule and run.schedule.observe then run.schedule:observe(v.loss) end
  report(run, epoch, t, v, zeros)
  if run.hooks.epoch then run.hooks.epoch { epoch = epoch, loss = t.loss, train = t, test = v, run = run } end
  result.loss, result.top1, result.top5, result.epoch = t.loss, v.top1, v.top5, epoch
  run.complete = epoch >= run.epochs or run.max_steps ~= nil and run.step >= run.max_steps
  local better = not result.best_epoch or v.top1 > result.best_top1
  if better and (all_awake(run.model) or run.complete and not result.best_epoch) then
    result.best_top1, result.best_epoch, run.best_here = v.top1, epoch, true
  end
  run.cursor = new_cursor(epoch + 1)
  run.keeper:epoch(run.complete)
end

local Run = {}
Run.__index = Run

--- Seconds so far, those before a resume included: of the run, and of them for logging, checkpoints
-- and waiting for data.
function Run:cost()
  return { seconds = self.spent.seconds + now() - self.began, log_seconds = self.log and self.log:cost() or 0,
    checkpoint_seconds = self.spent.checkpoint_seconds + self.checkpoint_seconds,
    data_wait_seconds = self.spent.data_wait_seconds + self.data:wait_seconds() - self.waited }
end

local function new_run(o)
  local run = setmetatable({ model = o.model, data = o.data, optimizer = o.optimizer, epochs = o.epochs,
    label = o.label or "train", hooks = o.hooks or {}, quiet = o.quiet, step = 0,
    histogram_every = o.histogram_every or 1, schedule = o.schedule, max_steps = o.max_steps,
    cursor = new_cursor(1), result = { best_top1 = 0 }, complete = o.epochs < 1, began = now(),
    waited = o.data:wait_seconds(), state = o.state or {}, checkpoint_seconds = 0,
    spent = { seconds = 0, log_seconds = 0, checkpoint_seconds = 0, data_wait_seconds = 0 } }, Run)
  local loss = o.loss or function(logits, y)
    return core.ops.cross_entropy(logits, y, { label_smoothing = o.label_smoothing or 0 })
  end
  run.threshold_optimizer = thresholds_optimizer(o)
  run.mode = run.threshold_optimizer and (o.schedule_mode or "sequential") or "plain"
  run.step_fn = steps.new { model = o.model, loss = loss, optimizer = o.optimizer,
    threshold_optimizer = run.threshold_optimizer, mode = o.schedule_mode, accumulate = o.accumulate,
    bn_first_pass = o.bn_first_pass, clip_norm = o.clip_norm,
    where = function() return (" at epoch %d, step %d"):format(run.cursor.epoch, run.step + 1) end }
  run.base = { [o.optimizer] = o.optimizer:lr() }
  if run.threshold_optimizer then run.base[run.threshold_optimizer] = run.threshold_optimizer:lr() end
  return run
end

local function run_epochs(run, o, fresh)
  local guard <close> = keeper.new(run, o.checkpoint_every)
  run.keeper = guard
  if fresh then guard:save() end -- so that even a run that fails in its first epoch leaves one
  while not run.complete do one_epoch(run) end
end

-- result.log_seconds, ...; the same in the run file.
local function account(run, result)
  local cost = run:cost()
  for name, value in pairs(cost) do result[name] = value end
  if run.log then note_cost(run, cost) end
end

local function report_cost(run, r)
  if run.quiet then return end
  local function part(seconds) return ("%.2f s (%.1f %%)"):format(seconds, 100 * seconds / r.seconds) end
  io.stderr:write(("%s: %.1f s; of these logging %s, checkpoints %s, waiting for data %s\n"):format(run.label,
    r.seconds, part(r.log_seconds), part(r.checkpoint_seconds), part(r.data_wait_seconds)))
end

-- Bring the run file to its end; returns what is to rise.
local function finish(run, ok, failure)
  local status = ok and "complete" or type(failure) == "table" and failure.interrupted and "interrupted"
    or "failed"
  local counted, why = pcall(account, run, run.result)
  if not run.log then return not ok and failure or nil end
  local message = type(failure) == "table" and failure.message or failure
  local done, reason = run.log:finish(status, not ok and tostring(message) or nil)
  if not ok then return failure end
  return not counted and why or not done and reason or nil
end

--- Train; see the top of this file.  A failure marks the run file failed and rises.
function M.train(o)
  traincheck.check(o, known)
  keeper.check(o.checkpoint_every)
  local run = new_run(o)
  local context, how
  run.dir, context = run_directory(o)
  if o.out or not context.run_dir then context.run_dir = run.dir end
  run.quiet = run.quiet or context.quiet
  if o.log ~= false then
    run.config = config.of(o, run, context)
    how = resume.open(run, context, o.resume or o.resume == nil and context.resume)
  end
  local result = run.result
  result.dir, result.label = run.dir, run.label
  o.model:train()
  if how ~= "complete" then
    local ok, failure = xpcall(run_epochs, function(e)
      return os.getenv("TRIT_TRACE") and debug.traceback(e, 2) or e
    end, run, o, how == "fresh")
    if not ok and run.bar then run.bar:clear() end
    failure = finish(run, ok, failure)
    if failure then error(failure, 0) end
    report_cost(run, result)
  end
  result.zeros, result.bits = M.sparsity(o.model)
  return result
end

return M
