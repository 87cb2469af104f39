-- DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160): AlexNet on ImageNet from scratch.
-- Published (tensorpack), error in % by bits of weights, activations, gradients (--method): 1,32,32 44.3
-- (dorefa_w1), 1,2,32 46.6 (dorefa_w1a2), 1,2,6 46.8 (dorefa_w1a2g6), 1,2,4 54.0 (dorefa_w1a2g4); 1,1,32
-- 51.5 (dorefa_w1 --activation_bits 1); float 40.3.
-- Theirs (tensorpack): Adam with epsilon 1e-5, rates, epochs, batch, ends float, clipped input of the last
-- layer.
-- Ours: alexnet_bn (theirs has a 12x12 first convolution and groups); decay on all weights, theirs on the
-- linear layers only.

local trit = require "trit"

local function activations(p)
  local own = trit.methods.get(p.method).activations
  if p.activation_bits == 0 and p.gradient_bits == 0 then return own end
  local of = own and own.options or { bits = 0, gradient_bits = 0 }
  return trit.act.dorefa { bits = p.activation_bits > 0 and p.activation_bits or of.bits,
    gradient_bits = p.gradient_bits > 0 and p.gradient_bits or of.gradient_bits }
end

trit.methods.recipe { method = { "dorefa_w1", "dorefa_w1a2", "dorefa_w1a2g6", "dorefa_w1a2g4", "dorefa_w2" },
  model = "alexnet_bn", data = "folder:datasets/imagenet", augment = "rrc+flip", start = "scratch",
  ends = "float", epochs = 90, batch = 256, optimizer = "adam", lr = 2e-4, eps = 1e-5, weight_decay = 5e-6,
  schedule = "0.2@60+0.2@75", activations = activations,
  params = { activation_bits = { 0, min = 0, max = 16, doc = "of activations; 0: as the method says" },
    gradient_bits = { 0, min = 0, max = 16, doc = "of gradients; 0: as the method says" } } }
