--- trit.quant.define: a quantizer in a few lines of Lua.
--
--   local percentile = trit.quant.define {
--     name   = "percentile",
--     doc    = "cuts at a quantile of |w|; the scale is the mean of |w| beyond them",
--     params = { q = { 0.5, min = 0, max = 1, doc = "share of zeros" } },
--     fit    = function(w, p) return { hi = w:abs():quantile { q = p.q } } end,
--     ste    = "clip1",
--   }
--   trit.quantize(net, { { ".*", percentile { q = 0.4 } } })
--
-- fit(w, p, learn) -> { hi, lo = -hi, pos, neg }
--     w: one row of weights [len] (the layer, or with granularity = "filter" each filter in turn); p: the
--     options; learn: the row's trained numbers by name.  Codes are +1 above hi, -1 below lo, else 0;
--     w' = pos, 0, -neg.  scale = s gives both; without any of these they are the mean of |w| outside
--     the cuts.  Values are numbers or one-element tensors.
-- ste = "identity" (dL/dw = g), "clip1" (g where |w| < 1), "scaled" (g times pos, 1, neg by zone), or
--     function(w, cut) -> a tensor of factors of g, cut = { lo, hi, neg, pos }; with a function, the
--     option ste_integral = function(w, code, pos, neg) -> number lets the check differentiate it.
-- learn = { a = { 1.0, doc =, decay = true, threshold = false } }: trained numbers, one a row, with their
--     first value; reset(w, p) -> { a = number } computes first values from the weights instead.
--     grad(d, w, p, learn) -> { a = number }: their gradients, from d.pos = dL/dpos, d.neg = dL/dneg.
-- Instead of fit and ste, the whole of it: forward(w, p, learn) -> w', codes and
--     backward(w, g, p, learn) -> dL/dw, { a = tensor }, on w [rows, len], learn.a a tensor [rows].
-- properties = { odd = false, ... } takes back what is assumed and tested: odd, scale, permute,
--     monotone (see trit.quant.check).  cases = { { q = 0.9 }, ... }: more options to test with.
--
-- The result is a constructor like those of the built-in quantizers: checked options, help, sweep axes,
-- granularity, codes for packing.  Its properties and gradients are checked at once, unless
-- check = false.

local core = require "trit.core"

local M = { definitions = {} } -- by name

local fields = { "name", "doc", "params", "fit", "ste", "ste_integral", "learn", "reset", "grad", "forward",
  "backward", "properties", "cases", "check" }
local known = {}
for _, name in ipairs(fields) do known[name] = true end

local ste_kinds = { identity = 0, clip1 = 1, scaled = 2 }
local property_bits = { odd = 1, scale = 2, permute = 4, monotone = 8, odd_codes = 16 }
local CODED = 32

-- Fields and methods of quantizer objects that a trained number must not hide.
local reserved = { name = true, options = true, handle = true, learn = true, given = true,
  was_reset = true, scales_per_row = true, training = true, progress = true, salt = true,
  start = true, stop = true, woken = true }

local function fail(d, ...)
  core.raise(("define %s: "):format(type(d.name) == "string" and d.name or "?") .. string.format(...))
end

