--- trit.nn: layers.  One file each; all are modules (see trit.nn.module).
local Module = require "trit.nn.module"

local nn = { class = Module.class }

local files = {
  conv2d = "trit.nn.conv2d", linear = "trit.nn.linear", batch_norm = "trit.nn.batch_norm",
  sequential = "trit.nn.sequential", dropout = "trit.nn.dropout", lambda = "trit.nn.lambda",
  seeds = "trit.nn.seeds", relu = "trit.nn.relu", relu6 = "trit.nn.relu6",
}

return setmetatable(nn, {
  __index = function(t, key)
    if not files[key] then error(("trit.nn has no layer %q"):format(tostring(key)), 2) end
    local value = require(files[key])
    rawset(t, key, value)
    return value
  end,
})
