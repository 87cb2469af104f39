--- ResNets for 32x32 images (He et al. 2016; methods 2.16): depth 6n+2, widths 16/32/64, type-A
-- shortcuts (subsample, append zero channels): nothing in a shortcut to quantize.
--
--   trit.models.resnet20 { classes = 10, seed = 0, width = 16, channels = 3 }
--
-- Parameters at 10 classes: 269 722 / 464 154 / 658 586 / 853 018 for depth 20 / 32 / 44 / 56,
-- 1 727 962 for 110.

local core = require "trit.core"
local nn = require "trit.nn"

local ops = core.ops

local Block = nn.class("basic_block")

function Block:init(cin, cout, stride, seed)
  self.conv1 = nn.conv2d { cin, cout, kernel = 3, stride = stride, padding = 1, seed = seed() }
  self.bn1 = nn.batch_norm { cout }
  self.conv2 = nn.conv2d { cout, cout, kernel = 3, padding = 1, seed = seed() }
  self.bn2 = nn.batch_norm { cout }
  self.stride, self.cout, self.reshapes = stride, cout, stride ~= 1 or cin ~= cout
end

--- What is added to the branch.
function Block:shortcut(x)
  if not self.reshapes then return x end
  return ops.shortcut_a(x, { stride = self.stride, out_channels = self.cout })
end

function Block:forward(x)
  local y = nn.relu(self.bn1(self.conv1(x)))
  y = self.bn2(self.conv2(y))
  return nn.relu(ops.add(y, self:shortcut(x)))
end

local ResNet = nn.class("resnet_cifar")

function ResNet:init(o)
  local n, next_seed = (o.depth - 2) // 6, (o.seed or 0) * 1000
  local function seed()
    next_seed = next_seed + 1
    return next_seed
  end
  local width = o.width or 16
  self.conv1 = nn.conv2d { o.channels or 3, width, kernel = 3, padding = 1, seed = seed() }
  self.bn1 = nn.batch_norm { width }
  local cin = width
  for stage = 1, 3 do
    local blocks, cout = {}, width << (stage - 1)
    for i = 1, n do
      blocks[i] = Block(cin, cout, i == 1 and stage > 1 and 2 or 1, seed)
      cin = cout
    end
    self["layer" .. stage] = nn.sequential(blocks)
  end
  self.fc = nn.linear { cin, o.classes or 10, seed = seed() }
end

function ResNet:forward(x)
  x = nn.relu(self.bn1(self.conv1(x)))
  x = self.layer3(self.layer2(self.layer1(x)))
  return self.fc(ops.global_avg_pool(x))
end

local members = {}
for _, depth in ipairs { 8, 14, 20, 32, 44, 56, 110 } do members["resnet" .. depth] = { depth = depth } end

return {
  doc = "ResNet for small images, depth 6n+2, type-A shortcuts (He et al. 2016)",
  options = { width = { 16, min = 1, doc = "channels of the first stage; doubles in each" } },
  members = members,
  make = function(member, o)
    return ResNet { depth = member.depth, classes = o.classes, seed = o.seed, width = o.width,
      channels = o.channels }
  end,
}
