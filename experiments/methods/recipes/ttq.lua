-- TTQ: trained ternary quantization (Zhu et al. 2017, arXiv:1612.01064): ResNet-20 on CIFAR-10.
-- Published: 8.87 % error, float 8.23 (the released log: best 8.48, last 9.25).
-- Theirs (code): scales from 1 at the weights' rate and with their decay, threshold 0.05 max|w|, momentum
-- SGD, rates, epochs, decay, 2 x 128 images a step, first convolution float, from float weights.
-- Ours: the plain ResNet, theirs is pre-activated.

local trit = require "trit"

trit.methods.recipe { method = "ttq", model = "resnet20", ends = "first_float", epochs = 400, batch = 256,
  optimizer = "sgd", lr = 0.1, weight_decay = 2e-4, schedule = "0.1@82+0.1@123+0.2@300",
  params = { t = { 0.05, min = 0, max = 1, doc = "threshold in units of max|w|" },
    scale = { 1.0, min = 0, doc = "first scales" } },
  weights = function(p) return trit.quant.ttq { t = p.t, scale_init = p.scale } end }
