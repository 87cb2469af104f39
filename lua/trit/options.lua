--- Checks of what a script hands over: one sentence each, at the script's line.

local core = require "trit.core"

local options = {}

local function shown(v) return type(v) == "string" and ("%q"):format(v) or tostring(v) end

local function names_of(known)
  local names = {}
  for key, value in pairs(known) do names[#names + 1] = type(key) == "number" and value or key end
  table.sort(names)
  return names
end

--- Raise `owner: sentence`.
function options.fail(owner, fmt, ...) core.raise(owner .. ": " .. fmt:format(...)) end

--- `given` must be a table (nil: none given) whose keys are all in `known`, a list of names or a table with
-- the names as keys; the first `places` list positions are allowed too.  Returns the table.
function options.check(owner, given, known, places)
  given = given == nil and {} or given
  if type(given) ~= "table" then options.fail(owner, "options must be a table, got %s", type(given)) end
  local names, set = names_of(known), {}
  for _, name in ipairs(names) do set[name] = true end
  for name in pairs(given) do
    local place = math.type(name) == "integer" and name >= 1 and name <= (places or 0)
    if not (set[name] or place) then
      options.fail(owner, "unknown option %s; known: %s", shown(name),
        #names > 0 and table.concat(names, ", ") or "none")
    end
  end
  return given
end

--- A whole number >= least, as an integer.
function options.whole(owner, what, value, least)
  local n = type(value) == "number" and math.tointeger(value)
  if not n or n < least then
    options.fail(owner, "%s must be a whole number >= %d, got %s", what, least, tostring(value))
  end
  return n
end

--- For argparse's convert: text -> a whole number >= least, or nil and a sentence about the option `name`.
function options.count(name, least)
  return function(text)
    local n = math.tointeger(tonumber(text))
    if n and n >= least then return n end
    return nil, ("%s must be a whole number >= %d, not %s"):format(name, least, text)
  end
end

--- As count, for numbers with commas between: a list.
function options.counts(name, least)
  return function(text)
    local list = {}
    for word in text:gmatch("[^,]+") do list[#list + 1] = math.tointeger(tonumber(word)) or least - 1 end
    for _, n in ipairs(#list > 0 and list or { least - 1 }) do
      if n < least then
        return nil, ("%s must be whole numbers >= %d with commas between, not %s"):format(name, least, text)
      end
    end
    return list
  end
end

--- A number in [low, high].
function options.within(owner, what, value, low, high)
  if type(value) ~= "number" then options.fail(owner, "%s must be a number, got %s", what, shown(value)) end
  if not (value >= low and value <= high) then
    options.fail(owner, "%s is %s but must lie in [%s, %s]", what, value, low, high)
  end
  return value
end

--- One of a list of words.
function options.choice(owner, what, value, words)
  for _, word in ipairs(words) do
    if value == word then return value end
  end
  options.fail(owner, "%s is %s but must be one of %s", what, shown(value),
    table.concat(names_of(words), ", "))
end

return options
