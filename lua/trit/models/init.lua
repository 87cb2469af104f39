--- trit.models: networks by name.
--
--   local net = trit.models.resnet20 { classes = 10 }   -- also trit.models.create("resnet20", { ... })
--   trit.models.list()                                  -- all names, sorted
--   trit.models.info("resnet20")                        -- { name, family, doc, options }
--
-- A family is one file of this directory; all of them are found by their names.  It returns
--
--   { doc =, options = { name = { default, min =, max =, doc = } }, members = { name = row },
--     make = function(row, options) -> module }
--
-- A row is what tells one member from the next; row.defaults changes defaults of options.  Every
-- network takes classes, channels, size (of square images, pixels), seed and output_norm; their rows below
-- are completed by the family's.  A default's type is the option's type.

local core = require "trit.core"
local check_options = require("trit.options").check
local lfs = require "lfs"

local models = {}

local COMMON = {
  classes = { 10, min = 1, doc = "classes" },
  channels = { 3, min = 1, doc = "channels of an image" },
  size = { 32, min = 1, doc = "height and width of an image, pixels" },
  seed = { 0, min = 0, doc = "of the initial weights" },
  output_norm = { false, doc = "batch norm behind the last layer, where there is none" },
}

local here = debug.getinfo(1, "S").source:match("^@(.*)/") or "."

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

--- One option row: the common one, then the family's, then the member's default.
local function merged(name, family, member)
  local row = {}
  for _, source in ipairs { COMMON[name] or {}, family.options and family.options[name] or {} } do
    for k, v in pairs(source) do row[k] = v end
  end
  local default = member.defaults and member.defaults[name]
  if default ~= nil then row[1] = default end
  return row
end

local function describe(name, file, family, member)
  local options = {}
  for _, source in ipairs { COMMON, family.options or {} } do
    for option in pairs(source) do options[option] = options[option] or merged(option, family, member) end
  end
  return { name = name, family = file, doc = family.doc, options = options }
end

local known = {} -- name -> { info =, make = }

local function add_family(file)
  local family = require("trit.models." .. file)
  for name, member in pairs(family.members) do
    if known[name] then
      error(("models: %q is in %s.lua and in %s.lua"):format(name, known[name].info.family, file))
    end
    known[name] = { info = describe(name, file, family, member),
      make = function(o) return family.make(member, o) end }
  end
end

for file in lfs.dir(here) do
  local family = file:match("^([%w_]+)%.lua$")
  if family and family ~= "init" then add_family(family) end
end

local function find(name)
  if not known[name] then
    core.raise(("unknown model %q; known: %s"):format(tostring(name), table.concat(models.list(), ", ")))
  end
  return known[name]
end

local function fits(v, row)
  local kind = math.type(row[1]) or type(row[1])
  if kind == "integer" then return math.tointeger(v) ~= nil and type(v) == "number" end
  if kind == "float" then return type(v) == "number" and v == v end
  return type(v) == kind
end

local words = { integer = "a whole number", float = "a number", boolean = "true or false" }

local function check(name, option, v, row)
  local where = ("%s: option %s "):format(name, option)
  if not fits(v, row) then
    core.raise(("%stakes %s, not %s"):format(where, words[math.type(row[1]) or type(row[1])],
      type(v) == "string" and ("%q"):format(v) or tostring(v)))
  end
  if row.min and v < row.min or row.max and v > row.max then
    core.raise(("%sis %s but must lie in [%s, %s]"):format(where, v, row.min or "-inf", row.max or "inf"))
  end
  return math.type(row[1]) == "integer" and math.tointeger(v) or v
end

--- All options of a network: those given after a check, defaults for the rest.
local function complete(info, given)
  given = check_options(info.name, given, info.options)
  local o = {}
  for option, row in pairs(info.options) do
    o[option] = row[1]
    if given[option] ~= nil then o[option] = check(info.name, option, given[option], row) end
  end
  return o
end

--- Names of all networks, sorted.
function models.list() return sorted_keys(known) end

--- What is known about a network: { name, family, doc, options = { name = { default, min, max, doc } } }.
function models.info(name) return find(name).info end

-- The last layer with a weight, and whether a batch norm follows it.
local function last_layer(net)
  local last, normed
  for _, m in net:named_modules() do
    if m.set_quantizer then last, normed = m, false end
    normed = normed or m.kind == "batch_norm"
  end
  return last, normed
end

--- Put a batch norm behind the last layer of a network, unless there is one, as losses of margins want it
-- where that layer has no scale (binary weights, squared hinge).  Returns the network.
function models.norm_output(net)
  local last, normed = last_layer(net)
  if normed then return net end
  net.output_norm = require("trit.nn").batch_norm { last.weight:shape()[1] }
  local forward, options = net.forward, rawget(net, "model_options")
  rawset(net, "forward", function(self, ...)
    local logits, aux = forward(self, ...)
    return self.output_norm(logits), aux
  end)
  if options then options.output_norm = true end -- so that a run's network can be made again
  return net
end

--- models.create("resnet20", { classes = 10, seed = 1 }) -> module.  Besides its layers the module holds
-- model_name, model_options and input_shape = { channels, size, size }.
function models.create(name, options)
  local entry = find(name)
  local o = complete(entry.info, options)
  local net = entry.make(o)
  rawset(net, "model_name", name)
  rawset(net, "model_options", o)
  rawset(net, "input_shape", { o.channels, o.size, o.size })
  return o.output_norm and models.norm_output(net) or net
end

return setmetatable(models, {
  __index = function(_, name)
    find(name)
    return function(options) return models.create(name, options) end
  end,
})
