--- Statistical scaling and residual expansion (He, Gong & Fan 2019, arXiv:1807.07948).

local quant = require "trit.quant"

local from = "authors' README"
return {
  { name = "wacv", doc = "ternary, threshold 0.05 max|w|, mean scale (He, Gong & Fan 2019)",
    start = "scratch", weights = quant.wacv {},
    published = { { set = "CIFAR-10", network = "ResNet-20", degradation = 0.05, ends = "quantized",
      source = from },
      { set = "ImageNet", network = "ResNet-18", degradation = 3.74, ends = "quantized", source = from } } },
  { name = "wacv_rel2", doc = "sum of two ternary weights (residual expansion, He, Gong & Fan 2019)",
    weights = quant.wacv { t_ex = 2 },
    published = { { set = "ImageNet", network = "ResNet-18", degradation = 1.40, ends = "quantized",
      source = from } } },
  { name = "wacv_rel4", doc = "sum of four ternary weights (residual expansion, He, Gong & Fan 2019)",
    weights = quant.wacv { t_ex = 4 },
    published = { { set = "ImageNet", network = "ResNet-18", degradation = 0.31, ends = "quantized",
      source = from } } },
}
