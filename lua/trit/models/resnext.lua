--- ResNeXt (Xie et al. 2017), bottleneck form C: 1x1 to D groups x cardinality C, grouped 3x3 with the
-- stride, 1x1 to 4 n; D = floor(n base / 64); type-B shortcuts.
--
--   trit.models.resnext50_32x4d { classes = 1000 }
--   trit.models.resnext29_8x64d { classes = 10 }        -- 32x32 images: depth 9m + 2
--
-- Names are torchvision's (conv1, bn1, layer1.0.conv1 ... layer1.0.downsample.0, fc).  Parameters:
-- 25 028 904 / 44 177 704 / 83 455 272 for 50 32x4d / 101 32x4d / 101 64x4d at 1000 classes,
-- 34 426 698 / 68 155 210 for 29 8x64d / 29 16x64d at 10.

local core = require "trit.core"
local nn = require "trit.nn"

local ops = core.ops

local EXPANSION = 4
local STEM = 64 -- channels

local Block = nn.class("resnext_block")

function Block:init(cin, planes, stride, member, seed)
  local width = planes * member.base // 64 * member.cardinality
  local cout = EXPANSION * planes
  self.conv1 = nn.conv2d { cin, width, kernel = 1, seed = seed() }
  self.bn1 = nn.batch_norm { width }
  self.conv2 = nn.conv2d { width, width, kernel = 3, stride = stride, padding = 1,
    groups = member.cardinality, seed = seed() }
  self.bn2 = nn.batch_norm { width }
  self.conv3 = nn.conv2d { width, cout, kernel = 1, seed = seed() }
  self.bn3 = nn.batch_norm { cout }
  if stride ~= 1 or cin ~= cout then
    self.downsample = nn.sequential { nn.conv2d { cin, cout, kernel = 1, stride = stride, seed = seed() },
      nn.batch_norm { cout } }
  end
end

--- What is added to the branch.
function Block:shortcut(x)
  local skip = rawget(self, "downsample")
  return skip and skip(x) or x
end

function Block:forward(x)
  local y = nn.relu(self.bn1(self.conv1(x)))
  y = nn.relu(self.bn2(self.conv2(y)))
  y = self.bn3(self.conv3(y))
  return nn.relu(ops.add(y, self:shortcut(x)))
end

local ResNeXt = nn.class("resnext")

function ResNeXt:init(member, o)
  local seed = nn.seeds(o.seed)
  local stem = member.cifar and { kernel = 3, padding = 1 } or { kernel = 7, stride = 2, padding = 3 }
  stem[1], stem[2], stem.seed = o.channels, STEM, seed()
  self.conv1 = nn.conv2d(stem)
  self.bn1 = nn.batch_norm { STEM }
  local cin, pools = STEM, not member.cifar
  for stage, count in ipairs(member.blocks) do
    local blocks, planes = {}, 32 << stage
    for i = 1, count do
      blocks[i] = Block(cin, planes, i == 1 and stage > 1 and 2 or 1, member, seed)
      cin = EXPANSION * planes
    end
    self["layer" .. stage] = nn.sequential(blocks)
  end
  self.stages, self.pools = #member.blocks, pools
  self.fc = nn.linear { cin, o.classes, seed = seed() }
end

function ResNeXt:forward(x)
  x = nn.relu(self.bn1(self.conv1(x)))
  if self.pools then x = ops.max_pool(x, { kernel = 3, stride = 2, padding = 1 }) end
  for stage = 1, self.stages do x = self["layer" .. stage](x) end
  return self.fc(ops.global_avg_pool(x))
end

local SMALL = { classes = 10, size = 32 }

return {
  doc = "ResNeXt, grouped bottlenecks (Xie et al. 2017)",
  options = { classes = { 1000 }, size = { 224, min = 4 } },
  members = {
    resnext50_32x4d = { blocks = { 3, 4, 6, 3 }, cardinality = 32, base = 4 },
    resnext101_32x4d = { blocks = { 3, 4, 23, 3 }, cardinality = 32, base = 4 },
    resnext101_64x4d = { blocks = { 3, 4, 23, 3 }, cardinality = 64, base = 4 },
    resnext29_8x64d = { blocks = { 3, 3, 3 }, cardinality = 8, base = 64, cifar = true, defaults = SMALL },
    resnext29_16x64d = { blocks = { 3, 3, 3 }, cardinality = 16, base = 64, cifar = true,
      defaults = SMALL },
  },
  make = function(member, o) return ResNeXt(member, o) end,
}
