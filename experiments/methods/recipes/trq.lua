-- TRQ: ternary as binary stem and residual (Li et al., AAAI 2021): ResNet-18 on ImageNet.
-- Published: ternary weights and activations 64.4 % with several batch norms (unverified).
-- Theirs: form and trained size (from a reading note).  Ours: its first value and gradient, real
-- activations, rates, epochs, batch.

local trit = require "trit"

trit.methods.recipe { method = "trq", model = "resnet18", data = "folder:datasets/imagenet",
  augment = "rrc+flip", pretrain = 90, ends = "float", epochs = 90, batch = 256, optimizer = "nesterov",
  lr = 0.01, weight_decay = 1e-4 }
