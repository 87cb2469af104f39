-- LQ-Nets (Zhang et al. 2018, arXiv:1807.10029): ResNet-18 on ImageNet, 2-bit weights (four levels).
-- Published: 68.0/88.0 %, float 70.3; with 2-bit activations (--activation_bits 2) 64.9/85.9; ResNet-20 on
-- CIFAR-10 91.8, float 92.1 (unverified).
-- Theirs (code): everything below, shortcut convolutions quantized, the average of the basis without memory
-- at its start (zero_debias: TensorFlow's default).  VGG-small on CIFAR-10: --model
-- vgg_small --lr 0.02 --schedule 0.1@80+0.1@160+0.1@300 --epochs 400 --batch 100 --weight_decay 5e-4.
-- Ours: the basis starts from the row's own spread.  lqnets_ternary ties it: levels -s, 0, s.

local trit = require "trit"

local function weights(p)
  return trit.quant.lqnets { ternary = p.method == "lqnets_ternary", zero_debias = p.zero_debias }
end

trit.methods.recipe { method = { "lqnets", "lqnets_ternary" }, model = "resnet18",
  data = "folder:datasets/imagenet", augment = "rrc+flip", start = "scratch", ends = "float", epochs = 110,
  batch = 256, optimizer = "nesterov", lr = 0.1, weight_decay = 5e-5,
  schedule = "0.1@30+0.1@60+0.1@85+0.1@95+0.1@105",
  params = { zero_debias = { true, doc = "start the average of the basis without memory" },
    activation_bits = { 0, min = 0, max = 4, doc = "of activations; 0: real ones" } },
  weights = weights,
  activations = function(p)
    return p.activation_bits > 0 and trit.act.lqnets { bits = p.activation_bits } or nil
  end }
