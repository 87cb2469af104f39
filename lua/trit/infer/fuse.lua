--- A trace becomes the nodes of a packed file: batch norm folds into the convolution before it, the
-- residual sum and the ReLU move into the convolution that feeds them.
--
-- While this runs a value is { node = its maker or nil for the input, shape = {C,H,W}, uses =,
-- flat = true when the net flattened it }.

local layer = require "trit.infer.layer"

local fuse = {}

local INF = math.huge

local function refuse(fmt, ...) error({ export = fmt:format(...) }, 0) end

local State = {}
State.__index = State

local function numbers(t) return t and t:totable() end

--- The value behind operand i of a record.
function State:value(record, i)
  local t = record.inputs[i]
  local v = t and self.values[t]
  if not v then
    refuse("op %s works on a tensor that does not come from the input; such a graph cannot be packed",
      record.op)
  end
  return v
end

function State:image(record, i)
  local v = self:value(record, i)
  if v.flat then refuse("op %s works on flattened images; only linear can be packed there", record.op) end
  return v
end

function State:bind(record, node, shape, extra)
  local v = { node = node, shape = shape, uses = self.uses[record.out] or 0 }
  for k, x in pairs(extra or {}) do v[k] = x end
  self.values[record.out] = v
end

function State:add(node)
  self.nodes[#self.nodes + 1] = node
  return node
end

--- Node `n` becomes the last to run; its only user is the op at hand.
function State:to_end(n)
  for i, other in ipairs(self.nodes) do
    if other == n then
      table.remove(self.nodes, i)
      break
    end
  end
  return self:add(n)
end

--- May what follows value `v` be done by its maker?
local function open_end(v, with_sum)
  local n = v.node
  return n and v.uses == 1 and not n.clamp and (n.kind == "conv" or n.kind == "pointwise")
    and (with_sum or not n.b)
end

local function new_pointwise(state, v, name)
  return state:add { kind = "pointwise", a = v, K = v.shape[1], name = name }
end

local function pair(v) if type(v) == "table" then return v[1], v[2] or v[1] end return v, v end

local ops = {} -- name -> function(state, record)

local function weights_into(node, state, tensor, shape)
  local known = state.layers[tensor]
  local packed, why = layer.pack(tensor, known and known.module)
  if not packed then refuse("%s: %s; only such can be packed", known.name, why) end
  local function fit(t) return t:reshape { shape = shape } end
  if packed.planes then
    node.planes, node.scales = {}, packed.scales
    for i, p in ipairs(packed.planes) do
      node.planes[i] = { codes = fit(p.codes), scale = p.scale, scale_neg = p.scale_neg }
    end
  else
    node.weights = fit(packed.weights)
  end
  node.name = known and known.name:gsub("%.?weight$", "") or node.name
end

function ops.conv2d(state, record)
  local v, w, o = state:image(record, 1), record.inputs[2], record.options
  local s = w:shape()
  local node = { kind = "conv", a = v, K = s[1], R = s[3], S = s[4], groups = math.tointeger(o.groups),
    name = "conv" .. #state.nodes, bias = numbers(record.inputs[3]) }
  node.stride_h, node.stride_w = pair(o.stride)
  node.pad_h, node.pad_w = pair(o.padding)
  node.dil_h, node.dil_w = pair(o.dilation)
  weights_into(node, state, w, s)
  state:bind(record, state:add(node), { record.shape[2], record.shape[3], record.shape[4] })
end

function ops.linear(state, record)
  local v, w = state:value(record, 1), record.inputs[2]
  local s = w:shape()
  local c, h, width = table.unpack(v.shape) -- a convolution whose kernel covers the image
  if c * h * width ~= s[2] then refuse("op linear takes %d numbers of [%d,%d,%d]", s[2], c, h, width) end
  local node = { kind = "conv", a = v, K = s[1], R = h, S = width, name = "linear" .. #state.nodes,
    bias = numbers(record.inputs[3]) }
  weights_into(node, state, w, { s[1], c, h, width })
  state:bind(record, state:add(node), { s[1], 1, 1 })
end

function ops.batch_norm(state, record)
  if record.options.training then refuse("batch_norm uses the statistics of the batch") end
  local v = state:image(record, 1)
  local weight, bias, mean, var = numbers(record.inputs[2]), numbers(record.inputs[3]),
    numbers(record.inputs[4]), numbers(record.inputs[5])
  local node = open_end(v) and v.node or new_pointwise(state, v, "batch_norm" .. #state.nodes)
  local gain, shift = {}, {}
  for k = 1, #mean do
    local g = (weight and weight[k] or 1) / math.sqrt(var[k] + record.options.eps)
    gain[k] = g * (node.gain and node.gain[k] or 1)
    shift[k] = g * ((node.bias and node.bias[k] or 0) - mean[k]) + (bias and bias[k] or 0)
  end
  node.gain, node.bias = gain, shift
  state:bind(record, node, v.shape)
end

local function clamp(lo, hi)
  return function(state, record)
    local v = state:value(record, 1)
    local low, high = lo or record.options.min, hi or record.options.max
    local node = open_end(v, true) and v.node or new_pointwise(state, v, record.op .. #state.nodes)
    node.clamp = { low, high }
    state:bind(record, node, v.shape, { flat = v.flat })
  end
end
ops.relu, ops.relu6, ops.hardtanh, ops.clamp = clamp(0, INF), clamp(0, 6), clamp(), clamp()

function ops.add(state, record)
  local a, b = state:image(record, 1), state:image(record, 2)
  for k = 1, 3 do
    if a.shape[k] ~= b.shape[k] then refuse("op add of operands with different shapes cannot be packed") end
  end
  if not open_end(a) and open_end(b) then a, b = b, a end
  local node
  if open_end(a) and a ~= b then
    node = state:to_end(a.node)
  else
    node = new_pointwise(state, a, "add" .. #state.nodes)
  end
  node.b = b
  state:bind(record, node, a.shape)
end

local function pool(kind)
  return function(state, record)
    local v, o = state:image(record, 1), record.options
    local node = { kind = kind, a = v, K = v.shape[1], name = kind .. #state.nodes,
      count_pad = o.count_include_pad }
    node.R, node.S = pair(o.kernel)
    node.stride_h, node.stride_w = pair(o.stride)
    if node.stride_h == 0 then node.stride_h = node.R end
    if node.stride_w == 0 then node.stride_w = node.S end
    node.pad_h, node.pad_w = pair(o.padding)
    state:bind(record, state:add(node), { record.shape[2], record.shape[3], record.shape[4] })
  end
end
ops.max_pool, ops.avg_pool = pool("max_pool"), pool("avg_pool")

function ops.global_avg_pool(state, record)
  local v = state:image(record, 1)
  local node = { kind = "avg_pool", a = v, K = v.shape[1], R = v.shape[2], S = v.shape[3],
    name = "global_avg_pool" }
  state:bind(record, state:add(node), { v.shape[1], 1, 1 })
end

function ops.shortcut_a(state, record)
  local v, stride = state:image(record, 1), record.options.stride
  local node = { kind = "shortcut", a = v, K = record.shape[2], stride_h = stride, stride_w = stride,
    name = "shortcut" .. #state.nodes }
  state:bind(record, state:add(node), { record.shape[2], record.shape[3], record.shape[4] })
end

function ops.flatten(state, record)
  local v = state:value(record, 1)
  local n = v.shape[1] * v.shape[2] * v.shape[3]
  if #record.shape ~= 2 or record.shape[2] ~= n then
    refuse("op %s to another shape than one row per image cannot be packed", record.op)
  end
  state:bind(record, v.node, v.shape, { flat = v.shape[2] * v.shape[3] > 1 })
  if v.uses > 1 then state.values[record.out].uses = 2 end -- what follows is not the maker's to do
end
ops.reshape = ops.flatten

--- Names of the ops that can be packed, sorted.
function fuse.supported()
  local list = {}
  for name in pairs(ops) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function count_uses(t)
  local made, uses = { [t.input] = true }, {}
  for _, record in ipairs(t.records) do
    made[record.out] = true
    for i = 1, record.inputs.n do
      local x = record.inputs[i]
      if x and made[x] then uses[x] = (uses[x] or 0) + 1 end
    end
  end
  uses[t.output] = (uses[t.output] or 0) + 1
  return uses
end

--- Nodes that the result needs, in order.
local function needed(nodes, last)
  local wanted, list = { [last] = true }, {}
  for i = #nodes, 1, -1 do
    local n = nodes[i]
    if wanted[n] then
      table.insert(list, 1, n)
      if n.a.node then wanted[n.a.node] = true end
      if n.b and n.b.node then wanted[n.b.node] = true end
    end
  end
  return list
end

local INTEGERS = { "R", "S", "stride_h", "stride_w", "pad_h", "pad_w", "dil_h", "dil_w", "groups", "K" }

--- Values become numbers, vectors tensors.
local function number_all(nodes, tensor)
  local number = {}
  for i, n in ipairs(nodes) do number[n] = i end
  for _, n in ipairs(nodes) do
    n.a = n.a.node and number[n.a.node] or 0
    n.b = n.b and (n.b.node and number[n.b.node] or 0) or nil
    n.gain, n.bias = n.gain and tensor(n.gain), n.bias and tensor(n.bias)
    for _, field in ipairs(INTEGERS) do n[field] = n[field] and math.tointeger(n[field]) end
  end
  return nodes
end

--- trace -> list of nodes for core.model_encode; nil and a sentence when an op cannot be packed.
function fuse.nodes(t, shape, tensor)
  local state = setmetatable({ nodes = {}, values = {}, uses = count_uses(t), layers = t.layers }, State)
  state.values[t.input] = { shape = shape, uses = state.uses[t.input] or 0 }
  local ok, why = pcall(function()
    for _, record in ipairs(t.records) do
      local from_input = false
      for i = 1, record.inputs.n do
        from_input = from_input or record.inputs[i] and state.values[record.inputs[i]] ~= nil
      end
      local handler = ops[record.op]
      if not handler and from_input then
        refuse("op %s cannot be packed; possible are %s", record.op, table.concat(fuse.supported(), ", "))
      end
      if from_input then handler(state, record) end
    end
    local out = state.values[t.output]
    if not out or not out.node then refuse("the result does not come from the input by ops") end
    return number_all(needed(state.nodes, out.node), tensor)
  end)
  if ok then return why end
  if type(why) == "table" and why.export then return nil, why.export end
  error(why, 0)
end

return fuse
