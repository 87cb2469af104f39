--- Ternary activations of STTN (Xu et al. 2020, arXiv:2204.01234): y = (sign(x + delta) + sign(x - delta))/2,
-- dL/dx = g [|x| < 1].  sign(0) = +1.

local act = require "trit.act"

local by_delta = {}

local function quantizer(delta)
  by_delta[delta] = by_delta[delta] or act.straight_through("sttn_activation",
    function(x) return (act.sign(x + delta) + act.sign(x - delta)) / 2 end, act.open_unit)
  return by_delta[delta]
end

return act.define { name = "sttn", signed = true,
  doc = "y = (sign(x + delta) + sign(x - delta))/2; dL/dx = g [|x| < 1]  (arXiv:2204.01234)",
  options = { delta = { 0.5, min = 0, max = 1, doc = "cut of the codes" } },
  forward = function(self, x) return quantizer(self.options.delta)(x) end }
