-- ABC-Net (Lin, Zhao & Pan 2017, arXiv:1711.11294): ResNet-18 on ImageNet, five weight bases.
-- Published: 68.3/87.9 %, float 69.3 (unverified); with one base for weights and activations 42.7.
-- Theirs: bases, fit, start from float weights; with --activation_bases N binary activations as well.
-- Ours: optimizer, rates, epochs, batch: the source is silent as far as we have it.

local trit = require "trit"

trit.methods.recipe { method = "abcnet", model = "resnet18", data = "folder:datasets/imagenet",
  augment = "rrc+flip", pretrain = 90, epochs = 50, batch = 256, optimizer = "adam", lr = 1e-4,
  weight_decay = 0,
  params = { bases = { 5, min = 1, max = 8, doc = "of the weights" },
    activation_bases = { 0, min = 0, max = 8, doc = "of the activations; 0: real ones" } },
  weights = function(p) return trit.quant.abcnet { bases = p.bases } end,
  activations = function(p)
    return p.activation_bases > 0 and trit.act.abcnet { bases = p.activation_bases } or nil
  end }
