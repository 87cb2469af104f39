--- Recipes: a method in its source's own setting, every number an option of the script.
--
--   trit.methods.recipe { method = "wacv", model = "resnet20", start = "scratch", epochs = 200,
--     weight_decay = 3e-4, schedule = "0.1@80+0.1@120+0.5@160", weights = function(p) ... end,
--     params = { beta = { 0.05, doc = "threshold in units of max|w|" } } }
--
-- Fields: method, a name or a list of variants, the first being the default; `params`, rows of options of its
-- own, which the job gets too; any option below, as its default; and what takes the place of the method's:
-- weights, activations (functions of the options).  Float weights to start from are --from's, or those of
-- --pretrain epochs.  A method that scales the rate for stages of its own says
-- staged = true; for the others lr is what the source says.

local core = require "trit.core"
local lfs = require "lfs"
local methods = require "trit.methods"

local M = {}

local options = {
  data = { "folder:datasets/cifar10", doc = "data set: class folders, cifar10:DIR, idx:DIR, h5:FILE" },
  augment = { "crop+flip", doc = "augmentation steps, joined by +" },
  model = { "resnet20", doc = "network" },
  start = { "float", doc = "weights at the beginning", choices = { "float", "scratch" } },
  from = { "", doc = "float weights to start from: run directory or .safetensors file" },
  pretrain = { 164, min = 1, doc = "epochs in float where --from gives no weights: SGD 0.1, cosine" },
  ends = { "quantized", doc = "first convolution and last layer",
    choices = { "quantized", "float", "first_float" } },
  epochs = { 164, min = 1, doc = "passes over the training images" },
  batch = { 128, min = 1, doc = "images per step" },
  optimizer = { "nesterov", doc = "of the weights; SGD has momentum 0.9",
    choices = { "sgd", "nesterov", "adam", "adamw" } },
  lr = { 0.1, min = 0, doc = "learning rate" },
  schedule = { "cosine", doc = "constant, cosine, to:RATE (exponentially), or FACTOR@EPOCH joined by +; " ..
    "the published epochs move along with --epochs" },
  weight_decay = { 1e-4, min = 0, doc = "L2" },
  loss = { "cross_entropy", doc = "loss", choices = { "cross_entropy", "squared_hinge" } },
  max_steps = { 0, min = 0, doc = "stop after so many steps (smoke runs); 0: do not" },
  seed = { 1, doc = "initial weights, order, augmentation" },
}
local extra = { -- only where a recipe gives them
  lr_th = { 1.0, min = 0, doc = "threshold learning rate, in units of lr" },
  eps = { 1e-8, min = 0, doc = "of Adam" },
  decay_epochs = { 1, min = 0, doc = "epochs with weight decay" },
}
local own = { method = true, params = true, weights = true, activations = true, staged = true }

local function with_default(row, value)
  local new = {}
  for k, v in pairs(row) do new[k] = v end
  if value ~= nil then new[1] = math.type(row[1]) == "float" and value + 0.0 or value end
  return new
end

-- What trit.params takes: rows of the method's names, of the common options, of the recipe's own.
local function declare(spec, d)
  for k in pairs(spec) do
    if not (own[k] or options[k] or extra[k]) then
      core.raise(("methods.recipe: unknown field %q"):format(tostring(k)))
    end
  end
  local rows = {}
  for k, row in pairs(options) do
    local value = spec[k]
    if value == nil and (k == "start" or k == "ends") then value = d[k] end
    rows[k] = with_default(row, value)
  end
  for k, row in pairs(extra) do
    if spec[k] then rows[k] = with_default(row, spec[k]) end
  end
  for k, row in pairs(spec.params or {}) do rows[k] = row end
  if type(spec.method) == "table" then
    rows.method = { spec.method[1], choices = spec.method, doc = "variant" }
  end
  return rows
end

local function number(text, what)
  return tonumber(text) or core.raise(("option --schedule: %q is no %s"):format(text, what))
end

