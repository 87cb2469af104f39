--- trit lua FILE [ARG]...: a plain Lua script with trit on the path.

local lua = { name = "lua", group = "lua", raw = true,
  summary = "run a Lua script with trit on the path" }

function lua.setup(parser)
  parser:argument("file", "the script; - reads standard input")
  parser:argument("arg", "its arguments, in `arg` and `...`"):args("*")
end

function lua.run(words)
  local file = table.remove(words, 1)
  if not file then error({ exit = 2, message = "which script? usage: trit lua FILE [ARG]..." }) end
  if file:match("^%-.") then
    error({ exit = 2, message = ("unknown option %s; see trit lua --help"):format(file) })
  end
  local ok, failure = require("trit.script").run(file, table.unpack(words))
  if not ok then return failure.exit, failure.message end
  return 0
end

return lua
