--- DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160): bits of weights, activations, gradients.  First and last
-- layer stay float, gradients there too; what goes into the last one is clipped to [0, 1] (tensorpack).

local quant = require "trit.quant"
local act = require "trit.act"

local function published(degradation)
  return { { set = "ImageNet", network = "AlexNet", degradation = degradation, ends = "float",
    source = "tensorpack README" } }
end

local function clip_last(net)
  local names, last, any = {}, nil, false
  for name, layer in net:quantizable() do
    names[#names + 1], last = name, layer
    any = any or act.of(layer) ~= nil
  end
  if any and not act.of(last) then
    act.quantize(net, { { "^" .. names[#names]:gsub("%p", "%%%0") .. "$", act.dorefa { bits = 0 } } })
  end
end

local function with_activations(name, gradient_bits, degradation)
  local gradients = gradient_bits > 0 and (", %d-bit gradients"):format(gradient_bits) or ""
  return { name = name, doc = ("1-bit weights, 2-bit activations%s (Zhou et al. 2016)"):format(gradients),
    ends = "float", weights = quant.dorefa { bits = 1 },
    activations = act.dorefa { bits = 2, gradient_bits = gradient_bits }, prepare = clip_last,
    published = published(degradation) }
end

return {
  { name = "dorefa_w2", doc = "2-bit weights after tanh, four levels (Zhou et al. 2016)", ends = "float",
    weights = quant.dorefa { bits = 2 }, prepare = clip_last },
  { name = "dorefa_w1", doc = "1-bit weights, one scale a layer (Zhou et al. 2016)", ends = "float",
    weights = quant.dorefa { bits = 1 }, prepare = clip_last, published = published(4.0) },
  with_activations("dorefa_w1a2", 0, 6.3),
  with_activations("dorefa_w1a2g6", 6, 6.5),
  with_activations("dorefa_w1a2g4", 4, 13.7),
}