--- A schedule from its text; epochs: of this training, published: those the text's milestones are of.
function M.schedule(text, lr, epochs, published)
  local schedule = require "trit.schedule"
  if text == "constant" then return schedule.constant {} end
  if text == "cosine" then return schedule.cosine { epochs = epochs } end
  local last = text:match("^to:(.*)$")
  if last then return schedule.exponential { factor = (number(last, "rate") / lr) ^ (1 / epochs) } end
  local factors, milestones = {}, {}
  for part in text:gmatch("[^+]+") do
    local factor, at = part:match("^(.-)@(.*)$")
    factors[#factors + 1] = number(factor or part, "FACTOR@EPOCH")
    milestones[#milestones + 1] = number(at or part, "FACTOR@EPOCH") * epochs / published
  end
  return schedule.multistep { milestones = milestones, factors = factors }
end

-- The method's table with the recipe's fields in their places.
local function described(d, spec, p)
  local new = {}
  for k, v in pairs(d) do new[k] = v end
  for _, k in ipairs { "weights", "activations" } do
    if spec[k] then new[k] = spec[k](p) end
  end
  new.start, new.ends, new.lr, new.optimizer = p.start, p.ends, 1, nil
  if spec.lr_th then new.lr_th = p.lr_th end
  if spec.loss or p.loss ~= "cross_entropy" then -- a method's own stays where the recipe names none
    new.loss = function() return function(logits, y) return core.ops[p.loss](logits, y) end end
  end
  return new
end

local function set_decay(optimizer, on)
  for _, group in ipairs(optimizer.groups) do
    group.decay = group.decay or group.options.weight_decay
    group.options.weight_decay = on and group.decay or 0
  end
end

-- A schedule that takes the weight decay away from `last` epochs on; of time alone, as a resumed run needs.
local function without_decay(schedule, optimizer, last)
  return setmetatable({ rate = function(_, base, t)
    set_decay(optimizer, t < last)
    return schedule:rate(base, t)
  end }, { __index = schedule })
end

-- What makes the optimizer, and what makes the schedule that follows it.
local function rates(spec, p)
  local made
  local moved = p.schedule == spec.schedule and (spec.epochs or options.epochs[1])
  local function make(net, lr)
    local o = { lr = spec.staged and lr or p.lr, weight_decay = p.weight_decay }
    if spec.eps then o.eps = p.eps end
    local rule = p.optimizer
    if rule == "sgd" or rule == "nesterov" then
      o.momentum, o.nesterov, rule = 0.9, rule == "nesterov", "sgd"
    end
    made = require("trit.optim")[rule](net:parameters(), o)
    return made
  end
  return make, function(epochs)
    local s = M.schedule(p.schedule, p.lr, epochs, moved or epochs)
    if not spec.decay_epochs then return s end
    return without_decay(s, made, p.decay_epochs * (moved and epochs / spec.epochs or 1))
  end
end

local function load(from)
  if from:match("%.safetensors$") then return require("trit.safetensors").load(from) end
  return assert(require("trit.checkpoint").load(from)).tensors
end

local FLOAT = { lr = 0.1, weight_decay = 1e-4 } -- of pretraining

local function float_weights(p, job)
  if p.from ~= "" then return load(p.from) end
  local net = job.model()
  methods.fit(net, { data = job.data, weight_decay = FLOAT.weight_decay, max_steps = job.max_steps },
    { epochs = p.pretrain, lr = FLOAT.lr, label = "float", log = false })
  return net:state_dict()
end

local function job_of(spec, p)
  local augment = {}
  for step in p.augment:gmatch("[^+]+") do augment[#augment + 1] = step end
  local data = require("trit.data").open(p.data, { batch = p.batch, augment = augment, seed = p.seed })
  local make, schedule = rates(spec, p)
  local job = { data = data, epochs = p.epochs, lr = p.lr, weight_decay = p.weight_decay, seed = p.seed,
    max_steps = p.max_steps > 0 and p.max_steps or nil, optimizer = make, rule = p.optimizer,
    schedule = schedule,
    model = function()
      return require("trit.models").create(p.model, { classes = data.classes, channels = data.shape[1],
        size = data.shape[2], seed = p.seed })
    end }
  for k in pairs(spec.params or {}) do job[k] = p[k] end
  return job
end

--- Leave a run's network and result in its directory and say what came out.
function M.leave(result, net, more)
  if not lfs.attributes(result.dir, "mode") then return end
  require("trit.checkpoint").save(result.dir, { tensors = net:state_dict(),
    meta = { method = result.method, model = more.model, counters = net:counters_dict() } })
  methods.save(result, more)
  print(("%s: top-1 %.2f %% (best %.2f %%), zeros %.1f %%, %.2f bits, %.1f s an epoch"):format(result.method,
    100 * result.top1, 100 * result.best_top1, 100 * result.zeros, result.bits, result.epoch_seconds))
end

--- Declare the options, train, leave the result.  Returns it and the network.
function M.run(spec)
  local name = type(spec.method) == "table" and spec.method[1] or spec.method
  local p = require("trit.params").declare(declare(spec, methods.get(name)))
  if type(spec.method) == "table" then name = p.method end
  local job = job_of(spec, p)
  if p.start == "float" then job.from = float_weights(p, job) end
  local result, net = methods.train(described(methods.get(name), spec, p), job)
  M.leave(result, net, { model = p.model, data = p.data, epochs = p.epochs, seed = p.seed })
  return result, net
end

return M
