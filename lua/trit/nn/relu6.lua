--- nn.relu6(x): ops.relu6, or what this network has in its place (trit.nn.rectify).

local core = require "trit.core"
local rectify = require "trit.nn.rectify"

return function(x) return rectify.apply(x, core.ops.relu6) end
