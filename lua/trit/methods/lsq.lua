--- Learned step size quantization (Esser et al. 2020, arXiv:1902.08153), ternary.

local quant = require "trit.quant"

return { name = "lsq", doc = "ternary with a trained step (Esser et al. 2020)", weights = quant.lsq {} }
