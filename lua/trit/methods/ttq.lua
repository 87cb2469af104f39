--- Trained ternary quantization (Zhu et al. 2017, arXiv:1612.01064).

local quant = require "trit.quant"

return { name = "ttq", doc = "ternary, two trained values, threshold 0.05 max|w| (Zhu et al. 2017)",
  weights = quant.ttq { scale_init = "mean" }, -- the authors' 1.0 asks 400 epochs of batch norm to absorb it
  published = { { set = "CIFAR-10", network = "ResNet-20", degradation = 0.64, ends = "float/quantized",
    source = "authors' code" },
    { set = "ImageNet", network = "ResNet-18B", degradation = 3.0, ends = "float", source = "1612.01064" } } }
