--- Thresholds trained through the truncated Gaussian (He & Fan 2019, arXiv:1810.01018).

local quant = require "trit.quant"

local from = "abstract of 1810.01018"
return {
  { name = "tga", doc = "ternary, trained thresholds, truncated Gaussian scale (He & Fan 2019)",
    weights = quant.tga {},
    published = { { set = "ImageNet", network = "ResNet-18", degradation = 3.9, ends = "quantized",
      source = from },
      { set = "ImageNet", network = "ResNet-34", degradation = 2.52, ends = "quantized", source = from },
      { set = "ImageNet", network = "ResNet-50", degradation = 2.16, ends = "quantized", source = from } } },
  { name = "tga_filter", doc = "tga with a threshold and scale for every filter",
    weights = quant.tga { granularity = "filter" } },
}
