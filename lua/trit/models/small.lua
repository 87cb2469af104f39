--- A small convolutional net without batch norm, for quick checks and gradients that reach
-- thresholds undamped: conv3x3(8)-ReLU-conv3x3/2(12)-ReLU-global average-fc16-ReLU-fc.
--
--   trit.models.small { classes = 6, channels = 3 }

local core = require "trit.core"
local nn = require "trit.nn"

local ops = core.ops

local Small = nn.class("small")

function Small:init(o)
  local seed = nn.seeds(o.seed)
  self.conv1 = nn.conv2d { o.channels, 8, kernel = 3, padding = 1, bias = true, seed = seed() }
  self.conv2 = nn.conv2d { 8, 12, kernel = 3, stride = 2, padding = 1, bias = true, seed = seed() }
  self.fc1 = nn.linear { 12, 16, seed = seed() }
  self.fc2 = nn.linear { 16, o.classes, seed = seed() }
end

function Small:forward(x)
  x = nn.relu(self.conv1(x))
  x = nn.relu(self.conv2(x))
  x = nn.relu(self.fc1(ops.global_avg_pool(x)))
  return self.fc2(x)
end

return {
  doc = "two convolutions and two linear layers without batch norm, for quick checks",
  members = { small = {} },
  make = function(_, o) return Small(o) end,
}
