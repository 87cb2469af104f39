--- ImageNet ResNets with torchvision's names (He et al. 2016, bottleneck stride in the 3x3; methods
-- 2.16).
--
--   trit.models.resnet18 { classes = 1000, seed = 0 }
--
-- Parameters at 1000 classes: 11 689 512 / 21 797 672 / 25 557 032 / 44 549 160 for
-- 18 / 34 / 50 / 101.

local core = require "trit.core"
local nn = require "trit.nn"

local ops = core.ops

local function downsample(cin, cout, stride, seed)
  return nn.sequential { nn.conv2d { cin, cout, kernel = 1, stride = stride, seed = seed() },
    nn.batch_norm { cout } }
end

-- What is added to a block's branch.
local function shortcut(block, x)
  local skip = rawget(block, "downsample")
  return skip and skip(x) or x
end

local Basic = nn.class("basic_block_b")
Basic.shortcut = shortcut
Basic.expansion = 1

function Basic:init(cin, width, stride, seed)
  self.conv1 = nn.conv2d { cin, width, kernel = 3, stride = stride, padding = 1, seed = seed() }
  self.bn1 = nn.batch_norm { width }
  self.conv2 = nn.conv2d { width, width, kernel = 3, padding = 1, seed = seed() }
  self.bn2 = nn.batch_norm { width }
  if stride ~= 1 or cin ~= width then self.downsample = downsample(cin, width, stride, seed) end
end

function Basic:forward(x)
  local y = nn.relu(self.bn1(self.conv1(x)))
  y = self.bn2(self.conv2(y))
  return nn.relu(ops.add(y, self:shortcut(x)))
end

local Bottleneck = nn.class("bottleneck")
Bottleneck.shortcut = shortcut
Bottleneck.expansion = 4

function Bottleneck:init(cin, width, stride, seed)
  local cout = 4 * width
  self.conv1 = nn.conv2d { cin, width, kernel = 1, seed = seed() }
  self.bn1 = nn.batch_norm { width }
  self.conv2 = nn.conv2d { width, width, kernel = 3, stride = stride, padding = 1, seed = seed() }
  self.bn2 = nn.batch_norm { width }
  self.conv3 = nn.conv2d { width, cout, kernel = 1, seed = seed() }
  self.bn3 = nn.batch_norm { cout }
  if stride ~= 1 or cin ~= cout then self.downsample = downsample(cin, cout, stride, seed) end
end

function Bottleneck:forward(x)
  local y = nn.relu(self.bn1(self.conv1(x)))
  y = nn.relu(self.bn2(self.conv2(y)))
  y = self.bn3(self.conv3(y))
  return nn.relu(ops.add(y, self:shortcut(x)))
end

local ResNet = nn.class("resnet")

function ResNet:init(o)
  local next_seed = (o.seed or 0) * 1000
  local function seed()
    next_seed = next_seed + 1
    return next_seed
  end
  self.conv1 = nn.conv2d { o.channels or 3, 64, kernel = 7, stride = 2, padding = 3, seed = seed() }
  self.bn1 = nn.batch_norm { 64 }
  local cin = 64
  for stage, count in ipairs(o.blocks) do
    local blocks, width = {}, 32 << stage
    for i = 1, count do
      blocks[i] = o.block(cin, width, i == 1 and stage > 1 and 2 or 1, seed)
      cin = width * o.block.expansion
    end
    self["layer" .. stage] = nn.sequential(blocks)
  end
  self.fc = nn.linear { cin, o.classes or 1000, seed = seed() }
end

function ResNet:forward(x)
  x = nn.relu(self.bn1(self.conv1(x)))
  x = ops.max_pool(x, { kernel = 3, stride = 2, padding = 1 })
  x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
  return self.fc(ops.global_avg_pool(x))
end

local members = { -- name -> block, blocks per stage
  resnet18 = { Basic, { 2, 2, 2, 2 } },
  resnet34 = { Basic, { 3, 4, 6, 3 } },
  resnet50 = { Bottleneck, { 3, 4, 6, 3 } },
  resnet101 = { Bottleneck, { 3, 4, 23, 3 } },
}

return {
  doc = "ResNet for ImageNet, type-B shortcuts, bottleneck stride in the 3x3 (He et al. 2016)",
  options = { classes = { 1000 }, size = { 224, min = 32 } },
  members = members,
  make = function(m, o)
    return ResNet { block = m[1], blocks = m[2], classes = o.classes, channels = o.channels,
      seed = o.seed }
  end,
}
