--- Incremental network quantization (Zhou et al. 2017, arXiv:1702.03044).

local quant = require "trit.quant"

-- Epochs before the last portion are those of a partly float network: none of them is the best.
local function finish(_, _, result) return { best_top1 = result.top1 } end

return {
  { name = "inq", doc = "5-bit powers of two, the largest weights first (Zhou et al. 2017)",
    weights = quant.inq {}, finish = finish },
  { name = "inq_ternary", doc = "INQ with two bits: 0 and one power of two (Zhou et al. 2017)",
    weights = quant.inq { bits = 2 }, finish = finish,
    published = { { set = "ImageNet", network = "ResNet-18", degradation = 2.3, ends = "quantized",
      source = "1702.03044 (FP unverified)" } } },
}
