--- Binary activations of XNOR-Net (Rastegari et al. 2016, arXiv:1603.05279): y = sign(x),
-- dL/dx = dL/dy [|x| < 1].  With input_scale, a convolution's output is multiplied by K, the mean of |x|
-- over channels and over the window; the released model leaves K out, and so does the default.  K gets no
-- gradient.  Block order: batch norm, sign, convolution.

local core = require "trit.core"
local act = require "trit.act"

local ops = core.ops

local binary = act.straight_through("xnor_sign", act.sign, act.open_unit)

local function input_scale(x, layer)
  local o, shape = layer.options, layer.weight:shape()
  local old = core.grad_enabled(false)
  local a = x:abs():mean { axes = { 2 }, keepdims = true }
  local box = core.ones { 1, 1, shape[3], shape[4] } * (1 / (shape[3] * shape[4]))
  local k = ops.conv2d(a, box, nil, nil, { stride = o.stride, padding = o.padding, dilation = o.dilation })
  core.grad_enabled(old)
  return k
end

return act.define { name = "xnor", signed = true,
  doc = "y = sign(x), sign(0) = +1; dL/dx = g [|x| < 1]; optionally K = box filter of mean_c|x|  " ..
    "(arXiv:1603.05279)",
  options = { input_scale = { false, doc = "multiply a convolution's output by K" } },
  forward = function(_, x) return binary(x) end,
  output = function(self, x, y, layer)
    if not self.options.input_scale or #layer.weight:shape() ~= 4 then return y end
    return y * input_scale(x:detach(), layer)
  end }
