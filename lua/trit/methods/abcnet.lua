--- ABC-Net weight bases (Lin, Zhao & Pan 2017, arXiv:1711.11294).

local quant = require "trit.quant"

return { name = "abcnet", doc = "sum of five binary bases, least squares (Lin et al. 2017)",
  weights = quant.abcnet { bases = 5 },
  optimizer = "adam", -- the gradient carries sum alpha
  published = { { set = "ImageNet", network = "ResNet-18", degradation = 1.0,
    source = "1711.11294 (FP unverified)" } } }
