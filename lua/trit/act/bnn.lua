--- Binary activations of BNN (Courbariaux et al. 2016, arXiv:1602.02830): y = sign(x), sign(0) = +1,
-- dL/dx = dL/dy [|x| <= 1].

local act = require "trit.act"

local binary = act.straight_through("bnn_sign", act.sign, function(x) return act.inside(x, -1, 1) end)

return act.define { name = "bnn", signed = true,
  doc = "y = sign(x), sign(0) = +1; dL/dx = g [|x| <= 1]  (arXiv:1602.02830)",
  forward = function(_, x) return binary(x) end }
