--- trit bench NAME: measured figures with residuals.  Every file of lua/trit/bench is one benchmark and
-- returns { name =, summary =, setup = function(parser) end, run = function(args) end }.

local bench = { name = "bench", group = "tool", summary = "measure speed, with residuals" }

local function names()
  local dir = package.searchpath("trit.cli.bench", package.path):match("^(.*)/cli/bench%.lua$") .. "/bench"
  local list = {}
  for file in require("lfs").dir(dir) do
    local name = file:match("^(%l[%w_]*)%.lua$")
    if name then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

function bench.setup(parser)
  parser:command_target("what")
  parser:require_command(true)
  for _, name in ipairs(names()) do
    local b = require("trit.bench." .. name)
    local sub = parser:command(name, b.summary)
    if b.setup then b.setup(sub) end
  end
end

function bench.run(args) return require("trit.bench." .. args.what).run(args) end

return bench
