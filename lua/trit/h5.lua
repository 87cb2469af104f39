--- HDF5 files: golden values, run files, packed data sets.
--
--     local h5 = require "trit.h5"
--     local f <close> = assert(h5.open("file.h5"))
--     f:read("group/name")              -- tensor f32 of any numeric data set
--     f:read_numbers("group/name")      -- flat table of exact numbers, field `shape`
--     f:read_numbers("train/loss", 3, 2)   -- rows 3 and 4 only
--     f:read_strings("names")           -- table of strings (fixed or variable length)
--     f:read_bytes("codes")             -- data set of bytes as one string
--     f:attr("group", "name")           -- string | number | boolean | flat table | nil
--     f:attrs("group")                  -- all of them by name
--     f:list("group")                   -- names in it, sorted; the root is ""
--     f:exists(path)  f:shape(path)  f:kind(path)   -- "group" | "number" | "text" | "other" | nil
--     f:growing(path)                   -- is it a series: no limit in its first dimension?
--     f:write(path, tensor | string | number | boolean | table)   -- groups are made on the way
--     f:set_attr(path, name, value)
--     f:flush()  f:close()              -- close: true | nil, sentence
--
-- Paths are written with or without a leading slash.  Integers come back as Lua integers.  Asking
-- for what is not there raises at the caller's line; only open returns nil, sentence.
-- Files are written in HDF5's oldest format with file locking off: others may read meanwhile.
local core = require "trit.core"

local h5 = {}

--- Open an HDF5 file.
-- path: file name.  mode: "r" read (default), "w" create or empty, "a" read and write.
-- Returns the file, or nil and a sentence when it cannot be opened.
function h5.open(path, mode)
  if type(path) ~= "string" then
    error("h5.open: the path must be a string, got " .. type(path), 2)
  end
  return core.h5_open(path, mode)
end

--- Version of the HDF5 library in use, "1.10.8".
function h5.version()
  return core.h5_version()
end

return h5
