--- Ternary weight networks (Li & Liu 2016, arXiv:1605.04711).

local quant = require "trit.quant"

return { name = "twn", doc = "ternary, threshold 0.7 mean|w|, best scale (Li & Liu 2016)",
  weights = quant.twn {},
  published = { { set = "ImageNet", network = "ResNet-18", degradation = 3.6,
    source = "1605.04711 (FP unverified)" },
    { set = "CIFAR-10", network = "VGG-7", degradation = 0.32, source = "1605.04711 (unverified)" } } }
