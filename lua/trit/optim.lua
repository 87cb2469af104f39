--- trit.optim: optimizers with parameter groups.
--
--   local opt = trit.optim.sgd(net:parameters(), { lr = 0.1, momentum = 0.9 })
--   local opt = trit.optim.adam({ { params = list, name = "weights", weight_decay = 1e-4 },
--                                 { params = other, lr = 0.01, grad_clamp = 1e-3 } }, { lr = 1e-3 })
--   opt:zero_grad(); loss:backward(); opt:step(); opt:set_lr(0.01)
--
-- params is a list of tensors, a table name -> tensor, or a list of groups.  A group takes every option
-- of the update rule (the second argument gives what it leaves out) and grad_clamp: gradients are
-- clamped to +-grad_clamp before the rule sees them.  Parameters without a gradient are skipped.
-- Parameters of quantizers bring their own wishes (trit.hints): no decay on thresholds, a limit on
-- their gradients; a group that sets weight_decay or grad_clamp overrules them.
-- The rules are descriptors in C; trit.optim.list() names them, trit.help "sgd" explains one.

local core = require "trit.core"
local hints = require "trit.hints"

local optim = {}

local Optimizer = {}
Optimizer.__index = Optimizer

local function sorted_values(t)
  local names, list = {}, { names = {} }
  for name in pairs(t) do
    if name ~= "names" then names[#names + 1] = name end
  end
  table.sort(names)
  for i, name in ipairs(names) do list[i], list.names[i] = t[name], name end
  return list
end

local function tensor_list(t)
  if #t > 0 or next(t) == nil then return t end
  return sorted_values(t)
end

local function groups_of(params)
  if type(params) ~= "table" then
    error("optim: parameters must be a list of tensors or of groups, got " .. type(params), 4)
  end
  local groups = type(params[1]) == "table" and params or { { params = params } }
  for i, g in ipairs(groups) do
    if type(g) ~= "table" or type(g.params) ~= "table" then
      core.raise(("optim: group %d must be { params = list of tensors, ... }, got %s"):format(i,
        type(g) ~= "table" and type(g) or "a table without params"))
    end
    for name, t in pairs(g.params) do
      if name ~= "names" and (type(t) ~= "userdata" or getmetatable(t).__name ~= "trit.tensor") then
        core.raise(("optim: parameter %s of group %d is a %s, not a tensor"):format(tostring(name), i,
          type(t)))
      end
    end
  end
  return groups
end

local own = { params = true, name = true, grad_clamp = true } -- group fields that are not the rule's

-- A parameter that decay passes by, or with a learning rate of its own, has options of its own.
local function special_options(rule, g, group, p)
  local hint = hints[p]
  if not hint then return false end
  local no_decay = hint.decay == false and not g.weight_decay and group.options.weight_decay ~= 0
  if not no_decay and (hint.lr_scale or 1) == 1 then return false end
  local options = {}
  for k, v in pairs(group.options) do options[k] = v end
  if no_decay then options.weight_decay = 0 end
  return core.optim_options(rule, options)
end

local function group_of(rule, g, defaults)
  local given = {}
  for k, v in pairs(defaults or {}) do given[k] = v end
  for k, v in pairs(g) do
    if not own[k] then given[k] = v end
  end
  local group = { params = tensor_list(g.params), name = g.name, grad_clamp = g.grad_clamp,
    options = core.optim_options(rule, given), slots = {}, steps = {}, special = {} }
  for i, p in ipairs(group.params) do
    group.special[i] = special_options(rule, g, group, p)
    group.slots[i] = core.optim_slots(rule, group.options, p)
    group.steps[i] = 0
  end
  return group
end

local function create(rule, params, options)
  local self = setmetatable({ name = rule, groups = {} }, Optimizer)
  for i, g in ipairs(groups_of(params)) do self.groups[i] = group_of(rule, g, options) end
  return self
end

local function update(rule, g, i, p)
  local hint = hints[p]
  if hint and hint.grad_scale then core.grad_scale({ p }, hint.grad_scale) end
  local limit = g.grad_clamp or hint and hint.grad_limit
  if limit then core.grad_clamp({ p }, limit) end
  local options = g.special[i] or g.options
  if g.special[i] then options.lr = g.options.lr * (hint.lr_scale or 1) end
  g.steps[i] = g.steps[i] + 1
  core.optim_step(rule, options, g.steps[i], p, g.slots[i])
end

--- One update of every parameter that has a gradient.
function Optimizer:step()
  for _, g in ipairs(self.groups) do
    for i, p in ipairs(g.params) do
      if p:has_grad() then update(self.name, g, i, p) end
    end
  end
end

--- Forget the gradients.
function Optimizer:zero_grad()
  for _, g in ipairs(self.groups) do
    for _, p in ipairs(g.params) do p:zero_grad() end
  end
end

--- Set the learning rate of all groups, or of one by name or number.  Groups keep their ratio to the
-- first when all are set.
function Optimizer:set_lr(lr, which)
  local first = self.groups[1].options.lr
  for i, g in ipairs(self.groups) do
    if which == nil then
      g.ratio = g.ratio or (first ~= 0 and g.options.lr / first or 1)
      g.options.lr = lr * g.ratio
    elseif which == i or which == g.name then
      g.options.lr = lr
    end
  end
end

--- The learning rate of the first group, or of one by name or number.
function Optimizer:lr(which)
  for i, g in ipairs(self.groups) do
    if which == nil or which == i or which == g.name then return g.options.lr end
  end
  error(("optim: there is no group %q"):format(tostring(which)), 2)
end

--- What the run file says about the optimizer.
function Optimizer:describe()
  local groups = {}
  for i, g in ipairs(self.groups) do
    groups[i] = { name = g.name, options = g.options, grad_clamp = g.grad_clamp, parameters = #g.params }
  end
  return { name = self.name, groups = groups }
end

--- Everything needed to go on exactly: { tensors = name -> tensor, steps = name -> count, lr = list,
-- ratio = group -> its rate over the first's, once known }.
function Optimizer:state_dict()
  local state = { tensors = {}, steps = {}, lr = {}, ratio = {} }
  for i, g in ipairs(self.groups) do
    state.lr[i], state.ratio[tostring(i)] = g.options.lr, g.ratio
    for k in ipairs(g.params) do
      local key = ("%d.%d"):format(i, k)
      state.steps[key] = g.steps[k]
      for slot, t in pairs(g.slots[k]) do state.tensors[key .. "." .. slot] = t end
    end
  end
  return state
end

function Optimizer:load_state_dict(state)
  for i, g in ipairs(self.groups) do
    g.options.lr = state.lr[i]
    g.ratio = state.ratio and state.ratio[tostring(i)]
    for k in ipairs(g.params) do
      local key = ("%d.%d"):format(i, k)
      if not state.steps[key] then
        error(("optim: the state has no parameter %s (group.number)"):format(key), 2)
      end
      g.steps[k] = state.steps[key]
      for slot, t in pairs(g.slots[k]) do t:copy(state.tensors[key .. "." .. slot]) end
    end
  end
end

local CLIP_EPSILON = 1e-6 -- added to the norm, as torch does

--- Scale gradients so that their joint 2-norm is at most max_norm; returns the norm before.
function optim.clip_grad_norm(params, max_norm)
  params = tensor_list(params)
  local norm = math.sqrt(core.grad_sum_squares(params))
  local factor = max_norm / (norm + CLIP_EPSILON)
  if factor < 1 then core.grad_scale(params, factor) end
  return norm
end

--- Clamp every gradient to [-limit, limit].
function optim.clip_grad_value(params, limit) core.grad_clamp(tensor_list(params), limit) end

--- Names of the update rules.
function optim.list() return core.optim_list() end

--- { name, doc, params } of a rule.
function optim.info(name) return core.optim_info(name) end

for _, rule in ipairs(core.optim_list()) do
  optim[rule] = function(params, options) return create(rule, params, options) end
end

return optim
