--- AlexNet with batch norm, as in the first author's published code (methods 2.16): no groups, no
-- dropout, no bias but the classifier's.
--
--   trit.models.alexnet_bn { classes = 1000 }
--
-- The AlexNets of DoReFa and TTQ are other networks (first convolution 12x12, split convolutions):
-- their baselines do not compare.  Parameters at 1000 classes: 62 387 912.

local core = require "trit.core"
local nn = require "trit.nn"

local ops = core.ops

local HIDDEN = 4096

local AlexNet = nn.class("alexnet")

local convs = { -- out, kernel, stride, padding, pooled afterwards
  { 96, 11, 4, 2, true }, { 256, 5, 1, 2, true }, { 384, 3, 1, 1 }, { 384, 3, 1, 1 }, { 256, 3, 1, 1, true },
}

local function relu() return nn.lambda(nn.relu) end
local function pool() return nn.lambda(function(x) return ops.max_pool(x, { kernel = 3, stride = 2 }) end) end

--- Side of the image after a window of `kernel` pixels.
local function window(side, kernel, stride, padding) return (side + 2 * padding - kernel) // stride + 1 end

function AlexNet:init(o)
  local seed, cin, side = nn.seeds(o.seed), o.channels, o.size
  self.features = nn.sequential {}
  for _, c in ipairs(convs) do
    self.features:add(nn.conv2d { cin, c[1], kernel = c[2], stride = c[3], padding = c[4], seed = seed() })
    self.features:add(nn.batch_norm { c[1] }):add(relu())
    side = window(side, c[2], c[3], c[4])
    if c[5] then
      self.features:add(pool())
      side = window(side, 3, 2, 0)
    end
    cin = c[1]
  end
  local nin = cin * side * side
  self.classifier = nn.sequential {}
  for _ = 1, 2 do
    self.classifier:add(nn.linear { nin, HIDDEN, bias = false, seed = seed() })
    self.classifier:add(nn.batch_norm { HIDDEN }):add(relu())
    nin = HIDDEN
  end
  self.classifier:add(nn.linear { HIDDEN, o.classes, seed = seed() })
end

function AlexNet:forward(x) return self.classifier(ops.flatten(self.features(x))) end

return {
  doc = "AlexNet with batch norm, of the WACV 2019 and TGA code",
  options = { classes = { 1000 }, size = { 224, min = 63 } },
  members = { alexnet_bn = {} },
  make = function(_, o) return AlexNet(o) end,
}
