--- trit.trained: a trained network back from its run directory.
--
--     local net, config, dataset = trained.load("runs/one")          -- newest whole checkpoint
--     local net = trained.load("runs/one", { which = "best" })       -- best.h5
--     local data = trained.open(dataset, { batch = 256, limit = 1000 })
--
-- What a run must have stored, and trit.train stores (trained.record):
--
--   config.model, config.model_options   name and options of a network of trit.models
--   config.layers     { { name =, quantizer = "float" | name, options =, activation = { name =,
--                     options = } or nil }, ... } in the net's order
--   config.dataset    { spec, options, mean, std, classes, class_names, shape }: what trit.data.open
--                     needs, and the normalisation the weights were trained with
--   checkpoint        the net's state_dict, names as they are or under one group ("net/conv1.weight");
--                     where quantizers stood in their schedules, in meta.run.counters or, when a
--                     script saves it, meta.counters (net:counters_dict())
--
-- Without model_options the classes and channels are read off the weights, without dataset the set off
-- the description in config.data.  A quantizer defined in Lua must be defined in this process before its
-- runs are loaded.
local checkpoint = require "trit.checkpoint"
local core = require "trit.core"
local runfile = require "trit.runfile"

local trained = {}

local LOADER = { "size", "resize", "limit", "on_error" } -- options that say which images, and how

--- The part of a run's configuration that `load` and `open` need; trit.train adds it to config.
function trained.record(model, data)
  local out = { model_options = rawget(model, "model_options") }
  local meta = getmetatable(data)
  if type(meta) == "table" and meta.__name == "trit.data" then
    local options = {}
    for _, name in ipairs(LOADER) do options[name] = data.options[name] end
    out.dataset = { spec = data.spec, options = options, mean = data.mean, std = data.std,
      classes = data.classes, class_names = data.class_names, shape = data.shape }
  end
  return out
end

