--- A small convolutional net without batch norm, for quick checks and gradients that reach
-- thresholds undamped: conv3x3(8)-ReLU-conv3x3/2(12)-ReLU-global average-fc16-ReLU-fc.
--
--   trit.models.small { classes = 6, channels = 3 }

local core = require "trit.core"
local nn = require "trit.nn"

local ops = core.ops

local Small = nn.class("small")

function Small:init(o)
  local seed = (o.seed or 0) * 1000
  self.conv1 = nn.conv2d { o.channels or 3, 8, kernel = 3, padding = 1, bias = true, seed = seed + 1 }
  self.conv2 = nn.conv2d { 8, 12, kernel = 3, stride = 2, padding = 1, bias = true, seed = seed + 2 }
  self.fc1 = nn.linear { 12, 16, seed = seed + 3 }
  self.fc2 = nn.linear { 16, o.classes or 10, seed = seed + 4 }
end

function Small:forward(x)
  x = ops.relu(self.conv1(x))
  x = ops.relu(self.conv2(x))
  x = ops.relu(self.fc1(ops.global_avg_pool(x)))
  return self.fc2(x)
end

return { small = Small, options = { "classes", "channels", "seed" } }
