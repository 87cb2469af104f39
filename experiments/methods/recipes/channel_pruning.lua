-- Channel pruning by LASSO (He, Zhang & Sun, ICCV 2017, arXiv:1707.06168): ResNet-56 on CIFAR-10, half of
-- the inner channels.
-- Published: error +1.0 at twice the speed (DCP, table 1).
-- Theirs: choice, fit, order.  Ours: the fine-tuning's rates, epochs, batch; sampled images and places.

local trit = require "trit"

trit.methods.recipe { method = "channel_pruning", model = "resnet56", epochs = 40, batch = 128,
  optimizer = "nesterov", lr = 0.01, weight_decay = 1e-4,
  params = { keep = { 0.5, min = 0.01, max = 1, doc = "share of channels" },
    images = { 16, min = 1, doc = "images to fit on" },
    filters = { 8, min = 1, doc = "outputs of a layer to choose by" },
    places = { 10, min = 1, doc = "places of an image and output to choose by" },
    fit_places = { 60, min = 1, doc = "places of an image to fit the weights at" } } }
