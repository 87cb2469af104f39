-- UNIQ (Baskin et al. 2018, arXiv:1804.10969): ResNet-18 on ImageNet, 16 levels of equal probability.
-- Published: 67.0 % with 4-bit weights and 8-bit activations (unverified).
-- Theirs: noise in place of rounding, blocks front to back, a second pass, start from float weights.  Ours:
-- rates, epochs, batch, number of blocks and length of their turns (four, twice, in the first 80 %), real
-- activations.  --levels 3 is our ternary extension.

local trit = require "trit"

trit.methods.recipe { method = "uniq", model = "resnet18", data = "folder:datasets/imagenet",
  augment = "rrc+flip", pretrain = 90, epochs = 50, batch = 256, optimizer = "nesterov", lr = 1e-3,
  weight_decay = 1e-4,
  params = { levels = { 16, min = 2, max = 128, doc = "of a weight" },
    blocks = { 4, min = 1, doc = "groups of layers, trained one after the other" },
    passes = { 2, min = 1, doc = "turns of every block" },
    share = { 0.8, min = 0, max = 1, doc = "of the training for the blocks, then all is quantized" } },
  weights = function(p) return trit.quant.uniq { k = p.levels } end }
