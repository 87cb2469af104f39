-- Pruning with retraining (Han et al. 2015, arXiv:1506.02626) and Deep Compression (Han, Mao & Dally, ICLR
-- 2016, arXiv:1510.00149): LeNet-5 on MNIST.
-- Published: AlexNet 35 times smaller, pruned alone 9 times, without loss (unverified).
-- Theirs: prune by std(w), retrain at a tenth of the rate (LeNet), share by k-means from a linear start,
-- tune the shared values, Huffman code; 32 shared values.
-- Ours: this LeNet-5 has batch norms and 583 thousand weights; rates of the float training, epochs, batch.

local trit = require "trit"

trit.methods.recipe { method = { "deep_compression", "magnitude" }, model = "lenet5",
  data = "idx:datasets/mnist", augment = "", pretrain = 20, epochs = 20, batch = 64, optimizer = "sgd",
  lr = 0.1, weight_decay = 5e-4, staged = true }
