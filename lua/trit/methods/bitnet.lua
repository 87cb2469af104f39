--- BitNet b1.58 absmean (Ma et al. 2024, arXiv:2402.17764): weights only.

local quant = require "trit.quant"

return { name = "bitnet", doc = "ternary, rounded in units of mean|w| (Ma et al. 2024)",
  weights = quant.bitnet {} }
