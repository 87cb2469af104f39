-- LSQ: learned step size (Esser et al. 2020, arXiv:1902.08153): ternary ResNet-18 on ImageNet.
-- Published: 2-bit weights and activations 67.6 % (unverified); ResNet-50 73.7.
-- Theirs: step, its gradient and first value, start from float weights.
-- Ours: three levels, real activations unless --activation_bits is given; rates, epochs, batch.

local trit = require "trit"

trit.methods.recipe { method = "lsq", model = "resnet18", data = "folder:datasets/imagenet",
  augment = "rrc+flip", pretrain = 90, ends = "float", epochs = 90, batch = 256, optimizer = "nesterov",
  lr = 0.01, weight_decay = 1e-4,
  params = { activation_bits = { 0, min = 0, max = 8, doc = "of activations; 0: real ones" } },
  activations = function(p)
    return p.activation_bits > 0 and trit.act.lsq { qn = 0, qp = 2 ^ p.activation_bits - 1 } or nil
  end }
