--- Checkpoints: named tensors and a table, in one file that is whole or not there.
--
--     checkpoint.save("runs/one", { tensors = { ["net/conv1.weight"] = w }, meta = { epoch = 3 },
--                                   best = true })
--     local c = assert(checkpoint.load("runs/one"))      -- c.tensors, c.meta, c.path, c.note
--
-- Files DIR/checkpoint-000001.h5, -000002.h5, ...: the last two are kept; DIR/best.h5 is the one last
-- saved with best = true.  They are HDF5 (/tensors/NAME, /meta as JSON text) with a checksum at the
-- end.  Saving renames a synced temporary into place.  Loading checks the checksum; a damaged
-- newest file is passed over for the one before, and c.note says so.
local core = require "trit.core"
local h5 = require "trit.h5"
local json = require "trit.json"
local lfs = require "lfs"

local checkpoint = {}

local KEEP = 2 -- the newest, and one to fall back to
local NAME = "^checkpoint%-(%d+)%.h5$"
local BEST = "best.h5"

--- Checkpoints in a directory: { { path =, number = }, ... }, oldest first; best.h5 is not listed.
function checkpoint.list(dir)
  local found = {}
  if lfs.attributes(dir, "mode") ~= "directory" then return found end
  for name in lfs.dir(dir) do
    local number = math.tointeger(tonumber(name:match(NAME) or ""))
    if number then found[#found + 1] = { path = dir .. "/" .. name, number = number } end
  end
  table.sort(found, function(a, b) return a.number < b.number end)
  return found
end

-- Files of saves that did not come to their end.
local function remove_leftovers(dir)
  for name in lfs.dir(dir) do
    if name:match("^checkpoint%-%d+%.h5%.tmp$") or name == BEST .. ".tmp" then
      os.remove(dir .. "/" .. name)
    end
  end
end

local known = { tensors = true, meta = true, best = true, keep = true }

--- Save a checkpoint.
-- dir: existing directory.  what: tensors = name -> tensor; meta = any table (numbers come back
-- exactly); best: also make it best.h5; keep: how many to keep (default 2).
-- Returns the file's path, or nil and a sentence.
function checkpoint.save(dir, what)
  for name in pairs(what) do
    if not known[name] then
      error(("checkpoint.save: unknown field %q; known: best, keep, meta, tensors"):format(
        tostring(name)), 2)
    end
  end
  if lfs.attributes(dir, "mode") ~= "directory" then
    return nil, ("checkpoint: no directory '%s'"):format(dir)
  end
  remove_leftovers(dir)
  local present, names = checkpoint.list(dir), {}
  for name in pairs(what.tensors or {}) do names[#names + 1] = name end
  table.sort(names)
  local number = #present > 0 and present[#present].number + 1 or 1
  local path = ("%s/checkpoint-%06d.h5"):format(dir, number)
  local ok, why = core.checkpoint_save(path, names, what.tensors or {}, json.encode(what.meta or {}))
  if not ok then return nil, why end
  if what.best then
    ok, why = core.file_alias(path, dir .. "/" .. BEST)
    if not ok then return nil, why end
  end
  local keep = what.keep or KEEP
  for i = 1, #present + 1 - keep do
    if present[i] then os.remove(present[i].path) end
  end
  return path
end

local function read(path)
  local ok, why = core.checkpoint_verify(path)
  if not ok then return nil, why end
  local f <close>, message = h5.open(path)
  if not f then return nil, message end
  local meta, reason = json.decode(f:read_strings("meta")[1])
  if not meta then return nil, ("checkpoint: '%s': meta: %s"):format(path, reason) end
  local tensors = {}
  local function collect(group, prefix)
    for _, name in ipairs(f:list(group)) do
      local at = group .. "/" .. name
      if f:kind(at) == "group" then
        collect(at, prefix .. name .. "/")
      else
        tensors[prefix .. name] = f:read(at)
      end
    end
  end
  collect("tensors", "")
  return { tensors = tensors, meta = meta, path = path }
end

--- Load a checkpoint.
-- path: a file, or a directory: its newest whole checkpoint.  which: "best" takes DIR/best.h5.
-- Returns { tensors =, meta =, path =, note = sentence about damaged ones passed over, or nil },
-- or nil and a sentence.
function checkpoint.load(path, which)
  local mode = lfs.attributes(path, "mode")
  if mode == "file" then return read(path) end
  if mode ~= "directory" then
    return nil, ("checkpoint: no such file or directory: '%s'"):format(path)
  end
  if which == "best" then return read(path .. "/" .. BEST) end
  local present, notes = checkpoint.list(path), {}
  for i = #present, 1, -1 do
    local found, why = read(present[i].path)
    if found then
      if #notes > 0 then
        found.note = ("%s; continuing from '%s'"):format(table.concat(notes, "; "), found.path)
      end
      return found
    end
    notes[#notes + 1] = why
  end
  return nil, #notes > 0 and table.concat(notes, "; ")
    or ("checkpoint: none in '%s'"):format(path)
end

return checkpoint
