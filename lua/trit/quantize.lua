--- trit.quantize(model, rules [, options]): give the layers of a model their quantizers.
--
--   trit.quantize(net, { { ".*", trit.quant.tga {} } })
--   trit.quantize(net, { { "^conv1%.", false }, { "^fc%.", false }, { ".*", trit.quant.twn {} } })
--
-- Rules are { pattern, quantizer } in order; the first whose Lua pattern matches a layer's weight name
-- ("layer1.0.conv1.weight") counts.  `false` keeps a layer float.  Every layer gets its own clone of the
-- quantizer, initialised from its weights.  Layers that no rule matches stay as they are.  A rule that
-- no layer uses is an error: it is a misspelt pattern or stands behind one that takes everything.

local core = require "trit.core"
local quant = require "trit.quant"

local M = {}

local function check_rule(i, rule)
  local what = ("quantize: rule %d"):format(i)
  if type(rule) ~= "table" or quant.is(rule) then core.raise(what .. " must be { pattern, quantizer }") end
  if type(rule[1]) ~= "string" then core.raise(what .. " needs a pattern as its first element") end
  if rule[2] ~= false and not quant.is(rule[2]) then
    core.raise(("%s (%q) needs a quantizer or false as its second element, got %s"):format(what, rule[1],
      type(rule[2])))
  end
  if not pcall(string.find, "", rule[1]) then
    core.raise(("%s: %q is not a Lua pattern"):format(what, rule[1]))
  end
end

local function names_of(model)
  local names = {}
  for name in model:quantizable() do names[#names + 1] = name end
  return names
end

local function first_match(rules, name)
  for i, rule in ipairs(rules) do
    if name:find(rule[1]) then return i, rule[2] end
  end
end

local function check_used(rules, used, model)
  for i, rule in ipairs(rules) do
    if not used[i] then
      core.raise(("quantize: no layer uses rule %d (%q); the weights are %s"):format(i, rule[1],
        table.concat(names_of(model), ", ")))
    end
  end
end

--- Returns the model.
function M.quantize(model, rules)
  if type(rules) ~= "table" then core.raise("quantize: rules must be a list of { pattern, quantizer }") end
  for i, rule in ipairs(rules) do check_rule(i, rule) end
  if #rules == 0 then core.raise("quantize: there is no rule") end
  local used, chosen = {}, {}
  for name, m in model:quantizable() do
    local i, q = first_match(rules, name)
    if i then
      used[i] = true
      chosen[#chosen + 1] = { name = name, module = m, quantizer = q }
    end
  end
  check_used(rules, used, model)
  for i, c in ipairs(chosen) do
    local q = c.quantizer and c.quantizer:clone() or nil
    if q then
      q.salt = i -- its draws differ from those of other layers
      q.handle:label(c.name) -- its errors name the layer
    end
    c.module:set_quantizer(q)
  end
  return model
end

return M
