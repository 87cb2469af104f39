-- Extremely low bit by ADMM (Leng et al. 2018, arXiv:1707.09870): ResNet-18 on ImageNet from float weights.
-- Published: ternary 67.0/87.5 %, binary 64.8, +-2 67.5, +-4 68.0; float 69.1 (unverified).
-- Theirs: codebooks, extragradient steps with equal rates, dual update, ends float.
-- Ours: rates, epochs, batch, the penalty, its growth, and 20 refreshes of codewords and dual in a training.

local trit = require "trit"

trit.methods.recipe { method = "admm", model = "resnet18", data = "folder:datasets/imagenet",
  augment = "rrc+flip", pretrain = 90, ends = "float", epochs = 30, batch = 256, optimizer = "nesterov",
  lr = 1e-2, weight_decay = 1e-4,
  params = { codebook = { "ternary", choices = { "ternary", "binary", "pm2", "pm4" }, doc = "levels" },
    rho = { 1e-3, min = 0, doc = "strength of the pull at the start" },
    growth = { 1.5, min = 1, doc = "factor of rho at every refresh" },
    refreshes = { 20, min = 1, doc = "of codewords and dual variables in a training" } },
  weights = function(p) return trit.quant.admm { codebook = p.codebook } end }
