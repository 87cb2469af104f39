--- Modules: things with parameters, buffers and children, called on tensors.
--
--   local Net = nn.class("Net")
--   function Net:init(o) self.conv = nn.conv2d { 3, 16, kernel = 3 } end
--   function Net:forward(x) return self.conv(x):relu() end
--   local net = Net { }
--
-- Assigning a tensor that requires a gradient registers a parameter, assigning a module
-- registers a child, both in the order of assignment; self:buffer(name, tensor) registers state that
-- is saved but not trained.  Tensors made during a call belong to the tape: what forward returns is
-- the caller's, the rest ends with backward.

local core = require "trit.core"

local Module = {}
Module.__index = Module

local scope = setmetatable({}, { __close = function() core.scope_leave() end })

local function is_module(v)
  return type(v) == "table" and rawget(v, "_children") ~= nil
end

--- Is v a module?
function Module.is(v) return is_module(v) end

local function is_parameter(v)
  return type(v) == "userdata" and getmetatable(v).__name == "trit.tensor" and v:requires_grad()
end

local function register(list, name, value)
  for _, entry in ipairs(list) do
    if entry.name == name then
      entry.value = value
      return
    end
  end
  list[#list + 1] = { name = name, value = value }
end

local function assign(self, key, value)
  if is_module(value) then
    register(self._children, key, value)
  elseif is_parameter(value) then
    register(self._params, key, value)
  end
  rawset(self, key, value)
end

local function call(self, ...)
  core.scope_enter()
  local guard <close> = scope -- luacheck: ignore guard
  return core.scope_keep(self:forward(...))
end

--- A new kind of module; calling the result makes one and runs its init(options).
function Module.class(name)
  local class = setmetatable({ kind = name }, {
    __index = Module,
    __call = function(class, ...)
      local self = setmetatable({ _params = {}, _buffers = {}, _children = {}, training = true }, class)
      self:init(...)
      return self
    end,
  })
  class.__index = class
  class.__call = call
  class.__newindex = assign
  class.__name = "trit.nn." .. name
  class.__tostring = function(self) return self:describe() end
  return class
end

function Module:init() end

--- One line about the module; kinds override `extra`.
function Module:describe()
  return ("%s(%s)"):format(self.kind, self.extra and self:extra() or "")
end

--- Register state that is saved with the model but has no gradient.
function Module:buffer(name, tensor)
  register(self._buffers, name, tensor)
  rawset(self, name, tensor)
end

--- Iterate (name, module) over this module and all below it; the top's name is "".
function Module:named_modules()
  local list = {}
  local function visit(m, prefix)
    list[#list + 1] = { prefix, m }
    for _, c in ipairs(m._children) do
      visit(c.value, prefix == "" and tostring(c.name) or prefix .. "." .. c.name)
    end
  end
  visit(self, "")
  local i = 0
  return function()
    i = i + 1
    if list[i] then return list[i][1], list[i][2] end
  end
end

local function entries(self, field)
  local list = {}
  for prefix, m in self:named_modules() do
    for _, e in ipairs(m[field]) do
      list[#list + 1] = { name = prefix == "" and e.name or prefix .. "." .. e.name, tensor = e.value,
        module = m }
    end
  end
  return list
end

local function as_list(named)
  local list = { names = {} }
  for i, e in ipairs(named) do
    list[i] = e.tensor
    list.names[i] = e.name
  end
  return list
end

--- Trainable tensors in a fixed order: { t1, t2, ..., names = { ... } }.  Quantizers' scales are
-- among them (names end in ".quantizer.<name>"), thresholds are not: see thresholds().
function Module:parameters()
  local named = entries(self, "_params")
  for _, e in ipairs(self:quantizer_entries()) do
    if not e.threshold then named[#named + 1] = e end
  end
  return as_list(named)
end

--- Trainable thresholds of all quantizers, a list like parameters().
function Module:thresholds()
  local named = {}
  for _, e in ipairs(self:quantizer_entries()) do
    if e.threshold then named[#named + 1] = e end
  end
  return as_list(named)
end

--- { { name=, tensor=, threshold=, layer= }, ... } of every quantizer's trainable parameters; with
-- `states` also of what quantizers keep without training it.
function Module:quantizer_entries(states)
  local list = {}
  for prefix, m in self:named_modules() do
    local q = rawget(m, "quantizer")
    if q then
      local named = states and q:state_dict() or q:parameters()
      local names = {}
      for name in pairs(named) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do
        list[#list + 1] = { name = prefix .. ".quantizer." .. name, tensor = named[name],
          threshold = q:is_threshold(name), layer = prefix .. ".weight" }
      end
    end
  end
  return list
end

--- The module of that path ("layer1.0.conv1"), nil if there is none.
function Module:find(path)
  for name, m in self:named_modules() do
    if name == path then return m end
  end
end

--- Iterate (weight name, module) over layers whose weight a quantizer could take.
function Module:quantizable()
  local list = {}
  for prefix, m in self:named_modules() do
    if m.set_quantizer then list[#list + 1] = { prefix == "" and "weight" or prefix .. ".weight", m } end
  end
  local i = 0
  return function()
    i = i + 1
    if list[i] then return list[i][1], list[i][2] end
  end
end

--- Everything that makes the model what it is: name -> tensor (parameters, buffers, quantizers').
function Module:state_dict()
  local state = {}
  for _, field in ipairs { "_params", "_buffers" } do
    for _, e in ipairs(entries(self, field)) do state[e.name] = e.tensor end
  end
  for _, e in ipairs(self:quantizer_entries(true)) do state[e.name] = e.tensor end
  return state
end

-- Numbers of one object under `prefix` in all; given a state, take them first.
local function count(all, prefix, object, fields, state)
  for _, field in ipairs(fields) do
    local name = prefix == "" and field or prefix .. "." .. field
    if state and state[name] then rawset(object, field, state[name]) end
    all[name] = rawget(object, field)
  end
end

--- Numbers that count what a module did, such as calls that drew random numbers: a class names its fields
-- in `counters`; and where quantizers stand in their schedules.  They belong to the training, not to
-- the model.  Given a table, set them.
function Module:counters_dict(state)
  local all = {}
  for prefix, m in self:named_modules() do
    count(all, prefix, m, m.counters or {}, state)
    local q = rawget(m, "quantizer")
    if q then count(all, prefix == "" and "quantizer" or prefix .. ".quantizer", q, q.counters, state) end
  end
  return all
end

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

-- Every tensor of the state that has a place here must fit it.
local function check_shapes(mine, state)
  for _, name in ipairs(sorted_keys(state)) do
    local known = mine[name]
    local here, there = known and known:shape() or {}, known and state[name]:shape() or {}
    if table.concat(here, ",") ~= table.concat(there, ",") then
      core.raise(("load_state_dict: %q is f32[%s] but f32[%s] is to be loaded"):format(name,
        table.concat(here, ","), table.concat(there, ",")))
    end
  end
end

--- Copy tensors in by name.  Strict by default: a missing or unexpected name is an error naming it.
-- Quantizers are initialised from the loaded weights unless the state brings their parameters, so
-- float weights give fresh thresholds and a quantized checkpoint keeps its own.
-- "num_batches_tracked" entries of other frameworks are ignored.
function Module:load_state_dict(state, options)
  local strict = not options or options.strict ~= false
  local mine = self:state_dict()
  check_shapes(mine, state)
  for _, name in ipairs(sorted_keys(state)) do
    local known = mine[name]
    if known then
      known:copy(state[name])
      local layer = name:match("^(.*)%.quantizer%.woken$")
      if layer then self:find(layer).quantizer:load_woken(state[name]) end
    elseif strict and not name:match("num_batches_tracked$") then
      core.raise(("load_state_dict: %q is not a tensor of this model"):format(name))
    end
  end
  for _, name in ipairs(sorted_keys(mine)) do
    if not state[name] and strict and not name:match("%.quantizer%.") then
      core.raise(("load_state_dict: %q is missing"):format(name))
    end
  end
  self:reset_quantizers(function(prefix)
    for name in pairs(state) do
      if name:sub(1, #prefix) == prefix then return false end
    end
    return true
  end)
  return self
end

--- (Re)initialise quantizers from the present weights; `wanted(prefix)` may veto.
function Module:reset_quantizers(wanted)
  for prefix, m in self:named_modules() do
    local q = rawget(m, "quantizer")
    if q and (not wanted or wanted(prefix .. ".quantizer.")) then q:reset(m.weight) end
  end
end

local function set_training(self, on)
  for _, m in self:named_modules() do rawset(m, "training", on) end
  return self
end

--- Training mode: batch statistics, dropout.  Returns the module.
function Module:train() return set_training(self, true) end
--- Evaluation mode: running statistics, no dropout.  Returns the module.
function Module:eval() return set_training(self, false) end

--- Drop all gradients.  Every step does: no names are made for it.
function Module:zero_grad()
  for _, e in ipairs(self._params) do e.value:zero_grad() end
  local q = rawget(self, "quantizer")
  if q then q:zero_grad() end
  for _, c in ipairs(self._children) do c.value:zero_grad() end
end

--- Number of trainable numbers, thresholds and scales of quantizers not counted.
function Module:parameter_count()
  local n = 0
  for _, e in ipairs(entries(self, "_params")) do n = n + e.tensor:numel() end
  return n
end

return Module
