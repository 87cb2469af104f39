--- trit.quant: weight quantizers.
--
--   local q = trit.quant.tga { init = 0.05 }      -- also trit.quant.create("tga", { ... })
--   q:reset(w)                                     -- first values of its parameters, from the weights
--   local wq = q(w)                                -- same shape as w, differentiable
--   q:codes()  q:scale()  q:parameters()  q.delta
--
-- Every quantizer of trit.quant.list() is used this way; trit.help "tga" explains one, and
-- trit.quant.define makes a new one in Lua (trit.quant.define).

local core = require "trit.core"
local hints = require "trit.hints"

local quant = {}

local Quantizer = {}

-- Trainable parameters are fields of the object, beside name and options: q.delta.
Quantizer.__index = Quantizer
-- Numbers of a training (Module:counters_dict).  windows, if any: from, to, from, to ... of the shares of the
-- training in which the layer trains (trit.schemes.stepped).
Quantizer.counters = { "progress", "start", "stop", "windows" }

local function each_learn(q)
  return ipairs(q.learn)
end

local function ready(q)
  for _, p in each_learn(q) do
    if not rawget(q, p.name) then return false end
  end
  return q.was_reset
end

local function parameter_list(q)
  local list = {}
  for i, p in each_learn(q) do list[i] = rawget(q, p.name) end
  return list
end

-- Tensor `t` becomes parameter k, with what it asks of optimizers.
local function adopt(q, k, t)
  local decay, limit = q.handle:learn_hints(k)
  local p = q.learn[k]
  if p.state then
    rawset(q, p.name, t)
    return
  end
  hints[t] = { decay = decay, grad_limit = limit, lr_scale = p.lr_scale }
  rawset(q, p.name, t:requires_grad(true))
end

-- Make tensors for parameters that have none or another shape; keep the others, so that optimizers
-- that hold them stay connected.
local function make_parameters(q, w)
  for k, p in each_learn(q) do
    local fresh, old = q.handle:new_learn(k, w), rawget(q, p.name)
    local same = old and table.concat(old:shape(), ",") == table.concat(fresh:shape(), ",")
    if not same then
      adopt(q, k, fresh)
    end
  end
end

--- Does it quantize yet?  One with a start (a share of the training, trit.schemes.delay) sleeps until
-- progress has reached it, and wakes with parameters from the weights of that moment.
function Quantizer:awake(w)
  if self.start <= 0 then return true end
  if self.progress < self.start and not self.woken then return false end
  if not self.woken then
    self.woken = true
    self:reset(w)
  end
  return true
end

--- Does it still sleep?  As awake, but a matter of what has happened: nothing wakes.
function Quantizer:asleep() return self.start > 0 and not self.woken end

--- Is it at rest?  Then the layer's weights are quantized for good, and neither they nor the parameters here
-- are trained (trit.schemes.freeze).
function Quantizer:settled()
  if self.progress >= self.stop then return true end
  local windows = self.windows
  for i = 1, windows and #windows or 0, 2 do
    if self.progress >= windows[i] and self.progress < windows[i + 1] then return false end
  end
  return windows ~= nil
end

-- What the core sees of the training: whether a layer trains, how far it is, which layer it is, and
-- whether the weights are the last call's.
local function tell_phase(q, same) q.handle:phase(q.training, q.progress, q.salt, same) end

--- (Re)initialise the parameters from weights `w`; tensors that fit are kept and overwritten.
function Quantizer:reset(w)
  make_parameters(self, w)
  tell_phase(self)
  self.handle:reset(w, table.unpack(parameter_list(self)))
  self.was_reset = true
  return self
end

--- w' = q(w): the effective weights, an autograd node.  The first call resets when nobody has.  With
-- q.training (layers set it), draws are made and states move on.  same = true promises that w has not changed
-- since the last call, so that its statistics need not be taken again.
function Quantizer:__call(w, same)
  if not ready(self) then self:reset(w) end
  tell_phase(self, same)
  return self.handle:apply(w, table.unpack(parameter_list(self)))
