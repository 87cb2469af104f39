--- trit.fn { name =, forward =, backward = }: a differentiable function in Lua.
--
--   local square = trit.fn {
--     name = "square",
--     forward  = function(saved, x) saved.x = x; return x * x end,
--     backward = function(saved, g) return g * saved.x * 2 end,  -- one gradient per operand
--   }
--   local y = square(x)
--
-- forward runs without recording; `saved` is a fresh table per call, and tensors in it (in tables in it
-- too) live until backward has passed, inside a module as well.  backward gets it and dL/dy, and
-- returns dL/dx for every operand in order, nil where there is none.

local core = require "trit.core"
local options = require "trit.options"

local fn = {}

local function without_grad(f, ...)
  local old = core.grad_enabled(false)
  local results = table.pack(pcall(f, ...))
  core.grad_enabled(old)
  if not results[1] then error(results[2], 0) end
  return results[2]
end

-- A module drops what its forward made and nothing recorded takes: not what is saved here.  The operands,
-- in `seen` from the start, the tape itself keeps.
local function keep(v, seen)
  if seen[v] then return end
  seen[v] = true
  if type(v) == "userdata" then
    if getmetatable(v).__name == "trit.tensor" then v:keep() end
  elseif type(v) == "table" then
    for _, entry in pairs(v) do keep(entry, seen) end
  end
end

function fn.fn(o)
  options.check("fn", o, { "name", "forward", "backward" })
  if type(o.forward) ~= "function" or type(o.backward) ~= "function" then
    options.fail("fn", "needs forward and backward functions")
  end
  local name = o.name or "fn"
  return function(...)
    local saved = {}
    local y = without_grad(o.forward, saved, ...)
    if type(y) ~= "userdata" then core.raise(name .. ": forward must return a tensor") end
    local seen = {}
    for i = 1, select("#", ...) do seen[(select(i, ...)) or false] = true end
    keep(saved, seen)
    return core.fn_apply(name, o.backward, saved, y, ...)
  end
end

return fn
