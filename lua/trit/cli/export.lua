--- trit export RUN -o FILE: a trained network as a packed model, or in an exchange format.

local export = { name = "export", group = "model", summary = "pack a trained network into one file" }

export.epilog = "trit: ternary weights take 2 bits each, batch norm is folded in, float layers stay\n" ..
  "float.  Ranges of activations over --calibrate training images go into the file, so that it also\n" ..
  "runs on integers (trit eval --bits 8).\n" ..
  "safetensors: all tensors of the network under torchvision's names; trit import takes them back.\n" ..
  "With --weights effective, weights are those that are used, w', and nothing of quantizers is kept.\n" ..
  "onnx: --weights int2 (the default of quantized networks) and int8 write ternary weights as codes,\n" ..
  "--weights float writes numbers, which runs everywhere."

local FORMATS = { "trit", "safetensors", "onnx" }

local formats = {} -- name -> function(net, config, dataset, args) -> 0, or nil and a sentence

function export.setup(parser)
  parser:argument("run", "run directory with a checkpoint"):argname("RUN")
  parser:option("-o --out", "the file to write"):argname("FILE")
  parser:option("--format", "trit (default), safetensors or onnx; else what FILE ends with"):choices(FORMATS)
  parser:option("--weights", "onnx: float, int8 or int2; safetensors: latent (default) or effective")
    :choices { "float", "int8", "int2", "latent", "effective" }
  parser:option("--data", "set for calibration and class names (default: the run's)"):argname("SPEC")
  parser:option("--checkpoint", "newest or best"):choices({ "newest", "best" }):default("newest")
  require("trit.infer.write").setup(parser)
end

function formats.trit(net, _, dataset, args)
  local data = require("trit.trained").open(dataset, { batch = 32, spec = args.data })
  return require("trit.infer.write").write(net, data, args)
end

local function written(args, kind)
  local bytes = require("lfs").attributes(args.out, "size")
  if args.json then
    print(require("trit.json").encode({ file = args.out, format = kind, bytes = bytes }, { indent = true }))
  else
    print(("%s: %s, %d bytes"):format(args.out, kind, bytes))
  end
  return 0
end

--- The state of a network with the weights it uses in place of the latent ones.
local function effective(net)
  local core, weight = require "trit.core", require "trit.nn.weight"
  local state, old = net:state_dict(), core.grad_enabled(false)
  for name in pairs(state) do
    if name:match("%.quantizer%.") or name:match("^quantizer%.") then state[name] = nil end
  end
  for name, m in net:quantizable() do state[name] = weight.effective(m):clone() end
  core.grad_enabled(old)
  return state
end

--- What the file says of layers: with effective weights they are float.
local function told_layers(layers, effect)
  local list = {}
  for i, l in ipairs(layers or {}) do
    list[i] = effect and { name = l.name, quantizer = "float", activation = l.activation } or l
  end
  return list
end

function formats.safetensors(net, config, dataset, args)
  local effect = args.weights == "effective"
  local told = { model = config.model, model_options = config.model_options, dataset = dataset,
    layers = told_layers(config.layers, effect), counters = not effect and net:counters_dict() or nil }
  local ok, why = require("trit.safetensors").save(args.out, effect and effective(net) or net:state_dict(),
    { metadata = { format = "pt", trit = require("trit.json").encode(told) } })
  if not ok then return nil, why end
  return written(args, "safetensors")
end

local function quantized(net)
  for _, m in net:quantizable() do
    if rawget(m, "quantizer") then return true end
  end
  return false
end

function formats.onnx(net, _, dataset, args)
  local form = args.weights or quantized(net) and "int2" or "float"
  local ok, why = require("trit.onnx").save(args.out, net, { weights = form, input = dataset.shape })
  if not ok then return nil, why end
  return written(args, "onnx")
end

local allowed = { trit = {}, safetensors = { latent = true, effective = true },
  onnx = { float = true, int8 = true, int2 = true } }

function export.run(args)
  if not args.out then return 2, "where to? give -o FILE" end
  local ending = args.out:match("%.(%w+)$")
  local format = args.format or formats[ending] and ending or "trit"
  if ending and not args.format and not formats[ending] then
    io.stderr:write((".%s is the ending of no format: it becomes a packed model; --format names others\n")
      :format(ending))
  end
  if args.weights and not allowed[format][args.weights] then
    return 2, ("--weights %s does not go with the format %s"):format(args.weights, format)
  end
  local net, config, dataset, note = require("trit.trained").load(args.run,
    { which = args.checkpoint == "best" and "best" or nil })
  if not net then return nil, config end
  if note then io.stderr:write(note .. "\n") end
  return formats[format](net, config, dataset, args)
end

return export
