--- trit.methods: published ways to low-bit weights, each as its authors train it, behind one call.
--
--   trit.methods.list()
--   local result = trit.methods.train("twn", { model = function() return net end, data = data,
--     epochs = 20, pretrain = 10, lr = 0.1 })
--   result.top1  result.best_top1  result.zeros  result.bits  result.epoch_seconds
--
-- A method is a file lua/trit/methods/NAME.lua that returns a table (or a list of such, for variants):
--
--   name, doc        the method in one line, with its source
--   weights          a quantizer, or function(job) -> quantizer
--   activations      an activation quantizer of trit.act, or function(job) -> one
--   ends             first convolution and last layer, as published: "quantized", "float", or "first_float"
--   start            "float" (fine-tune trained float weights) or "scratch"
--   lr, lr_th        factor of the job's learning rate (default 1, from float weights 0.2);
--                    the thresholds' rate in units of the job's (default 0.01)
--   prepare(net, job)         after quantizing: whatever the network still needs
--   optimizer(net, job, lr)   instead of SGD, Nesterov momentum 0.9; or "adam": methods.adam
--   loss(net, job)            instead of cross-entropy: function(logits, labels, x) -> scalar
--   hooks(net, job)           of trit.train
--   train(net, job)           instead of all of this: -> result of trit.train
--   finish(net, job, result)  after training: fields it returns are added to the result
--   published = { { set, network, degradation, ends, source }, ... }   top-1 percentage points
--
-- Alarms (trit.schemes.alarms) are on: result.alarms lists what they said, and so does result.json.
--
-- A job: model (function -> fresh float network), data, epochs (of the whole), pretrain (of these in float
-- for methods that start so), lr, weight_decay, seed, optimizer (function(net, lr) that comes before the
-- method's) and rule (which: "sgd", "nesterov", "adam", "adamw"), from (a float state instead of
-- pretraining), kept (a directory where the pretrained weights are left, for other runs of the same job: the
-- first that needs them trains, the others wait), out, quiet, alarms (false: none).

local core = require "trit.core"
local lfs = require "lfs"

local methods = {}

local fields = { "name", "doc", "weights", "activations", "ends", "start", "lr", "lr_th", "prepare",
  "optimizer", "loss", "hooks", "train", "finish", "published", "mode" }
local known_fields = {}
for _, name in ipairs(fields) do known_fields[name] = true end

local by_name

local function add(d, file)
  for k in pairs(d) do
    if not known_fields[k] then core.raise(("methods/%s.lua: unknown field %q"):format(file, tostring(k))) end
  end
  for _, k in ipairs { "name", "doc" } do
    if type(d[k]) ~= "string" then core.raise(("methods/%s.lua: needs a %s"):format(file, k)) end
  end
  by_name[d.name] = d
end

--- Add a method; what files return goes through here, and scripts may call it.  Returns it.
function methods.define(d)
  methods.load()
  add(d, d.name or "?")
  return d
end

--- Read the files beside this one, once.
function methods.load()
  if by_name then return end
  by_name = {}
  local dir = assert(package.searchpath("trit.methods", package.path)):match("^(.*)/")
  for file in lfs.dir(dir) do
    local name = file:match("^([%w_]+)%.lua$")
    if name and name ~= "init" then
      local found = require("trit.methods." .. name)
      for _, d in ipairs(found.name and { found } or found) do add(d, name) end
    end
  end
end

--- Names of all methods, "float" first.
function methods.list()
  methods.load()
  local names = {}
  for name in pairs(by_name) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    if (a == "float") ~= (b == "float") then return a == "float" end
    return a < b
  end)
  return names
end

--- A method's table.
function methods.get(name)
  methods.load()
  if not by_name[name] then
    core.raise(("methods: none is called %q; known: %s"):format(tostring(name),
      table.concat(methods.list(), ", ")))
  end
  return by_name[name]
end

------------------------------------------------------------------------------- a job

local defaults = { epochs = 10, lr = 0.1, weight_decay = 5e-4, seed = 1 }

local function check_job(job)
  for _, k in ipairs { "model", "data" } do
    if not job[k] then core.raise(("methods.train: the job needs %s"):format(k)) end
  end
  local full = setmetatable({}, { __index = function(_, k)
    local v = job[k]
    if v == nil then v = defaults[k] end
    return v
  end })
  full.pretrain = job.pretrain or full.epochs // 2
  return full
end

local MOMENTUM, FINE_TUNE = 0.9, 0.2 -- of SGD; of the learning rate when trained float weights are tuned
local ADAM = 0.1 -- of the learning rate
local THRESHOLDS = 0.01 -- learning rate of thresholds in units of the job's (methods 1.6, the stable choice)

--- The optimizer of methods that say nothing else; recipes give job.optimizer(net, lr).
function methods.sgd(net, job, lr)
  if job.optimizer then return job.optimizer(net, lr) end
  return require("trit.optim").sgd(net:parameters(),
    { lr = lr, momentum = MOMENTUM, nesterov = true, weight_decay = job.weight_decay })
end

