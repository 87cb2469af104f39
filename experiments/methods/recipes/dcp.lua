-- DCP: discrimination-aware channel pruning (Zhuang et al., NeurIPS 2018, arXiv:1810.11809): ResNet-56 on
-- CIFAR-10, half of the inner channels.
-- Published: error +0.31, float 6.20.
-- Theirs: losses along the network, greedy choice, SGD with Nesterov momentum, rates, epochs, batch, decay.
-- Ours: images to choose by; a tenth of the epochs for each stage's tuning; see lua/trit/methods/dcp.lua.

local trit = require "trit"

trit.methods.recipe { method = "dcp", model = "resnet56", epochs = 400, batch = 128,
  optimizer = "nesterov", lr = 0.1, weight_decay = 1e-4, schedule = "0.1@160+0.1@240",
  params = { keep = { 0.5, min = 0.01, max = 1, doc = "share of channels" },
    images = { 128, min = 1, doc = "images to choose by" },
    epsilon = { -1.0, doc = "stop when a channel changes L by less, relative to the first; -1: never" } } }
