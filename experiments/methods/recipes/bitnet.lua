-- BitNet b1.58 absmean weights (Ma et al. 2024, arXiv:2402.17764, and the authors' training notes).
-- Published: language models only.
-- Theirs: levels, straight-through gradient, from scratch, AdamW with decay 0.1 that ends, and a rate that
-- is lowered, at half time.
-- Ours: ResNet-20 on CIFAR-10, rates, epochs, batch; real activations (theirs have 8 bits and a norm before
-- every layer).

local trit = require "trit"

trit.methods.recipe { method = "bitnet", model = "resnet20", start = "scratch", epochs = 200, batch = 128,
  optimizer = "adamw", lr = 1e-3, weight_decay = 0.1, decay_epochs = 100, schedule = "0.1@100" }
