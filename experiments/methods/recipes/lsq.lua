-- LSQ: learned step size (Esser et al. 2020, arXiv:1902.08153): ternary ResNet-18 on ImageNet.
-- Published: 2-bit weights and activations (--activations lsq) 67.6 % (unverified); ResNet-50 73.7.  None is
-- verified of PACT's clipped activations (Choi et al. 2018, arXiv:1805.06085; --activations pact).
-- Theirs: step, its gradient and first value, start from float weights.
-- Ours: three levels, real activations unless --activations says otherwise; rates, epochs, batch.

local trit = require "trit"

trit.methods.recipe { method = "lsq", model = "resnet18", data = "folder:datasets/imagenet",
  augment = "rrc+flip", pretrain = 90, ends = "float", epochs = 90, batch = 256, optimizer = "nesterov",
  lr = 0.01, weight_decay = 1e-4,
  params = { activations = { "none", doc = "quantizer of activations", choices = { "none", "lsq", "pact" } },
    activation_bits = { 2, min = 1, max = 8, doc = "of activations, where they are quantized" } },
  activations = function(p)
    if p.activations == "lsq" then return trit.act.lsq { qn = 0, qp = 2 ^ p.activation_bits - 1 } end
    return p.activations == "pact" and trit.act.pact { bits = p.activation_bits } or nil
  end }
