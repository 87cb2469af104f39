--- A part of trit (trit.quant, trit.data, ...) has what it has: a misspelt name is one sentence at the
-- script's line, with the names there are, and not a nil that is called somewhere.

local core = require "trit.core"

local function names(part)
  local list = {}
  for name in pairs(part) do list[#list + 1] = tostring(name) end
  table.sort(list)
  return table.concat(list, ", ")
end

--- Make `part`, known to scripts as `title`, strict; parts that answer for themselves stay as they are.
-- Returns it.
return function(part, title)
  if type(part) ~= "table" or getmetatable(part) then return part end
  return setmetatable(part, { __index = function(_, name)
    local asked = type(name) == "string" and ("%q"):format(name) or tostring(name)
    core.raise(("%s has no %s; it has: %s"):format(title, asked, names(part)))
  end })
end
