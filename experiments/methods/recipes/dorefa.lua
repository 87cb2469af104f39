-- DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160): AlexNet on ImageNet from scratch.
-- Published (tensorpack): error 44.3 % with 1-bit weights, 46.6 with 2-bit activations as well, float 40.3.
-- Theirs (tensorpack): Adam with epsilon 1e-5, rates, epochs, batch, ends float.
-- Ours: alexnet_bn (theirs has a 12x12 first convolution and groups); decay on all weights, theirs on the
-- linear layers only; gradients are not quantized here (trit.act.dorefa_gradient does it).

local trit = require "trit"

trit.methods.recipe { method = { "dorefa_w1", "dorefa_w1a2", "dorefa_w2" }, model = "alexnet_bn",
  data = "folder:datasets/imagenet", augment = "rrc+flip", start = "scratch", ends = "float", epochs = 90,
  batch = 256, optimizer = "adam", lr = 2e-4, eps = 1e-5, weight_decay = 5e-6,
  schedule = "0.2@60+0.2@75" }
