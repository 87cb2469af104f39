--- trit.summary(net [, { input = { C, H, W } }]): what a network costs, layer by layer.
--
--   local s = trit.summary(trit.models.resnet20 {})
--   s.total.macs.float, s.total.parameters, s.total.bytes.packed
--
-- s = { model, input, layers = { { name, kind, input, output, parameters, macs, weights, bits,
--       bytes = { float, packed, archive } }, ... },
--       total = { parameters, weights = { float =, ternary =, ... }, macs = { float =, ternary =, ... },
--       bits, bytes } }
--
-- A layer is a module with tensors of its own.  Shapes are those of one image in evaluation; a layer
-- that evaluation passes by (an auxiliary head) has none and costs no multiplications.  Multiplications
-- are counted of convolutions and linear layers, by kind of the weights: float, ternary (codes of 2
-- bits), binary (1 bit) or "n bit"; once per term of a sum.  bits: of one weight in memory, scales
-- included.  bytes: everything in float32; with codes packed, each output channel beginning a byte,
-- scales and all the rest in float32; as packed but ternary codes five in a byte (archive).

local core = require "trit.core"

local M = {}

local FLOAT, BYTE = 4, 8   -- bytes of a number, bits of a byte
local ARCHIVE = 5          -- ternary codes in a byte
local KINDS = { "binary", "ternary" } -- by bits of a code

local function sum(entries)
  local n = 0
  for _, e in ipairs(entries) do n = n + e.value:numel() end
  return n
end

--- What a quantizer makes of a layer: { terms, scales (numbers), width (bits of a code), bits, kind }; nil
-- for a float layer.
local function coded(m)
  local q = rawget(m, "quantizer")
  if not q then return nil end
  local old = core.grad_enabled(false)
  q(m.weight)
  core.grad_enabled(old)
  local shape, bits = q:scale():shape(), q:bits()
  local t = { terms = shape[2] or 1, scales = q:scale():numel() * q.scales_per_row, bits = bits }
  local codes = bits - BYTE * FLOAT * t.scales / m.weight:numel()
  t.width = math.max(1, math.floor(codes / t.terms + 0.5))
  t.kind = KINDS[t.width] or ("%d bit"):format(t.width)
  return t
end

local function bytes_of(m, t)
  local all = FLOAT * (sum(m._params) + sum(m._buffers))
  local bytes = { float = all, packed = all, archive = all }
  if not t then return bytes end
  local shape, n = m.weight:shape(), m.weight:numel()
  local length, rows = n // shape[1], t.terms * shape[1]
  local rest = all - FLOAT * n + FLOAT * t.scales
  bytes.packed = rest + rows * ((length * t.width + BYTE - 1) // BYTE)
  bytes.archive = t.kind == "ternary" and rest + rows * ((length + ARCHIVE - 1) // ARCHIVE) or bytes.packed
  return bytes
end

--- Multiplications of one image: every output is a sum over one row of the weight.
local function macs_of(m, output, t)
  if not m.set_quantizer or not output then return 0 end
  local shape, outputs = m.weight:shape(), 1
  for _, d in ipairs(output) do outputs = outputs * d end
  return outputs * (m.weight:numel() // shape[1]) * (t and t.terms or 1)
end

local function describe(name, m, shapes)
  local t = coded(m)
  local seen = shapes[m] or {}
  return { name = name, kind = m.kind, input = seen.input, output = seen.output, parameters = sum(m._params),
    weight_count = m.set_quantizer and m.weight:numel() or 0, macs = macs_of(m, seen.output, t),
    weights = t and t.kind or "float", bits = t and t.bits or BYTE * FLOAT, bytes = bytes_of(m, t) }
end

local function without_batch(t)
  local s = t:shape()
  table.remove(s, 1)
  return s
end

local restore = {
  __close = function(r)
    for m, before in pairs(r.before) do rawset(m, "forward", before or nil) end
    core.grad_enabled(r.old)
    if r.training then r.model:train() end
  end,
}

--- Shapes that pass through the layers: module -> { input =, output = }.
local function watch(model, layers, input)
  local shapes, before = {}, {} -- a layer may have a forward of its own: its quantizer of activations
  local guard <close> = setmetatable({ before = before, model = model, training = model.training,
    old = core.grad_enabled(false) }, restore) -- luacheck: ignore guard
  for _, m in ipairs(layers) do
    before[m] = rawget(m, "forward") or false
    local forward = m.forward
    rawset(m, "forward", function(self, x, ...)
      local y = forward(self, x, ...)
      shapes[self] = { input = without_batch(x), output = without_batch(y) }
      return y
    end)
  end
  model:eval()
  model(core.zeros { 1, table.unpack(input) })
  return shapes
end

local function total_of(layers)
  local total = { parameters = 0, macs = { float = 0, ternary = 0 }, weights = { float = 0, ternary = 0 },
    bytes = { float = 0, packed = 0, archive = 0 } }
  local bits, count = 0, 0
  for _, l in ipairs(layers) do
    total.parameters = total.parameters + l.parameters
    total.macs[l.weights] = (total.macs[l.weights] or 0) + l.macs
    total.weights[l.weights] = (total.weights[l.weights] or 0) + l.weight_count
    for form, n in pairs(l.bytes) do total.bytes[form] = total.bytes[form] + n end
    bits, count = bits + l.bits * l.weight_count, count + l.weight_count
  end
  total.bits = count > 0 and bits / count or BYTE * FLOAT
  return total
end

function M.summary(model, o)
  local input = o and o.input or rawget(model, "input_shape")
  if not input then core.raise("summary: the model has no input_shape: give { input = { C, H, W } }") end
  local names, list = {}, {}
  for name, m in model:named_modules() do
    if #m._params + #m._buffers > 0 then
      names[#names + 1], list[#list + 1] = name, m
    end
  end
  local shapes, layers = watch(model, list, input), {}
  for i, m in ipairs(list) do layers[i] = describe(names[i], m, shapes) end
  return { model = rawget(model, "model_name") or model.kind, input = input, layers = layers,
    total = total_of(layers) }
end

return M
