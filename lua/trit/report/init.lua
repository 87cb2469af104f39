--- trit.report: one offline HTML file about a run or many.
--
--     local data = assert(trit.report.read("runs/sweep", { where = "top1 > 0.5" }))
--     assert(trit.report.write(data, "sweep.html"))
local collect = require "trit.report.collect"
local lfs = require "lfs"
local runfile = require "trit.runfile"
local runs = require "trit.runs"

local report = {}

-- The directory meant, and the runs in it.
local function find(path)
  local mode = lfs.attributes(path, "mode")
  if not mode then return nil, ("no run at '%s': no such file or directory"):format(path) end
  if mode == "file" then
    local run, why = runfile.open(path)
    if not run then return nil, why end
    path = path:match("^(.*)/[^/]*$") or "."
  end
  path = path:gsub("(.)/+$", "%1")
  local found, why = runs.find(path)
  if not found then return nil, why end
  if mode == "file" or lfs.attributes(path .. "/run.h5", "mode") == "file" then return path, { path } end
  if #found == 0 then return nil, ("no run in '%s'"):format(path) end
  return path, found
end

local function choose(dirs, args)
  if not (args.where or args.sort or args.reverse) then return dirs end
  local rows = {}
  for i, dir in ipairs(dirs) do rows[i] = runs.summary(dir) end
  local kept, why = runs.select(rows, args)
  if not kept then return nil, why end
  local out = {}
  for i, row in ipairs(kept) do out[i] = row.run end
  if #out == 0 then return nil, ("none of %d runs is such"):format(#dirs) end
  return out
end

-- Written beside its place and renamed, so that a reader never meets half a page.
local function save(path, text)
  local file, why = io.open(path .. ".tmp", "wb")
  if not file then return nil, ("cannot write '%s'"):format(why) end
  local ok, message = file:write(text)
  local closed, reason = file:close()
  if ok and closed then ok, message = os.rename(path .. ".tmp", path) end
  if not ok or not closed then
    os.remove(path .. ".tmp")
    return nil, ("'%s': %s"):format(path, message or reason)
  end
  return true
end

--- The runs at a path: a run directory, a run.h5, or a directory with runs in it.
-- options: where, sort, reverse as for trit.runs.select.
-- Returns what `write` takes and the directory, or nil and a sentence.
function report.read(path, options)
  local root, dirs = find(path)
  if not root then return nil, dirs end
  local chosen, why = choose(dirs, options or {})
  if not chosen then return nil, why end
  local data = collect.runs(chosen, root, options and options.sort ~= nil)
  if #data.runs == 0 then
    return nil, ("no run in '%s' can be read: %s"):format(root, tostring(data.unreadable[1].message))
  end
  return data, root
end

--- Write the page.  Returns the path, or nil and a sentence.
function report.write(data, path)
  local ok, why = save(path, require("trit.report.page").render(data, os.date("%Y-%m-%d %H:%M")))
  if not ok then return nil, why end
  return path
end

return report
