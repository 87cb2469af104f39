--- DenseNet-BC (Huang et al. 2017): every layer BN-ReLU-conv1x1(4k)-BN-ReLU-conv3x3(k) adds k channels to
-- all that came before; transitions BN-ReLU-conv1x1(half)-avgpool2; at the end BN-ReLU-pool.
--
--   trit.models.densenet121 { classes = 1000 }
--   trit.models.densenet_bc_100_12 { classes = 10 }     -- 32x32 images: depth 100, growth 12
--
-- Names are torchvision's (features.conv0, features.denseblock1.denselayer1.norm1, ...,
-- features.transition1.conv, features.norm5, classifier); the small-image nets have three blocks, no
-- norm0 and no first pool.  dropout follows the 3x3 convolutions.  Parameters: 7 978 856 / 14 149 480 /
-- 20 013 928 / 28 681 000 for 121 / 169 / 201 / 161 at 1000 classes, 769 162 for BC(100,12) at 10.

local core = require "trit.core"
local nn = require "trit.nn"

local ops = core.ops

local BOTTLENECK = 4 -- channels of the 1x1, in units of the growth

local Layer = nn.class("dense_layer")

function Layer:init(cin, growth, dropout, seed)
  local width = BOTTLENECK * growth
  self.norm1 = nn.batch_norm { cin }
  self.conv1 = nn.conv2d { cin, width, kernel = 1, seed = seed() }
  self.norm2 = nn.batch_norm { width }
  self.conv2 = nn.conv2d { width, growth, kernel = 3, padding = 1, seed = seed() }
  if dropout > 0 then self.drop = nn.dropout { p = dropout, seed = seed() } end
end

function Layer:forward(x)
  local y = self.conv1(nn.relu(self.norm1(x)))
  y = self.conv2(nn.relu(self.norm2(y)))
  local drop = rawget(self, "drop")
  return ops.concat(x, drop and drop(y) or y, { axis = 2 })
end

local Block = nn.class("dense_block")

function Block:init(count, cin, growth, dropout, seed)
  self.count = count
  for i = 1, count do
    self["denselayer" .. i] = Layer(cin + (i - 1) * growth, growth, dropout, seed)
  end
end

function Block:forward(x)
  for i = 1, self.count do x = self["denselayer" .. i](x) end
  return x
end

local Transition = nn.class("transition")

function Transition:init(cin, cout, seed)
  self.norm = nn.batch_norm { cin }
  self.conv = nn.conv2d { cin, cout, kernel = 1, seed = seed() }
end

function Transition:forward(x)
  return ops.avg_pool(self.conv(nn.relu(self.norm(x))), { kernel = 2 })
end

local Features = nn.class("densenet_features")

function Features:init(member, o, seed)
  local growth, cin = member.growth, 2 * member.growth
  local stem = member.cifar and { kernel = 3, padding = 1 } or { kernel = 7, stride = 2, padding = 3 }
  stem[1], stem[2], stem.seed = o.channels, cin, seed()
  self.conv0 = nn.conv2d(stem)
  if not member.cifar then self.norm0 = nn.batch_norm { cin } end
  for i, count in ipairs(member.blocks) do
    self["denseblock" .. i] = Block(count, cin, growth, o.dropout, seed)
    cin = cin + count * growth
    if i < #member.blocks then
      self["transition" .. i] = Transition(cin, cin // 2, seed)
      cin = cin // 2
    end
  end
  self.norm5 = nn.batch_norm { cin }
  self.blocks, self.out = #member.blocks, cin
end

function Features:forward(x)
  x = self.conv0(x)
  local norm0 = rawget(self, "norm0")
  if norm0 then x = ops.max_pool(nn.relu(norm0(x)), { kernel = 3, stride = 2, padding = 1 }) end
  for i = 1, self.blocks do
    x = self["denseblock" .. i](x)
    if i < self.blocks then x = self["transition" .. i](x) end
  end
  return nn.relu(self.norm5(x))
end

local DenseNet = nn.class("densenet")

function DenseNet:init(member, o)
  local seed = nn.seeds(o.seed)
  self.features = Features(member, o, seed)
  self.classifier = nn.linear { self.features.out, o.classes, seed = seed() }
end

function DenseNet:forward(x) return self.classifier(ops.global_avg_pool(self.features(x))) end

--- A small-image net of depth L: three blocks of (L - 4) / 6 layers.
local function small(depth, growth)
  local n = (depth - 4) // 6
  return { blocks = { n, n, n }, growth = growth, cifar = true, defaults = { classes = 10, size = 32 } }
end

return {
  doc = "DenseNet-BC, compression one half (Huang et al. 2017)",
  options = {
    classes = { 1000 }, size = { 224, min = 4 },
    dropout = { 0.0, min = 0, max = 1, doc = "probability, after the 3x3 convolutions" },
  },
  members = {
    densenet121 = { blocks = { 6, 12, 24, 16 }, growth = 32 },
    densenet169 = { blocks = { 6, 12, 32, 32 }, growth = 32 },
    densenet201 = { blocks = { 6, 12, 48, 32 }, growth = 32 },
    densenet161 = { blocks = { 6, 12, 36, 24 }, growth = 48 },
    densenet_bc_40_12 = small(40, 12),
    densenet_bc_100_12 = small(100, 12),
  },
  make = function(member, o) return DenseNet(member, o) end,
}