end

--- Can the parameters be trained through the scale alone, without weight gradients?
function Quantizer:scale_only() return self.handle:scale_only() end

--- w', S: the quantized weights as a constant and their scale [rows] as the node to differentiate, for
-- passes that train thresholds only.  Quantizes once.  Needs q:scale_only().
function Quantizer:scale_node(w)
  if not ready(self) then self:reset(w) end
  tell_phase(self)
  local list = parameter_list(self)
  local old = core.grad_enabled(false)
  local ok, wq = pcall(self.handle.apply, self.handle, w, table.unpack(list))
  core.grad_enabled(old)
  if not ok then error(wq, 0) end
  return wq, self.handle:scale_node(w, table.unpack(list))
end

--- Codes of the last call: -1, 0, 1 in the shape of the weights ([terms, ...] for several terms).
function Quantizer:codes() return self.handle:codes() end

--- Scales of the last call: [rows], or [rows, terms]; of the positive side where they differ.
function Quantizer:scale() return self.handle:scale() end

--- Magnitudes of the negative side, shaped like scale().
function Quantizer:scale_neg() return self.handle:scale_neg() end

--- Trainable parameters by name; sorted names give the order everywhere.
function Quantizer:parameters()
  local named = {}
  for _, p in each_learn(self) do
    if not p.state then named[p.name] = rawget(self, p.name) end
  end
  return named
end

--- Drop the gradients of the trainable parameters.
function Quantizer:zero_grad()
  for _, p in each_learn(self) do
    local t = not p.state and rawget(self, p.name)
    if t then t:zero_grad() end
  end
end

--- For what is scheduled over a training (annealed gradients, growing masks): the share of it that is
-- over, 0 to 1.
function Quantizer:set_progress(t) self.progress = math.min(math.max(t, 0), 1) end

local function find_learn(q, name)
  for k, p in each_learn(q) do
    if p.name == name then return p, k end
  end
  error(("%s has no parameter %q"):format(q.name, tostring(name)), 3)
end

--- Does parameter `name` belong to the threshold group?
function Quantizer:is_threshold(name) return name ~= "woken" and find_learn(self, name).threshold end

--- Per row: { mu, sigma, center, count, delta, z, scale, scale_neg, clip_active,
-- occupancy = { share of -1, 0, 1 } }, numbers the method has not are nil; with several terms `terms`
-- lists delta ... occupancy of each.  Of the last call, or, with weights given, of those.
function Quantizer:stats(w)
  if w then
    local old, training = core.grad_enabled(false), self.training
    self.training = false
    local ok, e = pcall(self, w)
    self.training = training
    core.grad_enabled(old)
    if not ok then error(e, 0) end
  end
  return self.handle:stats()
end

