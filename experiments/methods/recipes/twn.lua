-- TWN: ternary weight networks (Li & Liu 2016, arXiv:1605.04711): VGG-7 on CIFAR-10 from scratch.
-- Published: 92.56 %, float 92.88 (unverified); MNIST (LeNet-5) 99.35 (unverified).
-- Theirs: network, rate, its steps, decay, batch (unverified; LeNet-5: --model lenet5 --data idx:DIR
-- --augment "" --batch 50 --lr 0.01).  Ours: 160 epochs, all layers ternary; others found 0.1 unstable for
-- VGG-7 and took 0.01.

local trit = require "trit"

trit.methods.recipe { method = "twn", model = "vgg7", start = "scratch", ends = "quantized", epochs = 160,
  batch = 100, optimizer = "sgd", lr = 0.1, weight_decay = 1e-4, schedule = "0.1@80+0.1@120",
  params = { delta = { 0.7, min = 0, doc = "threshold in units of mean|w|" } },
  weights = function(p) return trit.quant.twn { delta = p.delta } end }
