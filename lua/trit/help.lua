--- trit.help "conv2d": what an op, quantizer or network is, from its descriptor.

local core = require "trit.core"

local help = {}

local function options(params)
  local lines = {}
  for _, p in ipairs(params or {}) do
    local range = p.choices and table.concat(p.choices, "|") or ("[%g, %g]"):format(p.min, p.max)
    lines[#lines + 1] = ("  %-16s %s  (default %s; %s)"):format(p.name, p.doc, tostring(p.default), range)
  end
  return #lines > 0 and "options:\n" .. table.concat(lines, "\n") .. "\n" or ""
end

--- A network's help in the same form, or nil.
local function network(name)
  local ok, info = pcall(require("trit.models").info, name)
  if not ok then return nil end
  local lines = {}
  for option, row in pairs(info.options) do
    lines[#lines + 1] = ("  %-16s %s  (default %s)"):format(option, row.doc, tostring(row[1]))
  end
  table.sort(lines)
  return { doc = ("trit.models.%s { ... }\n%s\noptions:\n%s\n"):format(name, info.doc,
    table.concat(lines, "\n")) }
end

--- Print the help of `name`; without a name, list everything that has help.
function help.help(name)
  if not name then
    local names = {}
    for op in pairs(core.ops) do names[#names + 1] = op end
    table.sort(names)
    print("ops: " .. table.concat(names, ", "))
    print("optimizers: " .. table.concat(core.optim_list(), ", "))
    print("quantizers: " .. table.concat(require("trit.quant").list(), ", "))
    print("networks: " .. table.concat(require("trit.models").list(), ", "))
    return
  end
  local info = core.op_info(name)
  if not info then
    local ok, found = pcall(core.optim_info, name)
    if not ok then ok, found = pcall(require("trit.quant").info, name) end
    info = ok and found or network(name)
  end
  if not info then error(("help: nothing is called %q"):format(name), 2) end
  io.write(info.doc, info.doc:sub(-1) == "\n" and "" or "\n", options(info.params))
end

return help
