--- JSON with numbers that come back as they were.
--
--     json.encode(value [, { indent = true }])  -- sorted keys; text
--     json.decode(text [, null])                -- value | nil, sentence; null becomes nil, or `null`
--     json.array(t)                             -- marks a table, even an empty one, as an array
--
-- dkjson does the work; it writes 14 digits, so floats are handed to it ready formatted with the
-- fewest digits that read back to the same double.  NaN is written as null, infinity as 1e999
-- (which every reader turns back into infinity).  Values JSON has no word for (functions,
-- userdata) are written as their tostring.
local dkjson = require "dkjson"

local json = {}

--- Shortest decimal text of a double.
local function number_text(x)
  if x ~= x then return "null" end
  if x == math.huge then return "1e999" end
  if x == -math.huge then return "-1e999" end
  for digits = 15, 17 do
    local text = ("%%.%dg"):format(digits):format(x)
    if tonumber(text) == x then
      return text:find("[.eE]") and text or text .. ".0"
    end
  end
end

local raw_number = { __tojson = function(self) return self.text end }

local function prepare(value)
  local kind = math.type(value)
  if kind == "float" then return setmetatable({ text = number_text(value) }, raw_number) end
  if type(value) == "table" then
    local copy = {}
    for k, v in pairs(value) do
      if type(k) ~= "string" and math.type(k) ~= "integer" then k = tostring(k) end
      copy[k] = prepare(v)
      if k == "n" and math.type(v) == "integer" then -- dkjson would take it for the length of an array
        copy[k] = setmetatable({ text = tostring(v) }, raw_number)
      end
    end
    return setmetatable(copy, getmetatable(value) and { __jsontype = getmetatable(value).__jsontype })
  end
  if kind or value == dkjson.null or ({ string = 1, boolean = 1, ["nil"] = 1 })[type(value)] then
    return value
  end
  return tostring(value)
end

-- Every key that occurs, sorted: dkjson writes tables in the order of such a list.
local function all_keys(value, seen, list)
  for k, v in pairs(value) do
    if type(k) == "string" and not seen[k] then
      seen[k] = true
      list[#list + 1] = k
    end
    if type(v) == "table" and v ~= dkjson.null and getmetatable(v) ~= raw_number then
      all_keys(v, seen, list)
    end
  end
  return list
end

function json.encode(value, options)
  local ready = prepare(value)
  local order = type(ready) == "table" and getmetatable(ready) ~= raw_number
    and all_keys(ready, {}, {}) or {}
  table.sort(order)
  return (dkjson.encode(ready, { indent = options and options.indent, keyorder = order }))
end

function json.decode(text, null)
  local value, at, message = dkjson.decode(text, 1, null, nil, nil)
  if message then return nil, ("JSON, character %d: %s"):format(at, message) end
  return value
end

function json.array(t)
  return setmetatable(t, { __jsontype = "array" })
end

json.null = dkjson.null

return json
