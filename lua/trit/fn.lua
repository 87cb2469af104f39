--- trit.fn { name =, forward =, backward = }: a differentiable function in Lua.
--
--   local square = trit.fn {
--     name = "square",
--     forward  = function(saved, x) saved.x = x; return x * x end,
--     backward = function(saved, g) return g * saved.x * 2 end,  -- one gradient per operand
--   }
--   local y = square(x)
--
-- forward runs without recording; `saved` is a fresh table per call.  backward gets it and dL/dy, and
-- returns dL/dx for every operand in order, nil where there is none.

local core = require "trit.core"

local fn = {}

local function without_grad(f, ...)
  local old = core.grad_enabled(false)
  local results = table.pack(pcall(f, ...))
  core.grad_enabled(old)
  if not results[1] then error(results[2], 0) end
  return results[2]
end

function fn.fn(o)
  if type(o.forward) ~= "function" or type(o.backward) ~= "function" then
    error("fn: needs forward and backward functions", 2)
  end
  local name = o.name or "fn"
  return function(...)
    local saved = {}
    local y = without_grad(o.forward, saved, ...)
    if type(y) ~= "userdata" then core.raise(name .. ": forward must return a tensor") end
    return core.fn_apply(name, o.backward, saved, y, ...)
  end
end

return fn
