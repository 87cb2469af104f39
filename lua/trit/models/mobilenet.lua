--- MobileNetV2 (Sandler et al. 2018): inverted residuals of 1x1 expansion, 3x3 depthwise and linear 1x1,
-- batch norm after each, ReLU6 after the first two; a shortcut where shape and size stay.
--
--   trit.models.mobilenet_v2 { classes = 1000, width = 1.0 }
--
-- Names are torchvision's: features.0.0, features.1.conv.0.0 (depthwise where there is no expansion),
-- features.2.conv.1.0, ..., classifier.1.  Parameters at 1000 classes: 3 504 872.  A depthwise layer has
-- 9 weights a channel: one ternary scale for all of them hurts, use granularity = "filter" or keep it
-- float.

local core = require "trit.core"
local nn = require "trit.nn"

local ops = core.ops

local DIVISOR = 8        -- channel counts are multiples
local STEM, TOP = 32, 1280
local FC_STD = 0.01      -- of the classifier's initial weights

local rows = { -- expansion, channels, blocks, stride of the first
  { 1, 16, 1, 1 }, { 6, 24, 2, 2 }, { 6, 32, 3, 2 }, { 6, 64, 4, 2 }, { 6, 96, 3, 1 }, { 6, 160, 3, 2 },
  { 6, 320, 1, 1 },
}

--- The multiple of 8 next to `channels`, never more than 10 % below it.
local function rounded(channels)
  local near = math.max(DIVISOR, math.tointeger((channels + DIVISOR / 2) // DIVISOR) * DIVISOR)
  return near < 0.9 * channels and near + DIVISOR or near
end

local function relu6() return nn.lambda(nn.relu6) end

local function conv_bn_relu6(cin, cout, o)
  return nn.sequential { nn.conv2d { cin, cout, kernel = o.kernel, stride = o.stride,
    padding = (o.kernel - 1) // 2, groups = o.groups, seed = o.seed }, nn.batch_norm { cout }, relu6() }
end

local Block = nn.class("inverted_residual")

function Block:init(cin, cout, stride, expansion, seed)
  local hidden = cin * expansion
  self.conv = nn.sequential {}
  if expansion ~= 1 then self.conv:add(conv_bn_relu6(cin, hidden, { kernel = 1, seed = seed() })) end
  self.conv:add(conv_bn_relu6(hidden, hidden,
    { kernel = 3, stride = stride, groups = hidden, seed = seed() }))
  self.conv:add(nn.conv2d { hidden, cout, kernel = 1, seed = seed() }):add(nn.batch_norm { cout })
  self.shortcut = stride == 1 and cin == cout
end

function Block:forward(x)
  local y = self.conv(x)
  return self.shortcut and ops.add(y, x) or y
end

local MobileNet = nn.class("mobilenet_v2")

function MobileNet:init(o)
  local seed, cin = nn.seeds(o.seed), rounded(STEM * o.width)
  self.features = nn.sequential { conv_bn_relu6(o.channels, cin, { kernel = 3, stride = 2, seed = seed() }) }
  for _, row in ipairs(rows) do
    local cout = rounded(row[2] * o.width)
    for i = 1, row[3] do
      self.features:add(Block(cin, cout, i == 1 and row[4] or 1, row[1], seed))
      cin = cout
    end
  end
  local top = rounded(TOP * math.max(1, o.width))
  self.features:add(conv_bn_relu6(cin, top, { kernel = 1, seed = seed() }))
  self.classifier = nn.sequential { nn.dropout { p = o.dropout, seed = seed() },
    nn.linear { top, o.classes, std = FC_STD, seed = seed() } }
end

function MobileNet:forward(x) return self.classifier(ops.global_avg_pool(self.features(x))) end

return {
  doc = "MobileNetV2, inverted residuals with depthwise convolutions (Sandler et al. 2018)",
  options = {
    classes = { 1000 }, size = { 224, min = 32 },
    width = { 1.0, min = 0.05, max = 8, doc = "multiplier of all channel counts" },
    dropout = { 0.2, min = 0, max = 1, doc = "probability, before the classifier" },
  },
  members = { mobilenet_v2 = {} },
  make = function(_, o) return MobileNet(o) end,
}
