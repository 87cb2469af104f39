--- BinaryConnect and BNN (Courbariaux et al. 2015, arXiv:1511.00363; 2016, arXiv:1602.02830, and their
-- code): latent weights drawn uniformly from [-1, 1], clipped after every update, learning rates scaled by
-- layer; a batch norm behind the last layer and squared hinge loss.  Drawn weights are real ones when tested.
-- Ours: `binaryconnect` keeps the network's output and cross-entropy.

local core = require "trit.core"
local hints = require "trit.hints"
local quant = require "trit.quant"
local act = require "trit.act"

local M = {}

--- A layer's factor of the learning rate, 1/sqrt(1.5/(fan_in + fan_out)); fans count the window.
function M.lr_scale(shape)
  local window = 1
  for i = 3, #shape do window = window * shape[i] end
  return 1 / math.sqrt(1.5 / (window * (shape[1] + shape[2])))
end

--- w <- clip(w + s (w_opt - w), -1, 1), in place: what follows the plain update w_opt.
function M.step(w, w_opt, scale)
  return w:copy((w + (w_opt - w) * scale):clamp { min = -1, max = 1 })
end

-- The scaled step is the optimizer's with a scaled learning rate; clipping follows.
local function prepare(net, job)
  local old, n = core.grad_enabled(false), 0
  for _, m in net:quantizable() do
    n = n + 1
    if rawget(m, "quantizer") then
      local u = core.rand(m.weight:shape(), { seed = job.seed * 65536 + n, stream = 7 })
      m.weight:copy(u * 2 - 1)
      local hint = hints[m.weight] or {}
      hint.lr_scale, hint.decay = M.lr_scale(m.weight:shape()), false
      hints[m.weight] = hint
    end
  end
  core.grad_enabled(old)
end

local function clip(net)
  local old = core.grad_enabled(false)
  for _, m in net:quantizable() do
    if rawget(m, "quantizer") then m.weight:copy(m.weight:clamp { min = -1, max = 1 }) end
  end
  core.grad_enabled(old)
end

local function hooks(net) return { step = function() clip(net) end } end

local ADAM, BNN_ADAM = 0.03, 0.01 -- of the job's SGD rate: the authors start Adam at 3e-3, for BNN at 1e-3

local function adam(factor)
  return function(net, job, lr)
    if job.optimizer then return job.optimizer(net, lr) end
    return require("trit.optim").adam(net:parameters(), { lr = lr * factor })
  end
end

local function variant(d)
  d.start, d.prepare, d.hooks = "scratch", d.prepare or prepare, hooks
  d.optimizer = d.optimizer or adam(ADAM)
  return d
end

-- Logits are margins: of a batch norm's scale, the last layer's own being fixed by its binary weights.
local function margins(d)
  function d.prepare(net, job)
    require("trit.models").norm_output(net)
    prepare(net, job)
  end
  function d.loss() return function(logits, y) return core.ops.squared_hinge(logits, y) end end
  return variant(d)
end

return setmetatable({
  variant { name = "binaryconnect", doc = "binary weights by sign, no scale (Courbariaux et al. 2015)",
    weights = quant.binaryconnect {},
    published = { { set = "CIFAR-10", network = "VGG", degradation = -2.4, ends = "quantized",
      source = "authors' README (stochastic; FP unverified)" } } },
  margins { name = "binaryconnect_stochastic",
    doc = "binary weights drawn at every step (Courbariaux et al. 2015)",
    weights = quant.binaryconnect { mode = "stochastic" },
    published = { { set = "CIFAR-10", network = "VGG", degradation = -2.4, ends = "quantized",
      source = "authors' README (FP unverified)" } } },
  margins { name = "bnn", doc = "binary weights and activations (Courbariaux et al. 2016)",
    weights = quant.binaryconnect {}, activations = act.bnn {}, ends = "float",
    optimizer = adam(BNN_ADAM) },
}, { __index = M })
