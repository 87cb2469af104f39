--- VGG for 32x32 images, as ternary and binary methods use it: pairs of conv3x3-BN-ReLU of 128, 256 and
-- 512 channels, maxpool2 after each pair, then linear layers.
--
--   trit.models.vgg7 { classes = 10, width = 128 }
--
-- vgg7 has one hidden layer of 1024 (Li, Zhang & Liu 2016), vgg_small none (LQ-Nets), vgg9 two and a batch
-- norm behind the last layer too (BinaryConnect, BNN).  Names are those of
-- torchvision's VGG with batch norm: features.0 (conv), features.1 (BN), ..., classifier.0.  Convolutions
-- and hidden layers have no bias: batch norm follows.  Parameters at 10 classes: 12 979 082 / 4 660 106 /
-- 14 029 716.

local core = require "trit.core"
local nn = require "trit.nn"

local ops = core.ops

local POOL, HIDDEN = 2, 1024
local STAGES = { 1, 2, 4 } -- widths, in units of the first
local CONVS = 2            -- of each stage

local Vgg = nn.class("vgg")

local function relu() return nn.lambda(nn.relu) end
local function pool() return nn.lambda(function(x) return ops.max_pool(x, { kernel = POOL }) end) end

local function features(o, seed)
  local layers, cin = nn.sequential {}, o.channels
  for _, factor in ipairs(STAGES) do
    local cout = factor * o.width
    for _ = 1, CONVS do
      layers:add(nn.conv2d { cin, cout, kernel = 3, padding = 1, seed = seed() })
      layers:add(nn.batch_norm { cout }):add(relu())
      cin = cout
    end
    layers:add(pool())
  end
  return layers, cin
end

function Vgg:init(member, o)
  local seed = nn.seeds(o.seed)
  local layers, cin = features(o, seed)
  self.features = layers
  local side = o.size // POOL ^ #STAGES
  local nin = math.tointeger(cin * side * side)
  self.classifier = nn.sequential {}
  for _, width in ipairs(member.hidden) do
    self.classifier:add(nn.linear { nin, width, bias = false, seed = seed() })
    self.classifier:add(nn.batch_norm { width }):add(relu())
    nin = width
  end
  self.classifier:add(nn.linear { nin, o.classes, bias = not member.normed, seed = seed() })
  if member.normed then self.classifier:add(nn.batch_norm { o.classes }) end
end

function Vgg:forward(x) return self.classifier(ops.flatten(self.features(x))) end

return {
  doc = "VGG with batch norm for 32x32 images (Li, Zhang & Liu 2016)",
  options = {
    size = { 32, min = 8 },
    width = { 128, min = 1, doc = "channels of the first pair; doubles in each" },
  },
  members = { vgg7 = { hidden = { HIDDEN } }, vgg_small = { hidden = {} },
    vgg9 = { hidden = { HIDDEN, HIDDEN }, normed = true } },
  make = function(member, o) return Vgg(member, o) end,
}
