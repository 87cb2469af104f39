--- trit import FILE -o MODEL --model NAME: weights in the format safetensors as a packed model.

local import = { name = "import", group = "model", summary = "make a packed model of a safetensors file" }

import.epilog = "Names of tensors are torchvision's; trit summary --list names the networks.  Classes\n" ..
  "and channels are read off the weights.  Files that trit export wrote say which network they hold.\n" ..
  "--data gives names of classes, the normalisation, and images to calibrate with for --bits 8."

function import.setup(parser)
  parser:argument("file", "weights"):argname("FILE")
  parser:option("-o --out", "the packed model to write"):argname("MODEL")
  parser:option("--model", "the network"):argname("NAME")
  parser:option("--size", "height and width of an image"):argname("N"):convert(math.tointeger)
  parser:option("--data", "set the network is for"):argname("SPEC")
  parser:option("--mean", "of the normalisation, one number a channel: 0.485,0.456,0.406"):argname("LIST")
  parser:option("--std", "of the normalisation"):argname("LIST")
  require("trit.infer.write").setup(parser)
end

--- "0.5,0.25" -> { 0.5, 0.25 }, one for each channel.
local function numbers(what, text, channels)
  local list = {}
  for word in text:gmatch("[^,]+") do list[#list + 1] = tonumber(word) or error { exit = 2,
    message = ("--%s takes numbers with commas between, not %q"):format(what, text) } end
  if #list ~= channels then
    error { exit = 2, message = ("--%s has %d numbers for %d channels"):format(what, #list, channels) }
  end
  return list
end

--- Which network: what the file says, unless --model names another; channels and classes of the
-- weights.
local function config_of(f, args, tensors)
  local models, json = require "trit.models", require "trit.json"
  local told = f.metadata.trit and json.decode(f.metadata.trit) or {}
  if told.model and (not args.model or args.model == told.model) then
    if args.size and told.model_options then told.model_options.size = args.size end
    return told
  end
  if not args.model then error { exit = 2, message = "which network? give --model NAME" } end
  local first, last
  for name in models.create(args.model):quantizable() do first, last = first or name, name end
  local w, v = tensors[first], tensors[last]
  if not w or not v then
    return nil, ("it has no tensor %q; is it a %s?"):format(w and last or first, args.model)
  end
  return { model = args.model, model_options = { size = args.size, channels = w:shape()[2],
    classes = v:shape()[1] } }
end

--- What the model must know of images.
local function data_of(net, told, args)
  local shape = rawget(net, "input_shape")
  if args.data then
    return require("trit.data").open(args.data, { batch = 32, size = shape[2],
      mean = args.mean and numbers("mean", args.mean, shape[1]) or told.mean,
      std = args.std and numbers("std", args.std, shape[1]) or told.std })
  end
  return { shape = shape, class_names = told.class_names,
    mean = args.mean and numbers("mean", args.mean, shape[1]) or told.mean,
    std = args.std and numbers("std", args.std, shape[1]) or told.std }
end

function import.run(args)
  if not args.out then return 2, "where to? give -o MODEL" end
  local f <close>, why = require("trit.safetensors").open(args.file)
  if not f then
    local packed = require("trit.infer").open(args.file)
    return nil, packed and ("'%s' is a packed model already"):format(args.file) or why
  end
  local tensors = {}
  for _, name in ipairs(f:names()) do
    local t, reason = f:read(name)
    if not t then return nil, reason end
    tensors[name] = t
  end
  local config, fault = config_of(f, args, tensors)
  if not config then return nil, ("'%s': %s"):format(args.file, fault) end
  local net, reason = require("trit.trained").make(config, tensors, config.counters)
  if not net then return nil, ("'%s': %s"):format(args.file, reason) end
  return require("trit.infer.write").write(net, data_of(net, config.dataset or {}, args), args)
end

return import
