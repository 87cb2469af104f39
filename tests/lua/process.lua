--- Commands in a process of their own: local status, out, err = process.trit("eval", "net.trit").

local process = {}

local source = os.getenv("TRIT_SOURCE") or "."

--- A word as the shell reads it back.
function process.quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

--- Run a line of shell; returns exit status (128 + the signal that ended it), stdout, stderr.
function process.shell(command)
  local out, err = os.tmpname(), os.tmpname()
  local _, how, code = os.execute(("%s >%s 2>%s </dev/null"):format(command, out, err))
  local result = { how == "exit" and code or 128 + code, read(out), read(err) }
  os.remove(out)
  os.remove(err)
  return table.unpack(result)
end

--- Run trit with these arguments; returns as shell.
function process.trit(...)
  local words = {}
  for i, word in ipairs { ... } do words[i] = process.quote(word) end
  return process.shell(process.quote(source) .. "/trit " .. table.concat(words, " "))
end

return process
