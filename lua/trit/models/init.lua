--- trit.models: networks by name.  A family is one file with one table of its members, and the names of
-- their options as `options`;
-- trit.models.list() names them all.

local core = require "trit.core"
local options = require "trit.options"

local models = {}

local COMMON = { "classes", "channels", "seed", "size", "width" } -- options, unless the family names its own

local families = { "trit.models.resnet_cifar", "trit.models.resnet", "trit.models.small" }
local makers, known = {}, {}
for _, family in ipairs(families) do
  local members = require(family)
  for name, make in pairs(members) do
    if name ~= "options" then makers[name], known[name] = make, members.options or COMMON end
  end
end

--- Names of all networks, sorted.
function models.list()
  local names = {}
  for name in pairs(makers) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- models.create("resnet20", { classes = 10, seed = 1 }).
function models.create(name, given)
  if not makers[name] then
    core.raise(("unknown model %q; known: %s"):format(tostring(name), table.concat(models.list(), ", ")))
  end
  local net = makers[name](options.check(name, given, known[name]))
  rawset(net, "model_name", name)
  return net
end

return setmetatable(models, {
  __index = function(_, name)
    if not makers[name] then
      error(("trit.models has no network %q; known: %s"):format(tostring(name),
        table.concat(models.list(), ", ")), 2)
    end
    return function(given) return models.create(name, given) end
  end,
})
