--- k-bit activations of DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160): y = round(N clip(x, 0, 1))/N,
-- N = 2^k - 1; dL/dx = dL/dy [0 <= x <= 1].  Halves round to even.  bits = 0 only clips: what the last
-- layer takes.  With gradient_bits the gradient of the layer's output is quantized as well
-- (dorefa_gradient.lua).

local core = require "trit.core"
local act = require "trit.act"
local gradient = require "trit.act.dorefa_gradient"

local clip = act.straight_through("dorefa_clip", function(x) return x:clamp { min = 0, max = 1 } end,
  function(x) return act.inside(x, 0, 1) end)

return act.define { name = "dorefa",
  doc = "y = round(N clip(x, 0, 1))/N, N = 2^bits - 1; dL/dx = g [0 <= x <= 1]  (arXiv:1606.06160)",
  options = { bits = { 2, min = 0, max = 16, doc = "bits of an activation; 0: clipped only" },
    gradient_bits = { 0, min = 0, max = 16, doc = "bits of the output's gradient; 0: as it is" },
    seed = gradient.seed },
  init = function(self)
    if self.options.gradient_bits > 0 then
      gradient.give_pass(self, self.options.gradient_bits, self.options.seed)
    end
  end,
  forward = function(self, x)
    local n = 2 ^ self.options.bits - 1
    if n == 0 then return clip(x) end
    return core.ops.fake_quant(x, { scale = n, low = 0, high = n })
  end,
  output = function(self, x, y)
    return self.options.gradient_bits > 0 and gradient.output(self, x, y) or y
  end }
