--- LQ-Nets (Zhang et al. 2018, arXiv:1807.10029).

local quant = require "trit.quant"

return {
  { name = "lqnets", doc = "2-bit weights, levels learned by QEM for every filter (Zhang et al. 2018)",
    ends = "float", weights = quant.lqnets {},
    published = { { set = "CIFAR-10", network = "ResNet-20", degradation = 0.3, ends = "float",
      source = "1807.10029 (unverified)" },
      { set = "ImageNet", network = "ResNet-18", degradation = 2.3, ends = "float",
        source = "authors' README" } } },
  { name = "lqnets_ternary", doc = "QEM with tied basis: levels -s, 0, s",
    weights = quant.lqnets { ternary = true } },
}
