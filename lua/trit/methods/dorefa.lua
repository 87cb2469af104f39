--- DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160).

local quant = require "trit.quant"
local act = require "trit.act"

local source = "tensorpack README"
return {
  { name = "dorefa_w2", doc = "2-bit weights after tanh, four levels (Zhou et al. 2016)", ends = "float",
    weights = quant.dorefa { bits = 2 } },
  { name = "dorefa_w1", doc = "1-bit weights, one scale a layer (Zhou et al. 2016)", ends = "float",
    weights = quant.dorefa { bits = 1 },
    published = { { set = "ImageNet", network = "AlexNet", degradation = 4.0, ends = "float",
      source = source } } },
  { name = "dorefa_w1a2", doc = "1-bit weights, 2-bit activations (Zhou et al. 2016)", ends = "float",
    weights = quant.dorefa { bits = 1 }, activations = act.dorefa { bits = 2 },
    published = { { set = "ImageNet", network = "AlexNet", degradation = 6.3, ends = "float",
      source = source } } },
}