-- stats[row][field] of every row, or of every term of every row; nil unless the method has it everywhere.
local function field_of(stats, field)
  local list = {}
  for _, row in ipairs(stats) do
    for _, r in ipairs(#row.terms > 0 and row.terms[1][field] ~= nil and row.terms or { row }) do
      if r[field] == nil then return nil end
      list[#list + 1] = r[field]
    end
  end
  return list
end

--- Fill in what a run file holds of this layer (runlog's Log:layer): codes and, for every row, term by
-- term, threshold and scale; for every row the middle of its cuts.  Of weights `w`.
function Quantizer:record(w, record)
  local stats = self:stats(w)
  record.codes = self:codes()
  record.threshold, record.scale = field_of(stats, "delta"), field_of(stats, "scale")
  record.center = field_of(stats, "center")
end

--- Storage in bits per weight: 2 for a ternary term, 1 for a binary one, and after a call its scales,
-- 32 bits each; at most float's 32.
function Quantizer:bits()
  local bits, terms, rows, n = self.handle:layout()
  if n and n > 0 then bits = bits + 32 * terms * rows * self.scales_per_row / n end
  return math.min(bits, 32)
end

--- Parameters and kept states as name -> tensor; empty before the first reset.
function Quantizer:state_dict()
  local named = {}
  for _, p in each_learn(self) do named[p.name] = rawget(self, p.name) end
  if self.start > 0 then named.woken = core.ones { 1 } * (self.woken and 1 or 0) end
  return named
end

--- Take over whether it sleeps; `saved` is what state_dict gave, or nil.
function Quantizer:load_woken(saved) self.woken = saved ~= nil and saved:item() ~= 0 end

--- Copy parameters in.  Without a reset before, they take the saved shapes.
function Quantizer:load_state_dict(state)
  for name in pairs(state) do
    if name ~= "woken" then find_learn(self, name) end
  end
  self:load_woken(state.woken)
  for k, p in each_learn(self) do
    local saved, mine = state[p.name], rawget(self, p.name)
    if not saved then core.raise(("%s: the state has no parameter %s"):format(self.name, p.name)) end
    if mine then
      mine:copy(saved)
    else
      local layout = p.per_weight and "hwio" or nil
      adopt(self, k, core.zeros(saved:shape(), { layout = layout }):copy(saved))
    end
  end
  self.was_reset = true
  return self
end

local function wrap(name, options)
  local handle = core.quantizer(name, options)
  local info = core.quant_info(name)
  local self = { name = name, handle = handle, options = handle:options(), learn = info.learn,
    given = options, was_reset = false, training = false, progress = 0, salt = 0,
    start = 0, stop = math.huge, woken = false }
  local sides = 0 -- numbers trained beside each other as scales (TTQ), or in a codebook (shared)
  for k, p in ipairs(info.learn) do
    if p.per_level then
      sides = sides + handle:new_learn(k, core.zeros { 1 }):numel()
    elseif not p.state and not p.per_weight then
      sides = sides + 1
    end
  end
  self.scales_per_row = math.max(sides, 1)
  return setmetatable(self, Quantizer)
end

--- A copy with the same options and, if there are any yet, the same parameter values.
function Quantizer:clone()
  local q = wrap(self.name, self.given)
  q.salt, q.start, q.stop, q.windows = self.salt, self.start, self.stop, self.windows
  if ready(self) and #self.learn > 0 then q:load_state_dict(self:state_dict()) end
  return q
end

function Quantizer:__tostring()
  local changed = {}
  for _, p in ipairs(core.quant_info(self.name).params) do
    local v = self.options[p.name]
    if type(v) == "table" then v = "{" .. table.concat(v, ",") .. "}" end
    if v ~= p.default then changed[#changed + 1] = ("%s=%s"):format(p.name, tostring(v)) end
  end
  return ("%s{%s}"):format(self.name, table.concat(changed, ", "))
end

--- A quantizer by name: trit.quant.create("tga", { init = 0.1 }).
function quant.create(name, options) return wrap(name, options) end

--- Names of all quantizers, those defined in Lua last.
function quant.list() return core.quant_list() end

--- { name, doc, params = { { name, default, min, max, choices, doc } ... },
-- learn = { { name, doc, threshold, decay, lr_scale, state, per_weight, per_level } ... }, properties,
-- unrounded (its ste is own), cases } of one.
function quant.info(name) return core.quant_info(name) end

--- Is x a quantizer object?
function quant.is(x) return type(x) == "table" and getmetatable(x) == Quantizer end

--- Define a quantizer in Lua; see trit.quant.define.
function quant.define(definition) return require("trit.quant.define").define(quant, definition, Quantizer) end

--- Run the property tests and gradient checks on a quantizer by name; true, or raises the first
-- violation (trit.quant.check).
function quant.check(name, options) return require("trit.quant.check").check(quant, name, options) end

for _, name in ipairs(core.quant_list()) do
  quant[name] = function(options) return wrap(name, options) end
end

return quant
