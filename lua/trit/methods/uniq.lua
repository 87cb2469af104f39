--- UNIQ (Baskin et al. 2018, arXiv:1804.10969): noise in place of rounding, block after block.

local quant = require "trit.quant"
local schemes = require "trit.schemes"

local BLOCKS, SHARE = 4, 0.8 -- of the network; of the training, the rest with everything quantized (ours)

return { name = "uniq",
  doc = "3 levels of equal probability, noise while training, gradually (Baskin et al. 2018)",
  weights = quant.uniq { k = 3 },
  prepare = function(net)
    schemes.stepped(net, { blocks = BLOCKS, by = SHARE, freeze = true })
    for _, m in net:quantizable() do m.quantizer.stop = math.min(m.quantizer.stop, SHARE) end
  end,
  -- Epochs before the last stage are those of a partly float network: none of them is the best.
  finish = function(_, _, result) return { best_top1 = result.top1 } end }
