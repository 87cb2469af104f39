-- INQ (Zhou et al., ICLR 2017, arXiv:1702.03044): ResNet-18 on ImageNet, powers of two.
-- Published: 5 bits 69.0/89.1 %, ternary 66.0/87.1; float 68.3 (unverified).
-- Theirs: levels, the largest weights first; portions 50, 75, 87.5, 100 % (5 bits, unverified); start from
-- float.
-- Ours: rates, epochs, batch; equal parts of the training for the portions, which ternary shares.

local trit = require "trit"

trit.methods.recipe { method = { "inq", "inq_ternary" }, model = "resnet18",
  data = "folder:datasets/imagenet", augment = "rrc+flip", pretrain = 90, ends = "quantized", epochs = 32,
  batch = 256, optimizer = "nesterov", lr = 1e-3, weight_decay = 1e-4, schedule = "constant" }
