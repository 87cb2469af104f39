-- Apprentice (Mishra & Marr 2018, arXiv:1711.05852): ternary ResNet-18 on ImageNet beside a float teacher.
-- Published: error 33.4 % without a teacher, 31.5 with scheme A; ResNet-50 with C 24.7, 0.9 above float.
-- Theirs: schemes, alpha 1, beta = gamma = 1/2, temperature 1, ends float.
-- Ours: the teacher is the same network (theirs are deeper); TTQ weights, rates, epochs, batch.  B and C
-- start from a trained teacher: --start float --from DIR; C wants a low rate.

local trit = require "trit"

trit.methods.recipe { method = { "apprentice_a", "apprentice_b", "apprentice_c" }, model = "resnet18",
  data = "folder:datasets/imagenet", augment = "rrc+flip", pretrain = 90, start = "scratch", ends = "float",
  epochs = 90, batch = 256, optimizer = "nesterov", lr = 0.1, weight_decay = 1e-4,
  schedule = "0.1@30+0.1@60" }
