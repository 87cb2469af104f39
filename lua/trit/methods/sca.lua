--- Sparsity control (Deng & Zhang 2020, arXiv:2011.00580): soft weights, a regularizer that rounds them.

local quant = require "trit.quant"
local schemes = require "trit.schemes"

return { name = "sca", doc = "tanh weights driven to -1, 0, +1 by a regularizer (Deng & Zhang 2020)",
  weights = quant.sca { b = 1e-3 },
  finish = function(net, job, result)
    schemes.reestimate_bn(net, job.data)
    local v = require("trit.train").evaluate(net, job.data:test())
    return { top1 = v.top1, best_top1 = math.max(v.top1, result.best_top1) }
  end }
