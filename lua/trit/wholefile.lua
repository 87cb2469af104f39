--- Writing a file that is there whole or not at all: temporary, fsync, rename.
--
--   local ok, why = wholefile.write(path, function(put) return put("some bytes") end)
--
-- put(bytes) returns true, or nil and a reason; the function returns the same.  On failure an older file
-- of that name is left as it was.
local uv = require "luv"

local wholefile = {}

local MODE = tonumber("644", 8)

local function putter(fd)
  return function(bytes)
    while #bytes > 0 do
      local n, why = uv.fs_write(fd, bytes, -1)
      if not n then return nil, why end
      bytes = n < #bytes and bytes:sub(n + 1) or ""
    end
    return true
  end
end

--- Returns true, or nil and a sentence.
function wholefile.write(path, content)
  local temporary = path .. ".tmp"
  local fd, why = uv.fs_open(temporary, "w", MODE)
  if not fd then return nil, "cannot write " .. why end
  local guard <close> = setmetatable({}, { __close = function() -- luacheck: ignore guard
    if fd then
      uv.fs_close(fd)
      os.remove(temporary)
    end
  end })
  local ok, reason = content(putter(fd))
  if ok then ok, reason = uv.fs_fsync(fd) end
  if not ok then return nil, ("cannot write '%s': %s"):format(path, reason) end
  uv.fs_close(fd)
  fd = nil
  local renamed, message = os.rename(temporary, path)
  if not renamed then return nil, "cannot write " .. message end
  return true
end

return wholefile
