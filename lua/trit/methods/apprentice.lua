--- Apprentice: distillation into low precision (Mishra & Marr 2018, arXiv:1711.05852).
--
--   L = alpha H(y, p_T) + beta H(y, p_A) + gamma H(p_T, p_A)       alpha 1, beta = gamma 1/2, temperature 1
--   A  teacher and apprentice trained together from scratch
--   B  teacher trained and frozen (alpha = 0), apprentice from scratch: the teacher's epochs come on top
--   C  teacher trained and frozen, apprentice starts from its own float weights, low learning rate
-- The third term gives no gradient to the teacher.  With a temperature T both its sides are softened and it
-- is multiplied by T^2: its gradient on the apprentice's logits is T (p_A - p_T).

local core = require "trit.core"
local ttq = require "trit.methods.ttq"

local ops = core.ops
local M = {}

local ALPHA, BETA, GAMMA = 1, 0.5, 0.5
local RATE = 0.2 -- of the job's learning rate, before Adam's share (trit.methods.adam)

--- H(p_T, p_A) of logits, times T^2; the teacher's side is held.
function M.soft_loss(apprentice, teacher, temperature)
  local t = temperature or 1
  local targets = ops.softmax(teacher:detach() * (1 / t))
  return ops.cross_entropy_soft(apprentice * (1 / t), targets) * (t * t)
end

local function teacher_logits(teacher, x, trained)
  if trained then return teacher(x) end
  local old = core.grad_enabled(false)
  local z = teacher(x)
  core.grad_enabled(old)
  return z
end

--- The loss for trit.train: teacher (module), o = { scheme = "A", alpha, beta, gamma, temperature }.
function M.loss(teacher, o)
  o = o or {}
  local joint = (o.scheme or "C") == "A"
  if joint then teacher:train() else teacher:eval() end
  return function(logits, y, x)
    local z = teacher_logits(teacher, x, joint)
    local loss = ops.cross_entropy(logits, y) * (o.beta or BETA)
      + M.soft_loss(logits, z, o.temperature) * (o.gamma or GAMMA)
    if joint then loss = loss + ops.cross_entropy(z, y) * (o.alpha or ALPHA) end
    return loss
  end
end

-- Adam over the apprentice's parameters, in scheme A the teacher's too.
local function optimizer(job, net, teacher)
  local list = { names = {} }
  for _, m in ipairs { net, teacher } do
    for _, t in ipairs(m:parameters()) do list[#list + 1] = t end
  end
  return require("trit.methods").adam({ parameters = function() return list end }, job, job.lr * RATE)
end

local function trainer(scheme)
  return function(job, d)
    local methods = require "trit.methods"
    local teacher, epochs = job.model(), job.epochs
    if scheme ~= "A" then teacher, epochs = methods.float_start(job) end
    if scheme == "B" then epochs = job.epochs end
    local net = job.model()
    if scheme == "C" then net:load_state_dict(teacher:state_dict()) end
    methods.wrap(d, net, job)
    local _, bits = require("trit.train").sparsity(net)
    return methods.fit(net, job, { epochs = epochs, label = d.name, out = job.out,
      optimizer = optimizer(job, net, scheme == "A" and teacher or nil),
      loss = M.loss(teacher, { scheme = scheme }),
      hooks = { step = function() teacher:zero_grad() end },
      config = { method = d.name, bits = bits, scheme = scheme } }), net
  end
end

local list = {}
for i, scheme in ipairs { "A", "B", "C" } do
  list[i] = { name = "apprentice_" .. scheme:lower(), ends = "float",
    weights = ttq.weights,
    doc = ("TTQ weights with a float teacher, scheme %s (Mishra & Marr 2018)"):format(scheme),
    train = trainer(scheme) }
end
list[1].published = { { set = "ImageNet", network = "ResNet-18", degradation = 1.1, ends = "float",
  source = "1711.05852 (FP unverified)" } }
list[3].published = { { set = "ImageNet", network = "ResNet-50", degradation = 0.9, ends = "float",
  source = "1711.05852" } }
return setmetatable(list, { __index = M })
