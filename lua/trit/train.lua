--- trit.train: the training loop, its log and its manners.
--
--   local result = trit.train { model = net, data = data, optimizer = opt, epochs = 30,
--     schedule = trit.schedule.cosine { epochs = 30 }, label = "float" }
--   result.top1  result.best_top1  result.loss  result.seconds  result.dir

local core = require "trit.core"
local uv = require "luv"
local progress = require "trit.progress"
local steps = require "trit.steps"

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
}

local function now() return uv.hrtime() * 1e-9 end

local function check_options(o)
  for name in pairs(o) do
    if not known[name] then
      local names = {}
      for k in pairs(known) do names[#names + 1] = k end
      table.sort(names)
      core.raise(("train: unknown option %q; known: %s"):format(tostring(name), table.concat(names, ", ")))
    end
  end
  for _, name in ipairs { "model", "data", "optimizer", "epochs" } do
    if o[name] == nil then core.raise(("train: option %s is missing: %s"):format(name, known[name])) end
  end
end

--- Accuracy of a model: trit.evaluate(model, batches) -> { top1, top5, loss, count }, shares in 0..1.
-- `batches` is an iterator of x, y, such as data:test().
function M.evaluate(model, ...)
  local was_training = model.training
  local old = core.grad_enabled(false)
  model:eval()
  local sum = { top1 = 0, top5 = 0, loss = 0, count = 0 }
  for x, y in ... do
    local logits = model(x)
    local n, classes = y:numel(), logits:shape()[2]
    sum.top1 = sum.top1 + core.ops.topk_correct(logits, y, { k = 1 }):item()
    sum.top5 = sum.top5 + core.ops.topk_correct(logits, y, { k = math.min(5, classes) }):item()
    sum.loss = sum.loss + core.ops.cross_entropy(logits, y):item() * n
    sum.count = sum.count + n
  end
  core.grad_enabled(old)
  if was_training then model:train() end
  local n = math.max(sum.count, 1)
  return { top1 = sum.top1 / n, top5 = sum.top5 / n, loss = sum.loss / n, count = sum.count }
end

--- Share of zero codes over all quantized weights, and average bits per weight of the model
-- (2 per ternary weight and term, 32 per other; scales counted).
function M.sparsity(model)
  local zeros, coded, bits, total = 0, 0, 0, 0
  for _, m in model:quantizable() do
    local n = m.weight:numel()
    total = total + n
    local q = rawget(m, "quantizer")
    if q then
      for _, row in ipairs(q:stats(m.weight)) do zeros = zeros + row.occupancy[2] * row.count end
      coded = coded + n
      bits = bits + n * q:bits()
    else
      bits = bits + 32 * n
    end
  end
  return coded > 0 and zeros / coded or 0, total > 0 and bits / total or 32
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

local function run_directory(o)
  local ok, context = pcall(require, "trit.context")
  local base = o.out or ok and context.out
  if not base then
    local script = ok and context.script and context.script:match("([^/]+)%.lua$") or "train"
    base = ("runs/%s/%s"):format(script, os.date("%Y%m%d-%H%M%S"))
  end
  return base, ok and context or {}
end

local function config_of(o, run, context)
  local layers = {}
  for name, m in o.model:quantizable() do
    local q = rawget(m, "quantizer")
    layers[#layers + 1] = { name = name, quantizer = q and q.name or "float", options = q and q.options }
  end
  local cpu = core.cpu()
  local config = { script = context.script, params = context.params, label = o.label,
    model = rawget(o.model, "model_name") or o.model.kind, epochs = o.epochs, layers = layers,
    quantizer = layers[1] and layers[#layers].quantizer, schedule_mode = run.mode, version = core.version,
    cpu = cpu, isa = core.isa(), threads = core.threads(), data = o.data.describe and o.data:describe(),
    optimizer = o.optimizer.describe and o.optimizer:describe() }
  for k, v in pairs(require("trit.trained").record(o.model, o.data)) do config[k] = v end
  for k, v in pairs(o.config or {}) do config[k] = v end
  return config
end

local function log_layers(run, epoch)
  for name, m in run.model:quantizable() do
    local q = rawget(m, "quantizer")
    local record = { step = run.step, epoch = epoch, weights = m.weight }
    if q then
      local stats = q:stats(m.weight)
      record.codes, record.threshold, record.scale = q:codes(), stats[1].delta, stats[1].scale
      record.mu, record.sigma, record.center = stats[1].mu, stats[1].sigma, stats[1].center
    end
    run.log:layer(name, record)
  end
end

--- One epoch of batches; returns mean loss, top-1 on the training batches, images per second.
local function train_epoch(run, epoch)
  local bar = progress.new { total = run.data.batches, quiet = run.quiet,
    label = ("%s epoch %d/%d"):format(run.label, epoch, run.epochs) }
  local loss_sum, correct, count, batches = 0, 0, 0, 0
  local began, waited = now(), run.data:wait_seconds()
  for x, y in run.data:train(epoch) do
    set_rates(run, epoch - 1 + batches / run.data.batches)
    local loss, logits, first = run.step_fn(x, y)
    run.step, batches = run.step + 1, batches + 1
    correct = correct + core.ops.topk_correct(logits:detach(), y, { k = 1 }):item()
    loss_sum, count = loss_sum + loss * y:numel(), count + y:numel()
    if run.log then
      run.log:train { step = run.step, epoch = epoch, loss = loss, loss_threshold_pass = first,
        lr = run.optimizer:lr() }
    end
    if run.hooks.step then run.hooks.step(run, loss) end
    local t = now()
    bar:update(batches, ("loss %.4f  %.0f images/s  data wait %.1f%%"):format(loss_sum / count,
      count / (t - began), 100 * (run.data:wait_seconds() - waited) / (t - began)), t)
    if run.max_steps and run.step >= run.max_steps then break end
  end
  bar:clear()
  local seconds = now() - began
  return { loss = loss_sum / math.max(count, 1), top1 = correct / math.max(count, 1),
    rate = count / seconds, seconds = seconds,
    wait = (run.data:wait_seconds() - waited) / seconds }
end

local function report(run, epoch, t, v, zeros)
  if run.quiet then return end
  io.stderr:write(("%s epoch %d/%d  loss %.4f  train %.2f%%  test %.2f%%  zeros %.1f%%  lr %.3g  " ..
    "%.0f images/s  data wait %.1f%%\n"):format(run.label, epoch, run.epochs, t.loss, 100 * t.top1,
    100 * v.top1, 100 * zeros, run.optimizer:lr(), t.rate, 100 * t.wait))
end

local function one_epoch(run, epoch)
  local t = train_epoch(run, epoch)
  local v = M.evaluate(run.model, run.data:test())
  local zeros = M.sparsity(run.model)
  if run.log then
    run.log:val { step = run.step, epoch = epoch, loss = v.loss, top1 = v.top1, top5 = v.top5,
      train_top1 = t.top1, zeros = zeros, images_per_second = t.rate, data_wait = t.wait }
    if epoch % run.histogram_every == 0 or epoch == run.epochs then log_layers(run, epoch) end
  end
  if run.schedule and run.schedule.observe then run.schedule:observe(v.loss) end
  report(run, epoch, t, v, zeros)
  if run.hooks.epoch then run.hooks.epoch { epoch = epoch, loss = t.loss, train = t, test = v, run = run } end
  return t, v
end

local function epochs_of(run, result)
  for epoch = 1, run.epochs do
    run.epoch = epoch
    local t, v = one_epoch(run, epoch)
    result.loss, result.top1, result.top5, result.epoch = t.loss, v.top1, v.top5, epoch
    result.best_top1 = math.max(result.best_top1, v.top1)
    if run.max_steps and run.step >= run.max_steps then break end
  end
end

--- Train; see the top of this file.  A failure marks the run file failed and rises.
function M.train(o)
  check_options(o)
  local run = { model = o.model, data = o.data, optimizer = o.optimizer, epochs = o.epochs,
    label = o.label or "train", hooks = o.hooks or {}, quiet = o.quiet, step = 0,
    histogram_every = o.histogram_every or 1, schedule = o.schedule, max_steps = o.max_steps }
  local loss = o.loss or function(logits, y)
    return core.ops.cross_entropy(logits, y, { label_smoothing = o.label_smoothing or 0 })
  end
  local threshold_optimizer = thresholds_optimizer(o)
  run.mode = threshold_optimizer and (o.schedule_mode or "sequential") or "plain"
  run.step_fn = steps.new { model = o.model, loss = loss, optimizer = o.optimizer,
    threshold_optimizer = threshold_optimizer, mode = o.schedule_mode, accumulate = o.accumulate,
    bn_first_pass = o.bn_first_pass, clip_norm = o.clip_norm,
    where = function() return (" at epoch %d, step %d"):format(run.epoch, run.step + 1) end }
  run.base = { [o.optimizer] = o.optimizer:lr() }
  if threshold_optimizer then run.base[threshold_optimizer] = threshold_optimizer:lr() end
  local dir, context = run_directory(o)
  context.run_dir = dir
  run.quiet = run.quiet or context.quiet
  if o.log ~= false then
    run.log = require("trit.runlog").create(dir, { config = config_of(o, run, context) })
  end
  local result = { dir = dir, best_top1 = 0, label = run.label }
  local began = now()
  o.model:train()
  local ok, message = xpcall(epochs_of, function(e)
    return os.getenv("TRIT_TRACE") and debug.traceback(e, 2) or e
  end, run, result)
  result.seconds = now() - began
  result.zeros, result.bits = M.sparsity(o.model)
  if run.log then
    result.log_seconds = run.log:cost()
    run.log:finish(ok and "complete" or "failed", not ok and tostring(message) or nil)
  end
  if not ok then error(message, 0) end
  return result
end

return M