--- Adam at a tenth of the SGD rate (the released XNOR-Net's rule): for methods whose gradient carries the
-- scale of the weights, which SGD's rate does not fit.  A recipe's optimizer comes before it, as above.
function methods.adam(net, job, lr)
  if job.optimizer then return job.optimizer(net, lr) end
  return require("trit.optim").adam(net:parameters(), { lr = lr * ADAM })
end

--- One training of `net` by job: o = { epochs, lr, optimizer, loss, hooks, label, lr_th, out, mode, config }.
-- Its rate is a cosine, or job.schedule(epochs).  Watched by alarms unless job.alarms is false; what they say
-- is in the result's `alarms`.
function methods.fit(net, job, o)
  local schemes, schedule = require "trit.schemes", require "trit.schedule"
  local optimizer = o.optimizer or methods.sgd(net, job, o.lr)
  local watch = job.alarms ~= false and schemes.alarms(net, { quiet = job.quiet }) or { hooks = {} }
  local result = require("trit.train").train { model = net, data = job.data, optimizer = optimizer,
    epochs = o.epochs, schedule = schemes.follow(net, job.schedule and job.schedule(o.epochs)
      or schedule.cosine { epochs = o.epochs }, o.epochs),
    loss = o.loss, hooks = schemes.hooks(o.hooks or {}, watch.hooks), label = o.label,
    lr_th = o.lr_th, schedule_mode = o.mode,
    out = o.out, quiet = job.quiet, log = o.log, config = o.config, max_steps = job.max_steps }
  result.alarms = watch.messages
  return result
end

local function pretrain(net, job)
  methods.fit(net, job, { epochs = job.pretrain, lr = job.lr, label = "float", log = false })
end

-- Pretrained once for all runs that share the directory.
local function pretrain_once(net, job)
  local checkpoint, dir = require "trit.checkpoint", job.kept
  local found = require "trit.sweep.once"(dir, function() return (checkpoint.load(dir)) end, function()
    pretrain(net, job)
    assert(checkpoint.save(dir, { tensors = net:state_dict(), meta = { epochs = job.pretrain } }))
  end)
  net:load_state_dict(found.tensors)
end

--- Float weights to start from: the job's, or trained here for job.pretrain epochs (no run file).
-- Returns a fresh network that has them, and the epochs that remain.
function methods.float_start(job)
  local net = job.model()
  if job.from then
    net:load_state_dict(job.from)
    return net, job.epochs
  end
  if job.pretrain >= job.epochs then
    core.raise(("methods.train: pretrain is %d of %d epochs and leaves none"):format(job.pretrain,
      job.epochs))
  end
  if job.pretrain > 0 then (job.kept and pretrain_once or pretrain)(net, job) end
  return net, job.epochs - job.pretrain
end

local function value(d, key, ...)
  if type(d[key]) == "function" then return d[key](...) end
  return d[key]
end

--- Rules for all layers, or all but the first (ends = "first_float"), or the first and the last ("float").
function methods.rules(net, ends, what)
  if ends ~= "float" and ends ~= "first_float" then return { { ".*", what } } end
  local names = {}
  for name in net:quantizable() do names[#names + 1] = "^" .. name:gsub("%p", "%%%0") .. "$" end
  if ends == "first_float" then return { { names[1], false }, { ".*", what } } end
  return { { names[1], false }, { names[#names], false }, { ".*", what } }
end

--- Quantize a network as a method does.  What goes into the first layer is the image and stays real.
function methods.wrap(d, net, job)
  local weights, activations = value(d, "weights", job), value(d, "activations", job)
  if weights then require("trit.quantize").quantize(net, methods.rules(net, d.ends, weights)) end
  if activations then
    local ends = d.ends == "float" and d.ends or "first_float"
    require("trit.act").quantize(net, methods.rules(net, ends, activations))
  end
  if d.prepare then d.prepare(net, job) end
  return net
end

local function optimizer_of(d, net, job, lr)
  local make = d.optimizer == "adam" and methods.adam or d.optimizer or methods.sgd
  return make(net, job, lr)
end

local function plain_train(d, job)
  local net, epochs = job.model(), job.epochs
  local from_float = d.start ~= "scratch"
  if from_float then net, epochs = methods.float_start(job) end
  methods.wrap(d, net, job)
  local lr = job.lr * (d.lr or from_float and FINE_TUNE or 1)
  local _, bits = require("trit.train").sparsity(net)
  return methods.fit(net, job, { epochs = epochs, lr = lr, label = d.name, lr_th = job.lr * (d.lr_th
    or THRESHOLDS),
    optimizer = optimizer_of(d, net, job, lr), loss = d.loss and d.loss(net, job), mode = d.mode,
    hooks = d.hooks and d.hooks(net, job), out = job.out,
    config = { method = d.name, bits = bits, start = d.start or "float", ends = d.ends or "quantized" } }),
      net
end

--- Train by method, a name or a table; returns trit.train's result with method, epoch_seconds, published
-- and whatever the method measures besides, and the network.
function methods.train(name, job)
  local d = type(name) == "table" and name or methods.get(name)
  job = check_job(job)
  local result, net
  if d.train then result, net = d.train(job, d) else result, net = plain_train(d, job) end
  for k, v in pairs(d.finish and d.finish(net, job, result) or {}) do result[k] = v end
  result.method, result.published = d.name, d.published
  result.epoch_seconds = result.seconds / math.max(result.epoch or 1, 1)
  return result, net
end

--- Train a method in its source's own setting (trit.methods_recipe).
function methods.recipe(spec) return require("trit.methods_recipe").run(spec) end

--- Leave a result as DIR/result.json; more: what else the script says of the run.
function methods.save(result, more) return require("trit.methods_table").save(result, more) end

--- Rows over all results below a directory (trit.methods_table).
function methods.table(dir) return require("trit.methods_table").rows(dir, methods.get) end

return methods
