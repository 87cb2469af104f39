-- ThiNet (Luo, Wu & Lin, ICCV 2017, arXiv:1707.06342): half of the inner channels of ResNet-56 on CIFAR-10.
-- Published: error +0.82 (DCP, table 1); ResNet-50 on ImageNet 72.04 %, before 75.30.
-- Theirs: greedy removal by the next layer's outputs, scales by least squares.  Ours: all layers are pruned
-- before the one fine-tuning (theirs is tuned 1-2 epochs after each); rates, epochs, batch, samples.

local trit = require "trit"

trit.methods.recipe { method = "thinet", model = "resnet56", epochs = 40, batch = 128,
  optimizer = "nesterov", lr = 0.01, weight_decay = 1e-4,
  params = { keep = { 0.5, min = 0.01, max = 1, doc = "share of channels" },
    images = { 16, min = 1, doc = "images to choose by" },
    filters = { 8, min = 1, doc = "outputs of a layer to choose by" },
    places = { 10, min = 1, doc = "places of an image and output to choose by" } } }
