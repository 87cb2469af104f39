--- Bayes by Backprop (Blundell et al. 2015, arXiv:1505.05424): a distribution over every weight; weights that
-- drown in their own noise are counted as zeros.  The added loss is shared evenly among the batches of an
-- epoch, or, job.kl_share = "halving", in the paper's other way: 2^(M-i)/(2^M - 1) of it for batch i of M.

local quant = require "trit.quant"

return { name = "bayes",
  doc = "normal distributions over weights, scale mixture prior (Blundell et al. 2015)",
  weights = function(job) -- the loss is a mean over images: the added part is shared among them
    return quant.bayes { kl = 1 / (job.data.batches * (job.data.options and job.data.options.batch or 1)),
      batches = job.kl_share == "halving" and job.data.batches or 0 }
  end }
