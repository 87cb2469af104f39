--- A point: a value for every option of the script, and the id that follows from them.
--
-- The id is the first 16 digits of the XXH3-128 of the canonical configuration: JSON with sorted keys
-- and shortest numbers, holding the hash of the script's text and all options, seed included.
local core = require "trit.core"
local json = require "trit.json"
local space = require "trit.sweep.space"

local point = {}

local ID_CHARS = 16

--- The option whose values are replicates of one configuration.
point.SEED = "seed"

--- All values of a point: `chosen`, and the defaults of the other declared options.
function point.values(declared, chosen)
  local values = {}
  for name, row in pairs(declared) do
    local v = chosen[name]
    if v == nil then v = row[1] end
    values[name] = type(v) == "number" and space.typed(v, row) or v
  end
  return values
end

--- point.new(script, values): script = { path =, hash = }.
function point.new(script, values)
  local canonical = json.encode { params = values, script = script.hash }
  return { id = core.hash(canonical):sub(1, ID_CHARS), params = values, script = script.path,
    script_hash = script.hash }
end

local function sorted_names(values)
  local names = {}
  for name in pairs(values) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function text_of(v)
  return type(v) == "string" and v or json.encode(v)
end

--- Arguments for `trit run`.
function point.options(p)
  local list = {}
  for _, name in ipairs(sorted_names(p.params)) do
    list[#list + 1] = ("--%s=%s"):format(name, text_of(p.params[name]))
  end
  return list
end

--- Names of the options in which the points differ, those of `first` in front.
function point.varying(points, first)
  local names, seen, list = {}, {}, {}
  for _, name in ipairs(first) do names[#names + 1] = name end
  for _, name in ipairs(points[1] and sorted_names(points[1].params) or {}) do names[#names + 1] = name end
  for _, name in ipairs(names) do
    if not seen[name] then
      for _, p in ipairs(points) do
        if p.params[name] ~= points[1].params[name] then
          list[#list + 1] = name
          break
        end
      end
    end
    seen[name] = true
  end
  return list
end

--- "init=0.05 seed=1": the named options of a point.
function point.describe(p, names)
  local words = {}
  for i, name in ipairs(names) do words[i] = ("%s=%s"):format(name, point.text(p.params[name])) end
  return table.concat(words, " ")
end

--- A value for people.
function point.text(v)
  if math.type(v) == "float" then return ("%.6g"):format(v) end
  return v == nil and "-" or text_of(v)
end

--- What replicates have in common: all but the seed, as text.
function point.group(p)
  local rest = {}
  for name, v in pairs(p.params) do
    if name ~= point.SEED then rest[name] = v end
  end
  return json.encode(rest)
end

return point
