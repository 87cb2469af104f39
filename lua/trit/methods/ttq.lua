--- Trained ternary quantization (Zhu et al. 2017, arXiv:1612.01064).
--
-- The scales start at the mean |w| of their zones (ours; the authors start at 1 and take 400 epochs).  A
-- weight's gradient carries the scale of its zone and a scale's is a sum over its zone: no rate of SGD fits
-- both in a short training, so the optimizer is Adam, as the authors' for AlexNet.

local quant = require "trit.quant"

return { name = "ttq", doc = "ternary, two trained values, threshold 0.05 max|w| (Zhu et al. 2017)",
  weights = quant.ttq { scale_init = "mean" },
  optimizer = "adam",
  published = { { set = "CIFAR-10", network = "ResNet-20", degradation = 0.64, ends = "float/quantized",
    source = "authors' code" },
    { set = "ImageNet", network = "ResNet-18B", degradation = 3.0, ends = "float", source = "1612.01064" } } }
