--- UNIQ (Baskin et al. 2018, arXiv:1804.10969): noise in place of rounding, block after block, and once more
-- over the network.  job.blocks, job.passes and job.share (of the training for the blocks' turns, the rest
-- goes on with everything quantized) are ours but for the second pass.

local quant = require "trit.quant"
local schemes = require "trit.schemes"

local BLOCKS, PASSES, SHARE = 4, 2, 0.8

return { name = "uniq",
  doc = "3 levels of equal probability, noise while training, gradually (Baskin et al. 2018)",
  weights = quant.uniq { k = 3 },
  prepare = function(net, job)
    local share = job.share or SHARE
    schemes.stepped(net, { blocks = job.blocks or BLOCKS, passes = job.passes or PASSES, by = share,
      freeze = true })
    for _, m in net:quantizable() do
      local q = rawget(m, "quantizer")
      if q then q.stop = math.min(q.stop, share) end
    end
  end }
