--- LeNet-5 as the ternary literature trains it on MNIST (Li, Zhang & Liu 2016 and their published
-- network): conv5x5(32)-BN-ReLU-maxpool2, conv5x5(64)-BN-ReLU-maxpool2, fc512-BN-ReLU, fc.
--
--   trit.models.lenet5 { classes = 10, channels = 1, size = 28 }
--
-- No padding: 28x28 pixels end as 4x4.  A bias before a batch norm changes nothing and is left out.
-- Parameters at 10 classes: 582 634.

local core = require "trit.core"
local nn = require "trit.nn"

local ops = core.ops

local KERNEL, POOL, HIDDEN = 5, 2, 512

local LeNet = nn.class("lenet")

function LeNet:init(widths, o)
  local seed, side = nn.seeds(o.seed), o.size
  for _ = 1, 2 do side = (side - KERNEL + 1) // POOL end
  self.conv1 = nn.conv2d { o.channels, widths[1], kernel = KERNEL, seed = seed() }
  self.bn1 = nn.batch_norm { widths[1] }
  self.conv2 = nn.conv2d { widths[1], widths[2], kernel = KERNEL, seed = seed() }
  self.bn2 = nn.batch_norm { widths[2] }
  self.fc1 = nn.linear { widths[2] * side * side, HIDDEN, bias = false, seed = seed() }
  self.bn3 = nn.batch_norm { HIDDEN }
  self.fc2 = nn.linear { HIDDEN, o.classes, seed = seed() }
end

function LeNet:forward(x)
  x = ops.max_pool(nn.relu(self.bn1(self.conv1(x))), { kernel = POOL })
  x = ops.max_pool(nn.relu(self.bn2(self.conv2(x))), { kernel = POOL })
  return self.fc2(nn.relu(self.bn3(self.fc1(ops.flatten(x)))))
end

return {
  doc = "LeNet-5 with batch norm for 28x28 images (Li, Zhang & Liu 2016)",
  options = { channels = { 1 }, size = { 28, min = 16 } },
  members = { lenet5 = { widths = { 32, 64 } } },
  make = function(member, o) return LeNet(member.widths, o) end,
}
