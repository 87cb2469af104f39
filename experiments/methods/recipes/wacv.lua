-- Statistical scaling and residual expansion (He, Gong & Fan, WACV 2019, arXiv:1807.07948): ResNet-20 on
-- CIFAR-10 from scratch, all layers ternary.
-- Published: 91.65 %, float 91.70 (authors' README); expansion by 2 and 4 for ResNet-18 on ImageNet only:
-- 68.35 and 69.44 %, float 69.75.
-- Theirs (train_CIFAR10.sh): everything below.

local trit = require "trit"

trit.methods.recipe { method = { "wacv", "wacv_rel2", "wacv_rel4" }, model = "resnet20",
  start = "scratch", ends = "quantized", epochs = 200, batch = 128, optimizer = "nesterov", lr = 0.1,
  weight_decay = 3e-4, schedule = "0.1@80+0.1@120+0.5@160" }
