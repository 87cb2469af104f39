--- Modes of a model that must be given back whatever happens.
--
--   local guard <close> = mode.evaluation(model)     -- running statistics, no dropout, no gradients
--   local guard <close> = mode.frozen(list)          -- none of these tensors takes a gradient

local core = require "trit.core"

local mode = {}

local evaluation = {
  __close = function(g)
    core.grad_enabled(g.grad)
    for m, training in pairs(g.training) do rawset(m, "training", training) end
  end,
}

--- Evaluation without gradients; on close every module is again what it was.
function mode.evaluation(model)
  local g = { grad = core.grad_enabled(false), training = {} }
  for _, m in model:named_modules() do g.training[m] = m.training end
  setmetatable(g, evaluation)
  model:eval()
  return g
end

local frozen = {
  __close = function(g)
    for t, on in pairs(g) do t:requires_grad(on) end
  end,
}

--- Take requires_grad from a list of tensors; on close each has what it had.
function mode.frozen(list)
  local g = {}
  for _, t in ipairs(list) do
    g[t] = t:requires_grad()
    t:requires_grad(false)
  end
  return setmetatable(g, frozen)
end

return mode
