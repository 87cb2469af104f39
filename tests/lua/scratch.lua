--- A directory of a test file's own, with the cache in it: local dir = scratch.dir "methods".

local lfs = require "lfs"
local uv = require "luv"

local scratch = {}

--- Make it under TMPDIR and point TRIT_CACHE into it; returns its path.
function scratch.dir(name)
  local dir = assert(uv.fs_mkdtemp(("%s/trit-%s-XXXXXX"):format(os.getenv("TMPDIR") or "/tmp", name)))
  uv.os_setenv("TRIT_CACHE", dir .. "/cache")
  return dir
end

--- Remove a file or a directory with all below it.
function scratch.remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then scratch.remove(path .. "/" .. name) end
    end
  end
  os.remove(path)
end

return scratch