-- Options of the network: as stored, else as its first and last weight show.
local function options_of(config, tensors)
  if type(config.model_options) == "table" then return config.model_options end
  local layers = config.layers or {}
  local first = layers[1] and tensors[layers[1].name]
  local last = layers[1] and tensors[layers[#layers].name]
  if not first then return {} end
  return { classes = last:shape()[1], channels = first:shape()[2] }
end

local function defined_quantizers()
  local known = { float = true }
  for _, name in ipairs(require("trit.quant").list()) do known[name] = true end
  return known
end

-- The configuration and tensors with float layers in place of those whose quantizer is not defined here,
-- and a note about these, or nil.
local function with_unknown_as_float(config, state)
  local known, layers, taken, rest = defined_quantizers(), {}, {}, {}
  for name, tensor in pairs(state) do rest[name] = tensor end
  for i, layer in ipairs(config.layers or {}) do
    layers[i] = layer
    if not known[layer.quantizer or "float"] then
      taken[#taken + 1] = ("%s (%s, not defined here)"):format(layer.name, layer.quantizer)
      layers[i] = { name = layer.name, quantizer = "float", activation = layer.activation }
      local own = layer.name:gsub("weight$", "quantizer.")
      for name in pairs(state) do
        if name:sub(1, #own) == own then rest[name] = nil end
      end
    end
  end
  if #taken == 0 then return config, state end
  local changed = setmetatable({ layers = layers }, { __index = config })
  local verb = #taken == 1 and "is" or "are"
  return changed, rest, ("%s %s taken as float"):format(table.concat(taken, ", "), verb)
end

-- The quantizers of config.layers, given to the layers they name.
local function quantize(net, layers)
  local quant, act = require "trit.quant", require "trit.act"
  local known, by_name, place = defined_quantizers(), {}, {}
  for i, layer in ipairs(layers or {}) do by_name[layer.name], place[layer.name] = layer, i end
  for name, module in net:quantizable() do
    local layer = by_name[name]
    local kind, input = layer and layer.quantizer or "float", layer and layer.activation
    if input then act.attach(module, act[input.name](input.options), place[name]) end
    if kind ~= "float" then
      if not known[kind] then
        return nil, ("layer '%s' has the quantizer \"%s\", which is not defined here; load the run in a " ..
          "script that defines it, or scan its float weights with `trit scan --scale twn`"):format(name, kind)
      end
      module:set_quantizer(quant.create(kind, layer.options))
    end
  end
  act.rectify(net)
  return net
end

-- The network a configuration describes, with fresh weights.
local function build(config, tensors)
  local models, known = require "trit.models", false
  for _, name in ipairs(models.list()) do known = known or name == config.model end
  if not known then
    return nil, ("its network \"%s\" is not one of trit.models, so it cannot be made again")
      :format(tostring(config.model))
  end
  return quantize(models.create(config.model, options_of(config, tensors)), config.layers)
end

-- The group of a checkpoint that holds the net's tensors: "" or "net/", found by a name of the net.
local function prefix_of(tensors, name)
  if tensors[name] then return "" end
  local found
  for key in pairs(tensors) do
    local prefix = key:sub(1, -#name - 1)
    if prefix:match("/$") and key:sub(-#name) == name and (not found or #prefix < #found) then
      found = prefix
    end
  end
  return found
end

-- Tensors of the net by its own names, and those of its quantizers.
local function state_of(tensors, config)
  local layer = config.layers and config.layers[1]
  local prefix = layer and prefix_of(tensors, layer.name) or ""
  if prefix == "" then return tensors end
  local state = {}
  for key, tensor in pairs(tensors) do
    if key:sub(1, #prefix) == prefix then state[key:sub(#prefix + 1)] = tensor end
  end
  return state
end

-- The data set a configuration describes.
local function dataset_of(config)
  if type(config.dataset) == "table" then return config.dataset end
  local text = tostring(config.data or "")
  local function numbers(list)
    local out = {}
    for number in (list or ""):gmatch("[%d.e+-]+") do out[#out + 1] = tonumber(number) end
    return #out > 0 and out or nil
  end
  local mean, std = text:match("mean {([^}]*)} std {([^}]*)}")
  local c, h, w = text:match("batches of %d+ x (%d+)x(%d+)x(%d+)")
  return { spec = config.data_spec or text:match("^(.-): %d+ train"), mean = numbers(mean),
    std = numbers(std), shape = c and { tonumber(c), tonumber(h), tonumber(w) } }
end

--- The network of a configuration (see above: model, model_options, layers) with these tensors, in
-- evaluation mode; counters as of Module:counters_dict, or nil.  nil and a sentence when they do not fit.
function trained.make(config, state, counters)
  local made, net, reason = pcall(build, config, state)
  if not made or not net then return nil, tostring(made and reason or net) end
  if counters then net:counters_dict(counters) end
  for name in pairs(state) do
    local delayed = name:match("^(.*)%.quantizer%.woken$") -- the script alone knows how long
    local layer = delayed and net:find(delayed)
    local q = layer and rawget(layer, "quantizer")
    if q and q.start <= 0 then q.start = 1 end
  end
  local ok, failure = pcall(net.load_state_dict, net, state)
  if not ok then return nil, tostring(failure) end
  return net:eval()
end

--- A trained network.
-- path: run directory or run.h5.  options: which = "best" takes best.h5 instead of the newest
-- checkpoint; unknown = "float" takes layers whose quantizer is not defined here as float, not refuses them.
-- Returns the net in evaluation mode, the run's config, its dataset (for trained.open), and a note
-- about damaged checkpoints passed over and layers taken as float, or nil; or nil and a sentence.
function trained.load(path, options)
  local run, why = runfile.open(path)
  if not run then return nil, why end
  local function refuse(reason) return nil, ("cannot load '%s': %s"):format(run.dir, tostring(reason)) end
  local config, message = run:config()
  if not config then return refuse(message) end
  local saved, missing = checkpoint.load(run.dir, options and options.which)
  if not saved then return refuse(missing) end
  local meta, made_of, state, taken = saved.meta or {}, config, state_of(saved.tensors, config), nil
  if options and options.unknown == "float" then
    made_of, state, taken = with_unknown_as_float(config, state)
  end
  local net, reason = trained.make(made_of, state, meta.counters or meta.run and meta.run.counters)
  if not net then return refuse(reason) end
  local note = saved.note and taken and saved.note .. "; " .. taken or saved.note or taken
  return net, config, dataset_of(config), note
end

--- The data set of a run, normalised as in training and without augmentation.
-- changes: options of trit.data.open that differ (batch, limit, ...); spec: another set, which keeps the
-- normalisation and the image size of the run.
function trained.open(dataset, changes)
  local options, spec = { mean = dataset.mean, std = dataset.std }, dataset.spec
  for _, name in ipairs(LOADER) do options[name] = dataset.options and dataset.options[name] end
  for name, value in pairs(changes or {}) do
    if name == "spec" then
      spec = value
      if dataset.shape then options.size = dataset.shape[2] end
    else
      options[name] = value
    end
  end
  if not spec then
    core.raise("the run does not say which data it was trained on; name a data set")
  end
  return require("trit.data").open(spec, options)
end

return trained
