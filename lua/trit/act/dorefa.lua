--- k-bit activations of DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160): y = round(N clip(x, 0, 1))/N,
-- N = 2^k - 1; dL/dx = dL/dy [0 <= x <= 1].  Halves round to even.

local act = require "trit.act"

local function slope(x) return act.inside(x, 0, 1) end

local by_bits = {}

local function quantizer(bits)
  local n = 2 ^ bits - 1
  by_bits[bits] = by_bits[bits] or act.straight_through("dorefa_activation",
    function(x) return act.round(x:clamp { min = 0, max = 1 } * n) / n end, slope)
  return by_bits[bits]
end

return act.define { name = "dorefa",
  doc = "y = round(N clip(x, 0, 1))/N, N = 2^bits - 1; dL/dx = g [0 <= x <= 1]  (arXiv:1606.06160)",
  options = { bits = { 2, min = 1, max = 16, doc = "bits of an activation" } },
  forward = function(self, x) return quantizer(self.options.bits)(x) end }
