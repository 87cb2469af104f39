--- TRQ (Li et al. 2021): weights only.

local quant = require "trit.quant"

return { name = "trq", doc = "ternary as binary stem and binary residual, trained size (Li et al. 2021)",
  weights = quant.trq {} }
