--- Binary weight networks and XNOR-Net (Rastegari et al. 2016, arXiv:1603.05279, and the released code).
--
-- The released loop takes the mean over input channels from the weights, clamps them, and multiplies the
-- paper's gradient by 1 - 1/Cin, under SGD also by n, the weights of a filter: without n the gradient, which
-- carries the scale of the weights and 1/n, is hundreds of times too small for SGD's rate of 1e-2.  Adam
-- takes factors out again.  Weight decay comes after, unscaled.

local core = require "trit.core"
local hints = require "trit.hints"
local quant = require "trit.quant"
local act = require "trit.act"

local M = {}

--- What the released loop does to latent weights before they are binarized: the mean over input channels
-- is taken away, then they are clamped to [-1, 1]; in place.
function M.prepare(w)
  local old = core.grad_enabled(false)
  if w:shape()[2] > 1 then w:copy(w - w:mean { axes = { 2 }, keepdims = true }) end
  w:copy(w:clamp { min = -1, max = 1 })
  core.grad_enabled(old)
  return w
end

--- What it multiplies the paper's gradient by; shape: of the weights.  One input channel has no mean to take.
function M.release_factor(shape, sgd)
  local n = 1
  for i = 2, #shape do n = n * shape[i] end
  return (shape[2] > 1 and 1 - 1 / shape[2] or 1) * (sgd and n or 1)
end

local SGD = { sgd = true, nesterov = true }

local function scale_gradients(net, job)
  for _, m in net:quantizable() do
    if rawget(m, "quantizer") then
      local hint = hints[m.weight] or {}
      hint.grad_scale = M.release_factor(m.weight:shape(), SGD[job.rule])
      hints[m.weight] = hint
    end
  end
end

local function hooks(net)
  local function all()
    for _, m in net:quantizable() do
      if rawget(m, "quantizer") then M.prepare(m.weight) end
    end
  end
  all()
  return { step = all }
end

return setmetatable({
  { name = "bwn", doc = "binary weights, scale mean|w| of every filter (Rastegari et al. 2016)",
    weights = quant.bwn {}, ends = "float", prepare = scale_gradients, hooks = hooks, optimizer = "adam",
    published = { { set = "ImageNet", network = "ResNet-18", degradation = 8.5, ends = "float",
      source = "1603.05279 (FP unverified)" } } },
  { name = "bwn_exact", doc = "bwn with the exact gradient through the scale",
    weights = quant.bwn { bwn_grad = "exact" }, ends = "float", optimizer = "adam" },
  { name = "xnor", doc = "bwn with binary activations (Rastegari et al. 2016)",
    weights = quant.bwn {}, activations = act.xnor {}, ends = "float", prepare = scale_gradients,
    hooks = hooks, optimizer = "adam" },
}, { __index = M })
