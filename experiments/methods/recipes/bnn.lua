-- BNN: binary weights and activations (Courbariaux et al. 2016, arXiv:1602.02830): VGG on CIFAR-10.
-- Published: 11.40 % error (authors' README).
-- Theirs (code): squared hinge, Adam from 1e-3 to 3e-7 exponentially over 500 epochs, batch 50, all layers
-- binary, the image real, sign behind batch norm, weights clipped at 1, rates scaled by layer.
-- Ours: as for BinaryConnect (binaryconnect.lua); pooling stands behind the batch norm, not before it.

local trit = require "trit"

trit.methods.recipe { method = "bnn", model = "vgg9", augment = "", start = "scratch", ends = "quantized",
  epochs = 500, batch = 50, optimizer = "adam", lr = 1e-3, weight_decay = 0, schedule = "to:3e-7",
  loss = "squared_hinge" }
