--- What a run file says about a training (/config), and in what two trainings differ.

local act = require "trit.act"
local core = require "trit.core"
local flat = require "trit.flat"
local json = require "trit.json"

local config = {}

-- Fields that do not change the numbers a run produces, or only tell of others.
local FREE = { threads = true, script = true, label = true, data = true, ["data_options.workers"] = true }
-- Fields that may change their last bits: worth a word, no reason to refuse.
local MACHINE = { cpu = true, isa = true, version = true }

local function describe(thing) return thing and thing.describe and thing:describe() or nil end

--- The configuration of a training: o, the options of trit.train; run, what it made of them.
function config.of(o, run, context)
  local layers = {}
  for name, m in o.model:quantizable() do
    local q, a = rawget(m, "quantizer"), act.of(m)
    layers[#layers + 1] = { name = name, quantizer = q and q.name or "float", options = q and q.options,
      activation = a and { name = a.descriptor.name, options = a.options } }
  end
  local ours = getmetatable(o.data) and getmetatable(o.data).__name == "trit.data"
  local all = { script = context.script, params = context.params, label = o.label,
    model = rawget(o.model, "model_name") or o.model.kind, epochs = o.epochs, layers = layers,
    quantizer = layers[1] and layers[#layers].quantizer, schedule_mode = run.mode, version = core.version,
    cpu = core.cpu(), isa = core.isa(), threads = core.threads(), data = describe(o.data),
    data_spec = ours and o.data.spec or nil, data_options = ours and o.data.options or nil,
    data_augment = ours and o.data.augment or nil, data_checksum = ours and o.data:checksum() or nil,
    optimizer = describe(o.optimizer), threshold_optimizer = describe(run.threshold_optimizer),
    schedule = describe(o.schedule), bn_first_pass = o.bn_first_pass, accumulate = o.accumulate,
    clip_norm = o.clip_norm, label_smoothing = o.label_smoothing, max_steps = o.max_steps,
    histogram_every = o.histogram_every, loss = o.loss and "of the script" or "cross_entropy" }
  for k, v in pairs(require("trit.trained").record(o.model, o.data)) do all[k] = v end
  for k, v in pairs(o.config or {}) do all[k] = v end
  return all
end

-- As it comes back from a file.
local function stored(c) return flat.map(assert(json.decode(json.encode(c)))) end

local function no_value(text) return text:match("^%a+: 0x%x+$") or text:match("^builtin: %x+$") end

--- Compare the configuration of a run file with that of the present training.  Returns a sentence
-- "epochs is 6 but was 5; ..." or nil, and the same for what may only change the last bits.
function config.differences(before, now)
  local a, b, names = flat.map(before), stored(now), {}
  for name in pairs(a) do names[#names + 1] = name end
  for name in pairs(b) do
    if a[name] == nil then names[#names + 1] = name end
  end
  table.sort(names)
  local found, machine, told = {}, {}, {}
  for _, name in ipairs(names) do
    local old, new = a[name] or "not set", b[name] or "not set"
    if old ~= new and not FREE[name] and not (no_value(old) or no_value(new)) then
      local list = MACHINE[name] and machine or found
      local key = ("%s is %s but was %s"):format(name:match("[^.]*$"), new, old)
      if not told[key] then list[#list + 1] = ("%s is %s but was %s"):format(name, new, old) end
      told[key] = true -- epochs are an option of the schedule too, init one of every layer
    end
  end
  return found[1] and table.concat(found, "; "), machine[1] and table.concat(machine, "; ")
end

return config
