--- nn.relu(x): what networks apply behind a convolution or a batch norm: ops.relu, or what this network has
-- in its place (trit.nn.rectify).

local core = require "trit.core"
local rectify = require "trit.nn.rectify"

return function(x) return rectify.apply(x, core.ops.relu) end
