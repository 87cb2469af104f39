-- BWN and XNOR-Net (Rastegari et al. 2016, arXiv:1603.05279): AlexNet on ImageNet from scratch.
-- Published: 56.8 % (BWN), 43.3 (XNOR-Net, the release; paper 44.2); float 56.6 (unverified).
-- The release leaves the input scale K of the paper out; --input_scale true takes it.
-- Theirs (release): rates as a tenth of SGD's for Adam, 55 epochs, decay until epoch 29, ends float, the
-- loop around the weights; its gradient's factor n with --optimizer sgd, whose rate is 1e-2.
-- Ours: alexnet_bn without dropout or groups; batch.

local trit = require "trit"

trit.methods.recipe { method = { "bwn", "bwn_exact", "xnor" }, model = "alexnet_bn",
  data = "folder:datasets/imagenet", augment = "rrc+flip", start = "scratch", ends = "float", epochs = 55,
  batch = 256, optimizer = "adam", lr = 1e-3, weight_decay = 5e-4, decay_epochs = 29,
  schedule = "0.5@18+0.2@29+0.5@43+0.2@52",
  params = { input_scale = { false, doc = "xnor: multiply outputs by the mean |input| of their window" } },
  activations = function(p)
    return p.method == "xnor" and trit.act.xnor { input_scale = p.input_scale } or nil
  end }
