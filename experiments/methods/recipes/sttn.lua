-- STTN: soft threshold ternary networks (Xu et al. 2020, arXiv:2204.01234): ResNet-18 on ImageNet.
-- Published: ternary weights and activations 66.2 % (68.2 updated), float 69.3 (authors' README).
-- Theirs (code): Adam from 5e-3 along a cosine, 256 epochs, batch 256, no decay, ends float, weights
-- clamped to [-1, 1], ternary activations cut at 1/2, no rectifier before them.
-- Ours: labels in place of their ResNet-50 teacher; torchvision's ResNet-18 (theirs is pre-activated with
-- PReLU); the second tensor starts from TWN's codes.

local trit = require "trit"

trit.methods.recipe { method = "sttn", model = "resnet18", data = "folder:datasets/imagenet",
  augment = "rrc+flip", start = "scratch", ends = "float", epochs = 256, batch = 256, optimizer = "adam",
  lr = 5e-3, weight_decay = 0, schedule = "cosine",
  params = { activations = { true, doc = "ternary activations" } },
  activations = function(p) return p.activations and trit.act.sttn {} or nil end }
