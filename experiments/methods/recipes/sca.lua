-- SCA: sparsity control by a regularizer (Deng & Zhang 2020, arXiv:2011.00580): ResNet-20 on CIFAR-10.
-- Published: no figure that we could verify.
-- Theirs: tanh weights, regularizer, gradient, rounding at the end.
-- Ours: its weight, network, rates, epochs, batch; the gain (--gain 1 is the published form).

local trit = require "trit"

trit.methods.recipe { method = "sca", model = "resnet20", epochs = 100, batch = 128,
  optimizer = "nesterov", lr = 0.01, weight_decay = 0,
  params = { a = { 1.2, min = 0, max = 2, doc = "barrier at tau^2 = a/2: larger gives more zeros" },
    b = { 1e-3, min = 0, doc = "weight of the regularizer" },
    gain = { 0.0, min = 0, doc = "units of w; 0: by the weights" } },
  weights = function(p)
    return trit.quant.sca { a = p.a, b = p.b, gain = p.gain > 0 and p.gain or "auto" }
  end }
