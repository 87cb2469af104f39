--- Small files that are whole or not there: JSON written beside its place and renamed into it.
local json = require "trit.json"
local lfs = require "lfs"
local uv = require "luv"

local files = {}

local function fail(path, why) return nil, ("'%s': %s"):format(path, why) end

--- Write text to a file at once.  Returns true; nil and a sentence.
function files.write(path, text)
  local temporary = ("%s.%s-%d.tmp"):format(path, uv.os_gethostname(), uv.os_getpid())
  local file, why = io.open(temporary, "wb")
  if not file then return nil, why end
  local ok, message = file:write(text)
  local closed, reason = file:close()
  if not ok or not closed then
    os.remove(temporary)
    return fail(path, message or reason)
  end
  local renamed, cause = os.rename(temporary, path)
  if not renamed then return fail(path, cause) end
  return true
end

function files.write_json(path, value, options)
  return files.write(path, json.encode(value, options) .. "\n")
end

--- Text of a file; nil when it cannot be read.
function files.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

--- Table of a JSON file; nil when it is absent or damaged.
function files.read_json(path)
  local text = files.read(path)
  return text and json.decode(text) or nil
end

--- Make a directory and those above it.  Returns true; nil and a sentence.
function files.make_directory(path)
  if lfs.attributes(path, "mode") == "directory" then return true end
  local parent = path:match("^(.+)/[^/]+/*$")
  if parent then
    local ok, why = files.make_directory(parent)
    if not ok then return nil, why end
  end
  local ok, why = lfs.mkdir(path)
  if ok or lfs.attributes(path, "mode") == "directory" then return true end
  return nil, ("cannot create directory '%s': %s"):format(path, why)
end

return files
