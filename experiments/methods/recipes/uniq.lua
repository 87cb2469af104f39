-- UNIQ (Baskin et al. 2018, arXiv:1804.10969): ResNet-18 on ImageNet, 16 levels of equal probability.
-- Published: 67.0 % with 4-bit weights and 8-bit activations (unverified).
-- Theirs: noise in place of rounding, blocks front to back, start from float weights.  Ours: rates, epochs,
-- batch, the stages' lengths (four blocks in the first 80 %), real activations.  --levels 3 is our ternary
-- extension.

local trit = require "trit"

trit.methods.recipe { method = "uniq", model = "resnet18", data = "folder:datasets/imagenet",
  augment = "rrc+flip", pretrain = 90, epochs = 50, batch = 256, optimizer = "nesterov", lr = 1e-3,
  weight_decay = 1e-4,
  params = { levels = { 16, min = 2, max = 128, doc = "of a weight" } },
  weights = function(p) return trit.quant.uniq { k = p.levels } end }