local function sorted(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

local function check_fields(d)
  for _, k in ipairs(sorted(d)) do
    if not known[k] then
      fail(d, "unknown field %q; known: %s", tostring(k), table.concat(fields, ", "))
    end
  end
  if type(d.name) ~= "string" or not d.name:find("^[%a_][%w_]*$") then
    fail(d, "name must be a word")
  end
  for _, name in ipairs { "fit", "reset", "grad", "forward", "backward", "ste_integral" } do
    if d[name] ~= nil and type(d[name]) ~= "function" then
      fail(d, "%s must be a function, got %s", name, type(d[name]))
    end
  end
  if (d.fit == nil) == (d.forward == nil) then fail(d, "give either fit or forward and backward") end
  if d.forward and not d.backward then fail(d, "forward needs a backward") end
  if d.fit and d.learn and not d.grad then fail(d, "learn needs grad, the gradients of its numbers") end
end

local function choice_param(d, name, spec)
  local index
  for i, choice in ipairs(spec.choices) do
    if choice == spec[1] then index = i - 1 end
  end
  if not index then fail(d, "the default of %s is not among its choices", name) end
  return { name = name, def = index, choices = table.concat(spec.choices, "|"), doc = spec.doc or name }
end

local function param(d, name, spec)
  if type(spec) ~= "table" or spec[1] == nil then
    fail(d, "params.%s must be { default, min =, max =, doc = }", name)
  end
  if spec.choices then return choice_param(d, name, spec) end
  if type(spec[1]) == "boolean" then
    return { name = name, def = spec[1] and 1 or 0, choices = "false=0|true=1", doc = spec.doc or name }
  end
  if type(spec[1]) ~= "number" then fail(d, "the default of %s must be a number, boolean or choice", name) end
  local lo, hi = spec.min or -math.huge, spec.max or math.huge
  if spec[1] < lo or spec[1] > hi then
    fail(d, "the default of %s is %g but must lie in [%g, %g]", name, spec[1], lo, hi)
  end
  return { name = name, def = spec[1], min = lo, max = hi, doc = spec.doc or name }
end

local MAX_PARAMS, MAX_LEARN = 16, 3 -- of one descriptor: core/include/trit/base.h, quant.h

local function param_list(d)
  local list = {}
  for _, name in ipairs(sorted(d.params or {})) do list[#list + 1] = param(d, name, d.params[name]) end
  for _, name in ipairs { "granularity", "ste" } do
    if d.params and d.params[name] then fail(d, "%s is there already", name) end
  end
  list[#list + 1] = { name = "granularity", def = 0, choices = "layer|filter",
    doc = "one fit a layer or a filter" }
  list[#list + 1] = { name = "ste", def = 0, choices = "own|identity|clipped|scaled|inv_scaled|annealed",
    doc = "gradient of the latent weights: the definition's own, or another" }
  if #list > MAX_PARAMS then fail(d, "has %d params, at most %d are possible", #list - 2, MAX_PARAMS - 2) end
  return list
end

local function learn_list(d, methods)
  local list, first = {}, {}
  for _, name in ipairs(sorted(d.learn or {})) do
    local spec = d.learn[name]
    if type(spec) ~= "table" or type(spec[1]) ~= "number" then
      fail(d, "learn.%s must be { first value, doc =, decay =, threshold = }", name)
    end
    if reserved[name] or methods[name] then
      fail(d, "learn.%s: quantizers have a field of that name", name)
    end
    list[#list + 1] = { name = name, doc = spec.doc or name, lr_scale = spec.lr_scale or 1,
      decay = spec.decay ~= false and not spec.threshold, threshold = spec.threshold or false }
    first[name] = spec[1]
  end
  if #list > MAX_LEARN then fail(d, "learns %d numbers a row, at most %d are possible", #list, MAX_LEARN) end
  return list, first
end

-- Trained numbers start at constants, so scaling the weights does not scale the result.
local function properties(d)
  local have = { permute = true, monotone = true, odd_codes = true, odd = not d.learn, scale = not d.learn }
  if d.forward then have = {} end
  for name, on in pairs(d.properties or {}) do
    if not property_bits[name] then fail(d, "there is no property %q", tostring(name)) end
    have[name] = on
    if name == "odd" and not on then have.odd_codes = false end
  end
  local bits = d.fit and CODED or 0
  for name, bit in pairs(property_bits) do
    if have[name] then bits = bits | bit end
  end
  return bits
end

local function options_text(options)
  local items = {}
  for _, name in ipairs(sorted(options)) do items[#items + 1] = name .. "=" .. tostring(options[name]) end
  return table.concat(items, ",")
end

local function case_list(d)
  local list = { { shapes = "[6,4,3,3]", options = "" },
    { shapes = "[5,24]", options = "granularity=filter" } }
  for _, options in ipairs(d.cases or {}) do
    list[#list + 1] = { shapes = "[5,24]", options = options_text(options) }
  end
  return list
end

local function check_name(d)
  for _, name in ipairs(core.quant_list()) do
    if name == d.name and not M.definitions[name] then fail(d, "a quantizer of that name is built in") end
  end
end

--- Returns the constructor; see the top of this file.
function M.define(quant, d, methods)
  if type(d) ~= "table" then core.raise("define: takes a table") end
  check_fields(d)
  check_name(d)
  local ste_kind = -1
  if d.fit and type(d.ste) ~= "function" then
    ste_kind = ste_kinds[d.ste or "identity"]
    if not ste_kind then
      fail(d, "ste is %q but must be identity, clip1, scaled or a function", tostring(d.ste))
    end
  end
  local learned, first = learn_list(d, methods)
  local doc = d.doc or "a quantizer defined in Lua"
  core.quant_define { name = d.name, doc = doc:sub(-1) == "\n" and doc or doc .. "\n", fit = d.fit,
    reset = d.reset, grad = d.grad, forward = d.forward, backward = d.backward, ste = d.ste,
    ste_kind = ste_kind, param_list = param_list(d), learn_list = learned, first = first,
    property_bits = properties(d), case_list = case_list(d) }
  M.definitions[d.name] = d
  if d.check ~= false then quant.check(d.name) end
  local function constructor(options) return quant.create(d.name, options) end
  quant[d.name] = constructor
  return constructor
end

return M
