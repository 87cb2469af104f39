--- Random partition relaxation (Cavigelli & Benini 2020, arXiv:2001.01091).

local quant = require "trit.quant"

return { name = "rpr", doc = "ternary for a random share that grows to 1 (Cavigelli & Benini 2020)",
  weights = quant.rpr {},
  published = { { set = "ImageNet", network = "ResNet-18", degradation = 3.4,
    source = "2001.01091 (unverified)" } } }
