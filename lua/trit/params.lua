--- trit.params: the options of a script, declared once, read everywhere.
--
--   local p = trit.params {
--     delta  = { 0.05, min = 0, max = 1, doc = "threshold, fraction of max|w|" },
--     epochs = { 30, doc = "passes over the training set" },
--     model  = { "resnet20", choices = { "resnet8", "resnet20" } },
--   }
--   p.delta
--
-- Every field is a --NAME of `trit run`, an axis of `trit sweep`, and is stored in the run file.  The
-- default's type is the option's type; whole-number defaults take whole numbers.  Reading a field that
-- was not declared is an error; the table cannot be written.

local core = require "trit.core"

local params = {}

local function fail(fmt, ...) core.raise(fmt:format(...)) end

local function sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Text -> value of the default's type, or nil and a sentence.
local function parse(name, text, default)
  if type(default) == "number" then
    local v = tonumber(text)
    if not v then return nil, ("option --%s takes a number, not %q"):format(name, text) end
    if math.type(default) == "integer" then
      local whole = math.tointeger(v)
      if not whole then return nil, ("option --%s takes a whole number, not %s"):format(name, text) end
      return whole
    end
    return v
  elseif type(default) == "boolean" then
    local words = { ["true"] = true, ["1"] = true, yes = true, on = true,
      ["false"] = false, ["0"] = false, no = false, off = false }
    if words[text] == nil then return nil, ("option --%s takes true or false, not %q"):format(name, text) end
    return words[text]
  end
  return text
end

local function check(name, v, row)
  if row.min and v < row.min or row.max and v > row.max then
    return nil, ("option --%s is %s but must lie in [%s, %s]"):format(name, v, row.min or "-inf",
      row.max or "inf")
  end
  if row.choices then
    for _, c in ipairs(row.choices) do
      if c == v then return v end
    end
    return nil, ("option --%s is %q but must be one of %s"):format(name, tostring(v),
      table.concat(row.choices, ", "))
  end
  return v
end

--- The value that `text` gives the option `name`, declared as `row`; nil and a sentence if it is none.
function params.value(name, text, row)
  local v, why = parse(name, text, row[1])
  if v == nil then return nil, why end
  return check(name, v, row)
end

--- The sentence for an option that was not declared.
function params.unknown(name, declared)
  return ("unknown option --%s; this script has: --%s"):format(name, table.concat(sorted(declared), ", --"))
end

-- " (0 to 1)", " (from 1)", " (up to 8)" or the choices; "" where anything goes.
local function range_of(row)
  if row.choices then return " (" .. table.concat(row.choices, ", ") .. ")" end
  if row.min and row.max then return (" (%s to %s)"):format(row.min, row.max) end
  return row.min and (" (from %s)"):format(row.min) or row.max and (" (up to %s)"):format(row.max) or ""
end

--- Help text of a declaration, one line per option.
function params.help(declared)
  local lines = {}
  for _, name in ipairs(sorted(declared)) do
    local row = declared[name]
    lines[#lines + 1] = ("  --%-16s %s%s  [default: %s]"):format(name, row.doc or "", range_of(row),
      row[1] == "" and '""' or tostring(row[1]))
  end
  return table.concat(lines, "\n")
end

-- The value the command line gives: text, or true for a name that stood alone.
local function given_value(name, word, row)
  if word ~= true then return params.value(name, word, row) end
  if type(row[1]) == "boolean" then return true end
  return nil, ("option --%s needs a value"):format(name)
end

--- Declare options; values come from the command line (trit.context) where given.
function params.declare(declared)
  if type(declared) ~= "table" then fail("trit.params takes a table of options, got %s", type(declared)) end
  local ok, context = pcall(require, "trit.context")
  local given = ok and context.argv or {}
  local values = {}
  for _, name in ipairs(sorted(declared)) do
    local row = declared[name]
    if type(row) ~= "table" or row[1] == nil then
      fail("params: %s must be { default, doc = ... }", name)
    end
    local v, why
    if given[name] ~= nil then
      v, why = given_value(name, given[name], row)
    else
      v, why = check(name, row[1], row)
    end
    if v == nil then fail("%s", why) end
    values[name] = v
  end
  for _, name in ipairs(sorted(given)) do
    if declared[name] == nil then fail("%s", params.unknown(name, declared)) end
  end
  if ok then
    context.declared, context.params = declared, values
    if context.on_params then context.on_params(declared, values) end
  end
  return setmetatable({}, {
    __index = function(_, key)
      if values[key] == nil then
        error(("params has no option %q; declared: %s"):format(tostring(key),
          table.concat(sorted(declared), ", ")), 2)
      end
      return values[key]
    end,
    __newindex = function(_, key) error(("params are read-only: %s"):format(tostring(key)), 2) end,
    __pairs = function() return next, values, nil end,
  })
end

return params
