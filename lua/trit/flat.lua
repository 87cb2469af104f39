--- Nested tables as sorted lists of dotted names and texts, for printing and comparing.
local json = require "trit.json"

local flat = {}

local function natural(name) -- numbers inside names in numeric order
  return (name:gsub("%d+", function(d) return ("%08d"):format(tonumber(d)) end))
end

--- t -> { ["a.b"] = text, ... }; lists of plain values stay together as JSON.
function flat.map(t, prefix, out)
  out = out or {}
  for k, v in pairs(t) do
    local name = (prefix and prefix .. "." or "") .. tostring(k)
    local list = type(v) == "table" and v[1] ~= nil and type(v[1]) ~= "table"
    if type(v) == "table" and not list then
      flat.map(v, name, out)
    elseif type(v) == "string" then
      out[name] = v
    else
      out[name] = json.encode(v)
    end
  end
  return out
end

--- t -> { { name, text }, ... } sorted by name.
function flat.sorted(t)
  local list = {}
  for name, text in pairs(flat.map(t)) do list[#list + 1] = { name, text } end
  table.sort(list, function(a, b) return natural(a[1]) < natural(b[1]) end)
  return list
end

--- "layers.3.options.init" -> "layers.*.options.init": what layers may have in common.
function flat.general(name) return (name:gsub("^layers%.%d+%.", "layers.*.")) end

return flat
