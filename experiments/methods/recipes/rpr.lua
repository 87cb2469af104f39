-- RPR: random partition relaxation (Cavigelli & Benini 2020, arXiv:2001.01091): ternary ResNet-18 on
-- ImageNet.
-- Published: 66.3 %, float 69.75; ResNet-50 71.8 (unverified).
-- Theirs: a random share on its levels, drawn anew, growing to all; start from float weights.
-- Ours: first share and number of draws, TWN's levels; rates, epochs, batch.

local trit = require "trit"

trit.methods.recipe { method = "rpr", model = "resnet18", data = "folder:datasets/imagenet",
  augment = "rrc+flip", pretrain = 90, epochs = 50, batch = 256, optimizer = "adam", lr = 1e-4,
  weight_decay = 0,
  params = { share = { 0.5, min = 0, max = 1, doc = "quantized in the first part" },
    draws = { 6, min = 1, doc = "partitions, each for an equal part of the training" } },
  weights = function(p) return trit.quant.rpr { start = p.share, draws = p.draws } end }
