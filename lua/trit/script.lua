--- Run a script of the user: errors carry the user's line and no inner traceback.

local context = require "trit.context"

local script = {}

local function is_library(source)
  return source:match("^@.*lua/trit/") or source:match("^@.*lua/5%.4/trit/")
end

--- "file:line: " of the innermost frame that is not the library's; "" if there is none.
local function where()
  local level = 3
  while true do
    local frame = debug.getinfo(level, "Sl")
    if not frame then return "" end
    if frame.currentline > 0 and not is_library(frame.source) then
      return ("%s:%d: "):format(frame.short_src, frame.currentline)
    end
    level = level + 1
  end
end

local function handler(err)
  if type(err) == "table" and err.exit then return err end
  local text = tostring(err)
  if text:match("^[^\n:]*lua/[^\n:]*trit/[^\n:]*:%d+: ") then
    local own = where()
    if own ~= "" then text = text:gsub("^[^\n]-:%d+: ", function() return own end, 1) end
  end
  if os.getenv("TRIT_TRACE") then
    text = debug.traceback(text, 2)
  else -- the places searched are no news
    text = text:gsub("(module '[^']*' not found):\n.*", "%1")
  end
  return { exit = text:match("interrupted!$") and 130 or 1, message = text }
end

-- Lua calls no handler when memory has run out; its plain message becomes a failure here.
local function outcome(ok, result, ...)
  if not ok and type(result) ~= "table" then result = { exit = 1, message = tostring(result) } end
  return ok, result, ...
end

-- A copy is to the script what its original was: its modules lie beside that.
local function load_copy(path, origin)
  local file <close> = assert(io.open(path, "rb")) -- luacheck: ignore
  return load((file:read("a"):gsub("^#[^\n]*", "")), "@" .. origin)
end

--- script.run(path, ...): load and call the file with `...` as its arguments, `arg` set as lua does.
-- Returns true and the script's results, or false and { exit =, message = }.
function script.run(path, ...)
  local chunk, message
  if path == "-" then
    chunk, message = load(io.read("a"), "=stdin")
  else
    local file, why = io.open(path)
    if not file then return false, { exit = 1, message = "cannot open " .. why } end
    file:close()
    if context.origin then
      chunk, message = load_copy(path, context.origin)
    else
      chunk, message = loadfile(path)
    end
  end
  if not chunk then return false, { exit = 1, message = message } end
  _G.arg = { [0] = context.origin or path, ... }
  return outcome(xpcall(chunk, handler, ...))
end

return script
