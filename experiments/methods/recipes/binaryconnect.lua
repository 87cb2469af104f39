-- BinaryConnect (Courbariaux et al. 2015, arXiv:1511.00363): VGG on CIFAR-10 from scratch, all layers
-- binary.
-- Published: 8.27 % error stochastic (authors' README), 9.90 deterministic (unverified).
-- Theirs (code): squared hinge, Adam from 3e-3 to 2e-6 exponentially over 500 epochs, batch 50, no
-- augmentation, weights clipped at 1, rates scaled by layer.
-- Ours: the images are normalized by channel, not whitened; all 50000 are trained on; initial weights.

local trit = require "trit"

trit.methods.recipe { method = { "binaryconnect", "binaryconnect_stochastic" }, model = "vgg9", augment = "",
  start = "scratch", ends = "quantized", epochs = 500, batch = 50, optimizer = "adam", lr = 3e-3,
  weight_decay = 0, schedule = "to:2e-6", loss = "squared_hinge" }
