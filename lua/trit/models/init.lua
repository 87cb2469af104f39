--- trit.models: networks by name.  A family is one file with one table of its members;
-- trit.models.list() names them all.

local models = {}

local families = { "trit.models.resnet_cifar", "trit.models.resnet", "trit.models.small" }
local makers = {}
for _, family in ipairs(families) do
  for name, make in pairs(require(family)) do makers[name] = make end
end

--- Names of all networks, sorted.
function models.list()
  local names = {}
  for name in pairs(makers) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- models.create("resnet20", { classes = 10, seed = 1 }).
function models.create(name, options)
  if not makers[name] then
    error(("unknown model %q; known: %s"):format(tostring(name), table.concat(models.list(), ", ")), 2)
  end
  local net = makers[name](options or {})
  rawset(net, "model_name", name)
  rawset(net, "model_options", options or {})
  return net
end

return setmetatable(models, {
  __index = function(_, name)
    if not makers[name] then
      error(("trit.models has no network %q; known: %s"):format(tostring(name),
        table.concat(models.list(), ", ")), 2)
    end
    return function(options) return models.create(name, options) end
  end,
})
