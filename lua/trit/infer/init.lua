--- trit.infer: packed networks.
--
--   local model = trit.infer.export(net, { data = data })     -- what it computes, weights in 2 bits
--   model:save("net.trit")
--   local model = trit.infer.open("net.trit")
--   local runner = model:runner { batch = 64 }                 -- bits = 8: integer activations
--   local logits = runner:run(x)                               -- x [N,C,H,W] normalized
--
-- Any network made of the ops of trit.infer.supported() can be exported: it is run once and watched.

local core = require "trit.core"
require "trit" -- ops as methods of tensors
local fuse = require "trit.infer.fuse"
local layer = require "trit.infer.layer"
local mode = require "trit.nn.mode"
local trace = require "trit.infer.trace"
local weight = require "trit.nn.weight"

local infer = {}

infer.supported = fuse.supported

local WHITE = { mean = { 0, 0, 0 }, std = { 1, 1, 1 } }

local function class_names(net_classes, names)
  local out = {}
  for i = 1, net_classes do out[i] = names and names[i] or tostring(i - 1) end
  return out
end

--- A packed model of `net` (trit.nn).
-- options: data = an opened data set, or any table with shape {C,H,W}, mean, std, class_names;
-- name; archive = true keeps codes in base 3.  Errors: an op that cannot be packed.
function infer.export(net, options)
  local data = options.data
  if not data or not data.shape then core.raise("export: needs data = { shape = {C,H,W}, ... }") end
  local shape = data.shape
  local watched = trace.run(net, shape)
  local nodes, why = fuse.nodes(watched, shape, core.tensor)
  if not nodes then core.raise("export: " .. why) end
  local side = math.min(shape[2], shape[3])
  local resize = data.options and math.tointeger(tonumber(data.options.resize)) or 0
  return core.model_encode { name = options.name or rawget(net, "model_name") or "network",
    C = shape[1], H = shape[2], W = shape[3], mean = data.mean or WHITE.mean, std = data.std or WHITE.std,
    resize = resize > 0 and resize or side >= 128 and math.floor(side / 0.875 + 0.5) or side,
    class_names = class_names(nodes[#nodes].K, data.class_names), archive = options.archive,
    nodes = nodes }
end

--- Open a packed model; nil and a sentence.
function infer.open(path) return core.model_open(path) end

--- A model with the ranges of its values over up to `count` images of `batches` in it, for integer
-- activations.  archive as in export.
function infer.calibrate(model, count, archive, ...)
  local runner <close> = model:runner { batch = 32 }
  runner:observe()
  local seen = 0
  for x in ... do
    runner:run(x)
    seen = seen + x:shape()[1]
    if seen >= count then break end
  end
  return runner:calibrated(archive)
end

--- Bits of activations where nobody says: the fastest that cost at most 0.2 points of top-1 on every
-- network measured (experiments/bench/README.md), which 7 do not; 0, the float path, without calibration.
function infer.default_bits(facts) return facts.calibrated and 8 or 0 end

--- Accuracy of a runner, as trit.evaluate.
function infer.evaluate(runner, ...)
  return require("trit.train").score(function(x) return runner:run(x) end, ...)
end

--- Is the shape of a layer's codes, [K,C,R,S] or [K,C*R*S], that of the file's [K,C,R,S]?
local function same_shape(theirs, mine)
  if #theirs == 2 then return theirs[1] == mine[1] and theirs[2] == mine[2] * mine[3] * mine[4] end
  for k = 1, 4 do
    if theirs[k] ~= mine[k] then return false end
  end
  return true
end

local function pack(module) return layer.pack(weight.effective(module), module) end

--- Why the codes of a node and those of the network's layer of its name cannot be compared; nil: they can.
local function mismatch(node, mine, module, planes)
  if not module then return "not in the network" end
  if not planes then return "not ternary in the network" end
  if #planes ~= node.planes then
    return ("%d planes in the file, %d in the network"):format(node.planes, #planes)
  end
  local theirs = planes[1].codes:shape()
  if not same_shape(theirs, mine) then
    return ("[%s] in the file, [%s] in the network"):format(table.concat(mine, ","),
      table.concat(theirs, ","))
  end
end

--- The row of the model's ternary node i.
local function compare_node(model, i, node, module)
  local row = { name = node.name, codes = node.weights * node.planes, differ = 0 }
  local packed = module and pack(module)
  row.why = mismatch(node, model:codes(i):shape(), module, packed and packed.planes)
  if row.why then
    row.differ = row.codes
    return row
  end
  for p, plane in ipairs(packed.planes) do
    local mine = model:codes(i, p)
    local theirs = plane.codes:reshape { shape = mine:shape() }
    row.differ = row.differ + node.weights - math.tointeger(core.ops.eq(mine, theirs):sum():item())
  end
  return row
end

--- The row of a layer that the file has no codes of; nil when it needs none.
local function lacking(name, module, in_file)
  local packed = pack(module)
  if packed and packed.weights then return nil end
  local codes = module.weight:numel() * (packed and #packed.planes or 1)
  return { name = name, codes = codes, differ = codes,
    why = in_file and "float in the file" or "not in the file" }
end

local function compared_rows(model, net)
  local modules, names, in_file, coded, rows = {}, {}, {}, {}, {}
  for name, module in net:quantizable() do
    name = name:gsub("%.?weight$", "")
    modules[name], names[#names + 1] = module, name
  end
  for i, node in ipairs(model:facts().nodes) do
    in_file[node.name] = true
    if node.planes > 0 then
      coded[node.name] = true
      rows[#rows + 1] = compare_node(model, i, node, modules[node.name])
    end
  end
  for _, name in ipairs(names) do
    if not coded[name] then rows[#rows + 1] = lacking(name, modules[name], in_file[name]) end
  end
  return rows
end

--- How many ternary codes of `model` differ from what `net` would use now.  Layers that only one of them has
-- codes of, or in another shape, differ wholly.
-- Returns { codes =, differ =, layers = { { name =, codes =, differ =, why = or nil }, ... } }.
function infer.compare_codes(model, net)
  local guard <close> = mode.evaluation(net) -- luacheck: ignore
  local result = { codes = 0, differ = 0, layers = compared_rows(model, net) }
  for _, row in ipairs(result.layers) do
    result.codes, result.differ = result.codes + row.codes, result.differ + row.differ
  end
  return result
end

local function finite(t) return core.ops.mul(t, 0):sum():item() == 0 end

--- Logits of both over batches: { count =, max_difference =, largest =, agree =, finite = { net =, model = },
-- top1 = { net =, model = } }; top-1 only when the batches bring labels.  One NaN makes max_difference NaN.
function infer.compare_logits(runner, net, ...)
  local out = { count = 0, max_difference = 0, largest = 0, agree = 0,
    finite = { net = true, model = true }, top1 = { net = 0, model = 0 } }
  local ops, labelled = core.ops, false
  local guard <close> = mode.evaluation(net) -- luacheck: ignore
  for x, y in ... do
    local a, b = net(x), runner:run(x)
    local d = a:max_difference(b)
    if d ~= d or d > out.max_difference then out.max_difference = d end
    out.finite.net, out.finite.model = out.finite.net and finite(a), out.finite.model and finite(b)
    out.largest = math.max(out.largest, a:abs():max():item())
    local ia = ops.argmax(a, { axis = -1 })
    out.agree = out.agree + ops.eq(ia, ops.argmax(b, { axis = -1 })):sum():item()
    out.count = out.count + x:shape()[1]
    if y then
      labelled = true
      out.top1.net = out.top1.net + ops.topk_correct(a, y, { k = 1 }):item()
      out.top1.model = out.top1.model + ops.topk_correct(b, y, { k = 1 }):item()
    end
  end
  local n = math.max(out.count, 1)
  out.agree = out.agree / n
  out.top1 = labelled and { net = out.top1.net / n, model = out.top1.model / n } or nil
  return out
end

return infer
