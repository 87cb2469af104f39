-- Float ResNet-20 on CIFAR-10 (He et al. 2016), what ternary networks are compared with.
-- Published: 8.75 % error (ResNet-32/44/56 7.51, 7.17, 6.97; unverified).
-- Theirs: network, epochs and rates (fb.resnet.torch), batch, decay, crop and flip.

local trit = require "trit"

trit.methods.recipe { method = "float", model = "resnet20", epochs = 164, batch = 128,
  optimizer = "nesterov", lr = 0.1, weight_decay = 1e-4, schedule = "0.1@81+0.1@122" }
