--- Soft threshold ternary networks (Xu et al. 2020, arXiv:2204.01234, and the authors' code): weights only.
-- Both latent tensors are clamped to [-1, 1] between steps, as the code does; first and last layer float.

local core = require "trit.core"
local quant = require "trit.quant"

local function clamp(net)
  local old = core.grad_enabled(false)
  for _, m in net:quantizable() do
    local q = rawget(m, "quantizer")
    if q and q.name == "sttn" then
      for _, w in ipairs { m.weight, q.w2 } do w:copy(w:clamp { min = -1, max = 1 }) end
    end
  end
  core.grad_enabled(old)
end

return { name = "sttn", doc = "ternary as the sum of two binary tensors (Xu et al. 2020)",
  weights = quant.sttn {}, ends = "float",
  hooks = function(net)
    clamp(net)
    return { step = function() clamp(net) end }
  end,
  published = { { set = "ImageNet", network = "ResNet-18", degradation = 3.1, ends = "float",
    source = "authors' README (ternary activations too)" } } }
