--- Trained ternary quantization (Zhu et al. 2017, arXiv:1612.01064).
--
-- The scales start at the mean |w| of their zones and learn at 0.01 of the weights' rate (ours): their
-- gradients are sums over all weights of a zone, and at the full rate they change sign within an epoch.
-- The authors start at 1 and take 400 epochs.

local hints = require "trit.hints"
local quant = require "trit.quant"

local SCALE_RATE = 0.01

local function prepare(net)
  for _, m in net:quantizable() do
    local q = rawget(m, "quantizer")
    for _, scale in pairs(q and q:parameters() or {}) do hints[scale].lr_scale = SCALE_RATE end
  end
end

return { name = "ttq", doc = "ternary, two trained values, threshold 0.05 max|w| (Zhu et al. 2017)",
  weights = quant.ttq { scale_init = "mean" }, prepare = prepare,
  published = { { set = "CIFAR-10", network = "ResNet-20", degradation = 0.64, ends = "float/quantized",
    source = "authors' code" },
    { set = "ImageNet", network = "ResNet-18B", degradation = 3.0, ends = "float", source = "1612.01064" } } }
