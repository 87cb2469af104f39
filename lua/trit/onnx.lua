--- trit.onnx: networks as ONNX models.
--
--   assert(trit.onnx.save("net.onnx", net))                         -- float weights, runs everywhere
--   assert(trit.onnx.save("net.onnx", net, { weights = "int8" }))   -- ternary layers as codes in int8
--   assert(trit.onnx.save("net.onnx", net, { weights = "int2" }))   -- in two bits: opset 25, IR 13
--
-- options: weights = "float" | "int8" | "int2"; input = { C, H, W } (default: the network's).  The network
-- is run once in evaluation mode and watched; an op ONNX has no word for here is a sentence.  The model
-- takes "input" [N,C,H,W] and gives "logits"; constants have the names of the state_dict.
--
-- A ternary weight is DequantizeLinear(codes, scale), scale one number or one for each output channel;
-- terms of an expansion, and sides of different scale, are added.

local core = require "trit.core"
local layer = require "trit.infer.layer"
local trace = require "trit.infer.trace"
local wholefile = require "trit.wholefile"

local onnx = {}

local FORMS = { -- weights -> IR version, opset, element type of codes
  float = { ir = 8, opset = 17 }, int8 = { ir = 8, opset = 17, code = "int8", bytes = "i8" },
  int2 = { ir = 13, opset = 25, code = "int2", bytes = "i2" },
}

local function refuse(fmt, ...) error({ onnx = fmt:format(...) }, 0) end

local State = {}
State.__index = State

function State:unique(base)
  local name, k = base, 1
  while self.used[name] do
    k = k + 1
    name = base .. "_" .. k
  end
  self.used[name] = true
  return name
end

--- A constant of float numbers; the name under which it is used.
function State:floats(name, t)
  name = self:unique(name)
  self.model:tensor(name, "float", t:shape(), core.to_bytes(t, "f32"))
  return name
end

function State:integers(name, list)
  name = self:unique(name)
  self.model:tensor(name, "int64", { #list }, string.pack("<" .. ("i8"):rep(#list), table.unpack(list)))
  return name
end

function State:number(name, v) return self:floats(name, core.tensor(v)) end

--- A node with one result; attributes: name -> { kind, value }.
function State:node(op, inputs, attributes, result)
  local y = self:unique(result or op:lower())
  self.model:node(op, y, inputs, { y })
  for _, a in ipairs(attributes or {}) do self.model[a[2]](self.model, a[1], a[3]) end
  return y
end

local function dequantized(s, name, codes, scale)
  local form = FORMS[s.form]
  local q = s:unique(name .. ".codes")
  s.model:tensor(q, form.code, codes:shape(), core.to_bytes(codes, form.bytes))
  local one = scale:numel() == 1
  if one then scale = core.ops.reshape(scale, { shape = {} }) end
  return s:node("DequantizeLinear", { q, s:floats(name .. ".scale", scale) },
    not one and { { "axis", "int", 0 } } or nil, name)
end

--- Codes and scale of each addend of a ternary weight.
local function addends(planes)
  local list, ops = {}, core.ops
  for _, p in ipairs(planes) do
    if p.scale_neg then
      list[#list + 1] = { ops.relu(p.codes), p.scale }
      list[#list + 1] = { ops.neg(ops.relu(ops.neg(p.codes))), p.scale_neg }
    else
      list[#list + 1] = { p.codes, p.scale }
    end
  end
  return list
end

--- The name of a layer's weight, made of codes where it has some.
function State:weight(t)
  local known = self.layers[t]
  local name = known and known.name or "weight"
  if self.form == "float" or not known then return self:floats(name, t) end
  local packed, why = layer.pack(t, known.module)
  if not packed then refuse("%s: %s; weights = \"float\" takes them", name, why) end
  if not packed.planes then return self:floats(name, t) end
  local sum
  for _, a in ipairs(addends(packed.planes)) do
    local part = dequantized(self, name, a[1], a[2])
    sum = sum and self:node("Add", { sum, part }, nil, name) or part
  end
  return sum
end

--- The name of operand i: a value made before, or a constant.
function State:operand(record, i)
  local t = record.inputs[i]
  if not t then return "" end
  if not self.values[t] then self.values[t] = self:floats(self.names[t] or "constant", t) end
  return self.values[t]
end

local function pair(v)
  local a, b = v, v
  if type(v) == "table" then a, b = v[1], v[2] or v[1] end
  return math.tointeger(a), math.tointeger(b)
end

local function pads(v)
  local h, w = pair(v)
  return { "pads", "ints", { h, w, h, w } }
end

local function ints(name, v) return { name, "ints", { pair(v) } } end

local function on(v) return v == true or v == 1 end

-- ------------------------------------------------------------------------- one function for each op

local ops = {} -- name -> function(state, record) -> name of the result

local plain = { relu = "Relu", add = "Add", sub = "Sub", mul = "Mul", div = "Div", neg = "Neg", abs = "Abs",
  exp = "Exp", log = "Log", sqrt = "Sqrt", sigmoid = "Sigmoid", tanh = "Tanh",
  global_avg_pool = "GlobalAveragePool" }

for name, op in pairs(plain) do
  ops[name] = function(s, r)
    local inputs = {}
    for i = 1, r.inputs.n do inputs[i] = s:operand(r, i) end
    local y = s:node(op, inputs)
    return name == "global_avg_pool" and s:node("Flatten", { y }, { { "axis", "int", 1 } }) or y
  end
end

local function with_bias(s, r, inputs)
  if r.inputs[3] then inputs[3] = s:operand(r, 3) end
  return inputs
end

function ops.conv2d(s, r)
  local o, shape = r.options, r.inputs[2]:shape()
  return s:node("Conv", with_bias(s, r, { s:operand(r, 1), s:weight(r.inputs[2]) }), {
    { "kernel_shape", "ints", { shape[3], shape[4] } }, ints("strides", o.stride), pads(o.padding),
    ints("dilations", o.dilation), { "group", "int", math.tointeger(o.groups) } })
end

function ops.linear(s, r)
  return s:node("Gemm", with_bias(s, r, { s:operand(r, 1), s:weight(r.inputs[2]) }),
    { { "transB", "int", 1 } })
end

function ops.batch_norm(s, r)
  if on(r.options.training) then refuse("batch_norm uses the statistics of the batch") end
  local inputs = {}
  for i = 1, 5 do inputs[i] = s:operand(r, i) end
  return s:node("BatchNormalization", inputs, { { "epsilon", "float", r.options.eps } })
end

local function clip(lo, hi)
  return function(s, r)
    local low, high = lo or r.options.min, hi or r.options.max
    return s:node("Clip", { s:operand(r, 1), s:number("low", low), s:number("high", high) })
  end
end
ops.relu6, ops.clamp, ops.hardtanh = clip(0, 6), clip(), clip()

local function window(o)
  local stride = { pair(o.stride) }
  local kernel = { pair(o.kernel) }
  for i = 1, 2 do
    if stride[i] == 0 then stride[i] = kernel[i] end
  end
  return { { "kernel_shape", "ints", kernel }, { "strides", "ints", stride }, pads(o.padding) }
end

function ops.max_pool(s, r) return s:node("MaxPool", { s:operand(r, 1) }, window(r.options)) end

function ops.avg_pool(s, r)
  local attributes = window(r.options)
  attributes[#attributes + 1] = { "count_include_pad", "int", on(r.options.count_include_pad) and 1 or 0 }
  return s:node("AveragePool", { s:operand(r, 1) }, attributes)
end

function ops.flatten(s, r)
  if #r.shape ~= 2 or r.shape[1] ~= 1 then refuse("%s to another shape than one row an image", r.op) end
  return s:node("Flatten", { s:operand(r, 1) }, { { "axis", "int", 1 } })
end
ops.reshape = ops.flatten

--- Ours count axes from 1, ONNX from 0; both count back from -1.
local function axis_of(o)
  local axis = math.tointeger(o.axis)
  return { "axis", "int", axis > 0 and axis - 1 or axis }
end

function ops.concat(s, r)
  local inputs = {}
  for i = 1, r.inputs.n do inputs[i] = s:operand(r, i) end
  return s:node("Concat", inputs, { axis_of(r.options) })
end

function ops.softmax(s, r) return s:node("Softmax", { s:operand(r, 1) }, { axis_of(r.options) }) end

function ops.shortcut_a(s, r)
  local stride, channels = math.tointeger(r.options.stride), s.shapes[r.inputs[1]][2]
  local x, extra, far = s:operand(r, 1), r.shape[2] - channels, math.maxinteger
  if stride > 1 then
    x = s:node("Slice", { x, s:integers("starts", { 0, 0 }), s:integers("ends", { far, far }),
      s:integers("axes", { 2, 3 }), s:integers("steps", { stride, stride }) })
  end
  if extra > 0 then x = s:node("Pad", { x, s:integers("pads", { 0, 0, 0, 0, 0, extra, 0, 0 }) }) end
  return x
end

--- Names of the ops that can be exported, sorted.
function onnx.supported()
  local list = {}
  for name in pairs(ops) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- ------------------------------------------------------------------------------------------ the model

--- Tensors of the network by identity.
local function names_of(net)
  local names = {}
  for name, t in pairs(net:state_dict()) do names[t] = name end
  return names
end

local function check(options)
  for key in pairs(options) do
    if key ~= "weights" and key ~= "input" then
      core.raise(("onnx: unknown option %q; known: input, weights"):format(tostring(key)))
    end
  end
  local form = options.weights or "float"
  if not FORMS[form] then
    core.raise(("onnx: option weights is %q but must be float, int8 or int2"):format(tostring(form)))
  end
  return form
end

local function build(net, form, shape)
  local watched = trace.run(net, shape)
  local name = rawget(net, "model_name") or net.kind
  local model <close>, why = core.onnx_model(FORMS[form].ir, FORMS[form].opset, name)
  if not model then refuse("%s", why:gsub("^onnx: ", "")) end
  local x = watched.input
  local s = setmetatable({ model = model, form = form, layers = watched.layers, names = names_of(net),
    values = { [x] = "input" }, shapes = { [x] = x:shape() }, used = { input = true, logits = true } }, State)
  model:value("input", "input", { -1, table.unpack(shape) })
  for _, r in ipairs(watched.records) do
    if not ops[r.op] then refuse("op %s cannot be written", r.op) end
    s.values[r.out], s.shapes[r.out] = ops[r.op](s, r), r.shape
  end
  local last = s.values[watched.output]
  if not last then refuse("the result is not made by an op") end
  model:node("Identity", "logits", { last }, { "logits" })
  local out = watched.output:shape()
  out[1] = -1
  model:value("output", "logits", out)
  return model:bytes()
end

--- The model's bytes, or nil and a sentence.
function onnx.encode(net, options)
  options = options or {}
  local form = check(options)
  local shape = options.input or rawget(net, "input_shape")
  if not shape then core.raise("onnx: the network has no input_shape: give input = { C, H, W }") end
  local old = core.grad_enabled(false)
  local ok, result = pcall(build, net, form, shape)
  core.grad_enabled(old)
  if ok then return result end
  if type(result) ~= "table" or not result.onnx then error(result, 0) end
  return nil, "onnx: " .. result.onnx
end

--- Write a model.  Returns true, or nil and a sentence.
function onnx.save(path, net, options)
  local bytes, why = onnx.encode(net, options)
  if not bytes then return nil, why end
  local ok, reason = wholefile.write(path, function(put) return put(bytes) end)
  if not ok then return nil, "onnx: " .. reason end
  return true
end

return onnx
