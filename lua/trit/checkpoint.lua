--- Checkpoints: named tensors and a table, in one file that is whole or not there.
--
--     checkpoint.save("runs/one", { tensors = { ["net/conv1.weight"] = w }, meta = { epoch = 3 },
--                                   best = true })
--     local c = assert(checkpoint.load("runs/one"))      -- c.tensors, c.meta, c.path, c.note
--
-- `tensors` is the model (net:load_state_dict(c.tensors)); what else a training needs to go on is in
-- `state`, a table like it whose values may also be strings of bytes.
--
-- Files DIR/checkpoint-000001.h5, -000002.h5, ...: the last two are kept; DIR/best.h5 is the one last
-- saved with best = true.  They are HDF5 (/tensors/NAME, /state/NAME, /bytes/NAME, /meta as JSON text) with
-- a checksum at the end.  Saving renames a synced temporary into place.  Loading checks the checksum; a
-- damaged newest file is passed over for the one before, and c.note says so.
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

local known = { tensors = true, state = true, meta = true, best = true, keep = true }

-- Everything by its path in the file, and the paths in order.
local function contents(what)
  local all, paths = {}, {}
  for _, group in ipairs { "tensors", "state" } do
    for name, value in pairs(what[group] or {}) do
      if group == "tensors" and type(value) ~= "userdata" then
        core.raise(("checkpoint: '%s' is a %s, not a tensor"):format(name, type(value)))
      end
      local path = (type(value) == "string" and "bytes" or group) .. "/" .. name
      all[path], paths[#paths + 1] = value, path
    end
  end
  table.sort(paths)
  return paths, all
end

--- Save a checkpoint.
-- dir: existing directory.  what: tensors = name -> tensor; state = name -> tensor or string; meta = any
-- table (numbers come back exactly); best: also make it best.h5; keep: how many to keep (default 2).
-- Returns the file's path, or nil and a sentence.
function checkpoint.save(dir, what)
  for name in pairs(what) do
    if not known[name] then
      error(("checkpoint.save: unknown field %q; known: best, keep, meta, state, tensors"):format(
        tostring(name)), 2)
    end
  end
  if lfs.attributes(dir, "mode") ~= "directory" then
    return nil, ("checkpoint: no directory '%s'"):format(dir)
  end
  remove_leftovers(dir)
  local present, paths, all = checkpoint.list(dir), contents(what)
  local number = #present > 0 and present[#present].number + 1 or 1
  local path = ("%s/checkpoint-%06d.h5"):format(dir, number)
  local ok, why = core.checkpoint_save(path, paths, all, json.encode(what.meta or {}))
  if not ok then return nil, why end
  if what.best then
    ok, why = checkpoint.mark_best(path)
    if not ok then return nil, why end
  end
  local keep = what.keep or KEEP
  for i = 1, #present + 1 - keep do
    if present[i] then os.remove(present[i].path) end
  end
  return path
end

--- Make the checkpoint at `path` the best of its directory.  Returns true, or nil and a sentence.
function checkpoint.mark_best(path)
  return core.file_alias(path, path:match("^(.*)/[^/]*$") .. "/" .. BEST)
end

--- Remove all checkpoints of a directory.
function checkpoint.clear(dir)
  for _, c in ipairs(checkpoint.list(dir)) do os.remove(c.path) end
  os.remove(dir .. "/" .. BEST)
  remove_leftovers(dir)
end

-- All below a group of the file, by path in it; method: "read" or "read_bytes".
local function collect(f, method, out, group, prefix)
  if not f:exists(group) then return out end
  for _, name in ipairs(f:list(group)) do
    local at, short = group .. "/" .. name, prefix and prefix .. "/" .. name or name
    if f:kind(at) == "group" then
      collect(f, method, out, at, short)
    else
      out[short] = f[method](f, at)
    end
  end
  return out
end

local function read(path)
  local ok, why = core.checkpoint_verify(path)
  if not ok then return nil, why end
  local f <close>, message = h5.open(path)
  if not f then return nil, message end
  local meta, reason = json.decode(f:read_strings("meta")[1])
  if not meta then return nil, ("checkpoint: '%s': meta: %s"):format(path, reason) end
  local state = collect(f, "read_bytes", collect(f, "read", {}, "state"), "bytes")
  return { tensors = collect(f, "read", {}, "tensors"), state = state, meta = meta, path = path }
end

--- Load a checkpoint.
-- path: a file, or a directory: its newest whole checkpoint.  which: "best" takes DIR/best.h5; a function
-- is given each whole one, newest first, and says whether it will do.
-- Returns { tensors =, state =, meta =, path =, note = sentence about damaged ones passed over, or nil },
-- or nil and a sentence (nil alone: there are some, but none will do).
function checkpoint.load(path, which)
  local mode = lfs.attributes(path, "mode")
  if mode == "file" then return read(path) end
  if mode ~= "directory" then
    return nil, ("checkpoint: no such file or directory: '%s'"):format(path)
  end
  if which == "best" then return read(path .. "/" .. BEST) end
  local present, notes, refused = checkpoint.list(path), {}, false
  for i = #present, 1, -1 do
    local found, why = read(present[i].path)
    if found and which and not which(found) then
      refused = true
    elseif found then
      if #notes > 0 then
        found.note = ("%s; continuing from '%s'"):format(table.concat(notes, "; "), found.path)
      end
      return found
    else
      notes[#notes + 1] = why
    end
  end
  if refused and #notes == 0 then return nil end
  return nil, #notes > 0 and table.concat(notes, "; ")
    or ("checkpoint: none in '%s'"):format(path)
end

return checkpoint
