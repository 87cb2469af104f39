--- trit.trained: a trained network back from its run directory.
--
--     local net, config, dataset = trained.load("runs/one")       -- newest whole checkpoint
--     local data = trained.open(dataset, { batch = 256, limit = 1000 })
local checkpoint = require "trit.checkpoint"
local core = require "trit.core"
local runfile = require "trit.runfile"

local trained = {}

--- Options of the network: as stored, else read off the first and the last weight.
local function options_of(config, tensors)
  if type(config.model_options) == "table" then return config.model_options end
  local layers = config.layers or {}
  local first, last = layers[1], layers[#layers]
  local w, v = first and tensors[first.name], last and tensors[last.name]
  if not w or not v then return {} end
  local options = { classes = v:shape()[1] }
  if w:shape()[2] ~= 3 then options.channels = w:shape()[2] end
  return options
end

local function quantize(net, layers)
  local quant, by_name = require "trit.quant", {}
  for _, layer in ipairs(layers or {}) do by_name[layer.name] = layer end
  for name, module in net:quantizable() do
    local layer = by_name[name]
    if layer and layer.quantizer and layer.quantizer ~= "float" then
      module:set_quantizer(quant.create(layer.quantizer, layer.options))
    end
  end
end

--- What is needed to open the data again, from the description stored in the run.
local function dataset_of(config)
  if type(config.dataset) == "table" then return config.dataset end
  local text = tostring(config.data or "")
  local mean, std = text:match("mean {([^}]*)} std {([^}]*)}")
  local function numbers(list)
    local out = {}
    for number in (list or ""):gmatch("[%d.e+-]+") do out[#out + 1] = tonumber(number) end
    return #out > 0 and out or nil
  end
  local size = math.tointeger(tonumber(text:match("batches of %d+ x %d+x(%d+)x%d+")))
  return { spec = text:match("^(.-): %d+ train"), mean = numbers(mean), std = numbers(std),
    shape = size and { 3, size, size } }
end

--- A trained network in evaluation mode, the run's config and its dataset (for trained.open); nil
-- and a sentence when that is not possible.
function trained.load(path, options)
  local run, why = runfile.open(path)
  if not run then return nil, why end
  local function refuse(reason) return nil, ("cannot load '%s': %s"):format(run.dir, tostring(reason)) end
  local config, message = run:config()
  if not config then return refuse(message) end
  local saved, missing = checkpoint.load(run.dir, options and options.which)
  if not saved then return refuse(missing) end
  local ok, net = pcall(function()
    local made = require("trit.models").create(config.model, options_of(config, saved.tensors))
    quantize(made, config.layers)
    return made:load_state_dict(saved.tensors):eval()
  end)
  if not ok then return refuse(net) end
  return net, config, dataset_of(config), saved.note
end

--- The data set of a run, normalised as in training and without augmentation.  changes: options of
-- trit.data.open that differ; spec: another set.
function trained.open(dataset, changes)
  local options, spec = { mean = dataset.mean, std = dataset.std }, dataset.spec
  for name, value in pairs(changes or {}) do
    if name == "spec" then spec = value else options[name] = value end
  end
  if not spec then core.raise("the run does not say which data it was trained on; name a data set") end
  if changes and changes.spec and dataset.shape then options.size = dataset.shape[2] end
  return require("trit.data").open(spec, options)
end

return trained
