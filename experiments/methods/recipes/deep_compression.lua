-- Pruning with retraining (Han et al. 2015, arXiv:1506.02626) and Deep Compression (Han, Mao & Dally, ICLR
-- 2016, arXiv:1510.00149): LeNet-5 on MNIST.
-- Published: AlexNet 35 times smaller, pruned alone 9 times, without loss (unverified).
-- Theirs: prune by std(w), retrain at a tenth of the rate (LeNet), share by k-means from a linear start,
-- tune the shared values, Huffman code; 8 bits in convolutions (255 values and 0), 32 values elsewhere.
-- Ours: this LeNet-5 has batch norms and 583 thousand weights; threshold in units of std(w); rates of the
-- float training, epochs, batch.

local trit = require "trit"

trit.methods.recipe { method = { "deep_compression", "magnitude" }, model = "lenet5",
  data = "idx:datasets/mnist", augment = "", pretrain = 20, epochs = 20, batch = 64, optimizer = "sgd",
  lr = 0.1, weight_decay = 5e-4, staged = true,
  params = { quality = { 1.0, min = 0, doc = "threshold of pruning in units of std(w)" },
    rounds = { 0, min = 0, doc = "of pruning, with a growing threshold; 0: magnitude 2, else 1" },
    clusters_conv = { 255, min = 1, max = 255, doc = "shared values of a convolution" },
    clusters_fc = { 32, min = 1, max = 255, doc = "shared values of a fully connected layer" },
    distance_conv = { 8, min = 1, max = 16, doc = "bits of a distance between weights of a convolution" },
    distance_fc = { 5, min = 1, max = 16, doc = "the same of a fully connected layer" } } }
