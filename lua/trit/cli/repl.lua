--- trit repl: the Lua prompt (line editing included) with `trit` loaded.

local repl = { name = "repl", group = "lua", summary = "the Lua prompt with trit loaded" }

function repl.run()
  -- os.execute waits without taking Ctrl-C itself; the paths are in the environment.
  local _, _, code = os.execute("lua5.4 -l trit -i")
  return code
end

return repl
