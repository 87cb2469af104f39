--- k-bit activations of DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160): y = round(N clip(x, 0, 1))/N,
-- N = 2^k - 1; dL/dx = dL/dy [0 <= x <= 1].  Halves round to even.

local core = require "trit.core"
local act = require "trit.act"

return act.define { name = "dorefa",
  doc = "y = round(N clip(x, 0, 1))/N, N = 2^bits - 1; dL/dx = g [0 <= x <= 1]  (arXiv:1606.06160)",
  options = { bits = { 2, min = 1, max = 16, doc = "bits of an activation" } },
  forward = function(self, x)
    local n = 2 ^ self.options.bits - 1
    return core.ops.fake_quant(x, { scale = n, low = 0, high = n })
  end }
