--- Soft threshold ternary networks (Xu et al. 2020, arXiv:2204.01234): weights only.

local quant = require "trit.quant"

return { name = "sttn", doc = "ternary as the sum of two binary tensors (Xu et al. 2020)",
  weights = quant.sttn {} }
