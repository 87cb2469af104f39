-- Bayes by Backprop (Blundell et al. 2015, arXiv:1505.05424): distributions over weights, MNIST.
-- Published: 1.32 % error with two hidden layers of 1200 (unverified).
-- Theirs: scale mixture prior, one sample a step, the added part shared by the images (--kl_share halving is
-- their other way).
-- Ours: LeNet-5 instead of 1200-1200; the point in their search ranges; optimizer, rates, epochs.

local trit = require "trit"

trit.methods.recipe { method = "bayes", model = "lenet5", data = "idx:datasets/mnist", augment = "",
  start = "scratch", epochs = 100, batch = 128, optimizer = "adam", lr = 1e-3, weight_decay = 0,
  params = { kl_share = { "even", choices = { "even", "halving" },
    doc = "share of the added loss that a batch of the epoch gets: 1/M, or 2^(M-i)/(2^M-1)" } } }
