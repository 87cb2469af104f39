--- trit.act: quantizers of activations, and of the gradients that come back through them.
--
--   local a = trit.act.dorefa { bits = 2 }          -- a module: y = a(x)
--   trit.quantize_activations(net, { { "^conv1%.", false }, { ".*", trit.act.dorefa { bits = 2 } } })
--
-- Rules are those of trit.quantize: the first pattern that matches a layer's weight name counts, every
-- layer gets its own clone, `false` leaves a layer alone, a rule that nobody uses is an error.  What
-- a quantizer trains or keeps is part of the model: "layer1.0.conv1.input.s".  Rules for layers that
-- have one already replace it.
--
-- Adding one: a file lua/trit/act/NAME.lua that returns act.define { ... }.

local core = require "trit.core"
local lfs = require "lfs"
local Module = require "trit.nn.module"
local fn = require "trit.fn"
local options = require "trit.options"
local rectify = require "trit.nn.rectify"

local ops = core.ops
local act = {}

local FIELDS = { "name", "doc", "options", "init", "forward", "output", "signed" }

local function sorted(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = tostring(k) end
  table.sort(keys)
  return keys
end

-- The options given, checked against their declarations { default, min =, max =, choices =, doc = }.
local function read_options(d, given)
  local owner, declared, o = "act." .. d.name, d.options or {}, {}
  for k, spec in pairs(declared) do o[k] = spec[1] end
  for k, v in pairs(options.check(owner, given, declared)) do
    local spec, what = declared[k], "option " .. k
    if type(v) ~= type(spec[1]) then
      options.fail(owner, "%s is a %s but must be a %s", what, type(v), type(spec[1]))
    end
    if spec.choices then options.choice(owner, what, v, spec.choices) end
    o[k] = spec.min and options.within(owner, what, v, spec.min, spec.max) or v
  end
  return o
end

--- A new kind: { name, doc, options = { bits = { 2, min =, max =, doc = } }, init(self),
-- forward(self, x) -> y, and optionally output(self, x, y, layer) -> y for what is done to a layer's
-- output, and signed = true where both signs of x count }.  Returns the constructor.
function act.define(d)
  options.check("act.define", d, FIELDS)
  local class = Module.class("act_" .. d.name)
  class.descriptor = d
  function class:init(given)
    self.options, self.is_act = read_options(d, given), true
    if d.init then d.init(self) end
  end
  function class:forward(x) return d.forward(self, x) end
  class.output = d.output
  function class:clone() return class(self.options) end
  function class:extra()
    local items = {}
    for _, k in ipairs(sorted(self.options)) do items[#items + 1] = k .. "=" .. tostring(self.options[k]) end
    return table.concat(items, ", ")
  end
  return setmetatable({ doc = d.doc, options = d.options or {}, name = d.name },
    { __call = function(_, given) return class(given) end })
end

--- The elementwise function f(x) whose gradient is declared: dL/dx = dL/dy slope(x).
function act.straight_through(name, f, slope)
  return fn.fn { name = name,
    forward = function(saved, x)
      saved.x = x
      return f(x)
    end,
    backward = function(saved, g) return g * slope(saved.x) end }
end

local TO_WHOLE = 1.5 * 2 ^ 23 -- added and taken away, a float keeps no fraction; halves go to even

--- Whole numbers nearest to x, |x| < 2^22.
function act.round(x) return (x + TO_WHOLE) - TO_WHOLE end

--- +1 where x >= 0, else -1.
function act.sign(x) return 1 - ops.gt(0, x) * 2 end

--- 1 where lo <= x <= hi, else 0.
function act.inside(x, lo, hi) return (1 - ops.gt(lo, x)) * (1 - ops.gt(x, hi)) end

--- 1 where |x| < 1, else 0.
function act.open_unit(x) return ops.gt(1, x:abs()) end

local slopes = {
  identity = function(x) return x * 0 + 1 end,
  clip = act.open_unit,
  tanh = function(x)
    local t = ops.tanh(x)
    return 1 - t * t
  end,
}

--- A straight-through node around any function (Bengio et al. 2013, arXiv:1308.3432):
-- act.ste(f, { mode = "identity" | "clip" | "tanh" | "scale", scale = 1 }) -> function(x) -> f(x) with
-- dL/dx = dL/dy times 1, [|x| < 1], 1 - tanh^2(x), or the scale.
function act.ste(f, o)
  o = options.check("act.ste", o, { "mode", "scale" })
  local mode = o.mode or "identity"
  local slope = slopes[mode]
  if mode == "scale" then slope = function(x) return x * 0 + (o.scale or 1) end end
  if not slope then
    core.raise(("act.ste: mode is %q but must be identity, clip, tanh or scale"):format(tostring(mode)))
  end
  return act.straight_through("ste_" .. mode, f, slope)
end

------------------------------------------------------------------------------ rules

local function first_match(rules, name)
  for i, rule in ipairs(rules) do
    if name:find(rule[1]) then return i, rule[2] end
  end
end

local function check_rules(rules)
  if type(rules) ~= "table" or #rules == 0 then
    core.raise("quantize_activations: rules must be a list of { pattern, quantizer }")
  end
  for i, rule in ipairs(rules) do
    local ok = type(rule) == "table" and type(rule[1]) == "string"
      and (rule[2] == false or type(rule[2]) == "table" and rule[2].is_act)
    if not ok then
      core.raise(("quantize_activations: rule %d must be { pattern, trit.act.NAME {} or false }"):format(i))
    end
  end
end

-- A layer computes with its quantized input; the quantizer may have a say in the output.
local function wrapped(layer, x)
  local quantizer = layer.input
  if quantizer.descriptor.signed then rectify.signs_of(x) end
  local y = getmetatable(layer).forward(layer, quantizer(x))
  return quantizer.output and quantizer:output(x, y, layer) or y
end

--- Give a layer its own activation quantizer; salt tells the draws of layers apart.
function act.attach(layer, quantizer, salt)
  rawset(quantizer, "salt", salt)
  layer.input = quantizer
  rawset(layer, "forward", wrapped)
end

--- The activation quantizer of a layer, or nil.
function act.of(layer)
  local input = layer.input
  return type(input) == "table" and input.is_act and input or nil
end

--- For kinds that look at signs (bnn, xnor, abcnet, sttn) the rectifiers before them become hard tanhs, as in
-- the published networks, where the sign follows the batch norm; all others stay (trit.nn.rectify).
function act.rectify(model)
  for _, layer in model:quantizable() do
    local quantizer = act.of(layer)
    if quantizer and quantizer.descriptor.signed then return rectify.signed(model, ops.hardtanh) end
  end
  rectify.reset(model)
end

--- Quantize what goes into layers, and see to the rectifiers before them (act.rectify); returns the model.
function act.quantize(model, rules)
  check_rules(rules)
  local used, chosen = {}, {}
  for name, layer in model:quantizable() do
    local i, quantizer = first_match(rules, name)
    if i then
      used[i] = true
      chosen[#chosen + 1] = { layer, quantizer }
    end
  end
  for i, rule in ipairs(rules) do
    if not used[i] then
      core.raise(("quantize_activations: no layer uses rule %d (%q)"):format(i, rule[1]))
    end
  end
  for i, c in ipairs(chosen) do
    if c[2] then act.attach(c[1], c[2]:clone(), i) end
  end
  act.rectify(model)
  return model
end

--- Names of all kinds, from the files beside this one.
function act.list()
  local names = {}
  local dir = assert(package.searchpath("trit.act", package.path)):match("^(.*)/")
  for file in lfs.dir(dir) do
    local name = file:match("^([%w_]+)%.lua$")
    if name and name ~= "init" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

return setmetatable(act, { __index = function(_, name)
  local ok, kind = pcall(require, "trit.act." .. tostring(name))
  if not ok then
    core.raise(("act: no activation quantizer is called %q; known: %s"):format(tostring(name),
      table.concat(act.list(), ", ")))
  end
  rawset(act, name, kind)
  return kind
end })
