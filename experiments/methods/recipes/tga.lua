-- TGA: trained thresholds through the truncated Gaussian (He & Fan, CVPR 2019, arXiv:1810.01018).
-- Published: ResNet-18/34/50 on ImageNet 3.9/2.52/2.16 points below float, all layers ternary.
-- Theirs (the first author's code): Adam, rates, epochs, batch, decay, the thresholds' rate equal to the
-- weights' (SGD with Nesterov momentum, no decay, gradients clamped), start from torchvision's weights,
-- which --from takes as a .safetensors file.  Ours: without --from, 90 epochs in float first.

local trit = require "trit"

trit.methods.recipe { method = { "tga", "tga_filter" }, model = "resnet18",
  data = "folder:datasets/imagenet", augment = "rrc+flip", pretrain = 90, ends = "quantized", epochs = 50,
  batch = 256, optimizer = "adam", lr = 1e-4, lr_th = 1, weight_decay = 5e-6,
  schedule = "0.2@25+0.2@30+0.5@35" }
