--- nn.relu(x): what networks apply behind a convolution or a batch norm: ops.relu, or what this network was
-- given in its place (mode.rectify).

local core = require "trit.core"
local mode = require "trit.nn.mode"

return function(x) return (mode.rectifier or core.ops.relu)(x) end
