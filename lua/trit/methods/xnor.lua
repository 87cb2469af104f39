--- Binary weight networks and XNOR-Net (Rastegari et al. 2016, arXiv:1603.05279, and the released code).

local core = require "trit.core"
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

--- Its gradient: the paper's times (1 - 1/Cin), for SGD also times n, the weights of a filter.
function M.release_gradient(paper, shape, sgd)
  local n = 1
  for i = 2, #shape do n = n * shape[i] end
  return paper * ((1 - 1 / shape[2]) * (sgd and n or 1))
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
    weights = quant.bwn {}, ends = "float", hooks = hooks, optimizer = "adam",
    published = { { set = "ImageNet", network = "ResNet-18", degradation = 8.5, ends = "float",
      source = "1603.05279 (FP unverified)" } } },
  { name = "bwn_exact", doc = "bwn with the exact gradient through the scale",
    weights = quant.bwn { bwn_grad = "exact" }, ends = "float", optimizer = "adam" },
  { name = "xnor", doc = "bwn with binary activations (Rastegari et al. 2016)",
    weights = quant.bwn {}, activations = act.xnor {}, ends = "float", hooks = hooks, optimizer = "adam" },
}, { __index = M })
