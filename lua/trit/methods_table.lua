--- Results of methods as files, and as one table over many runs.

local json = require "trit.json"
local lfs = require "lfs"

local M = {}

local FILE = "result.json"

local function plain(result)
  local out = {}
  for k, v in pairs(result) do
    if type(v) == "number" or type(v) == "string" or type(v) == "boolean" then out[k] = v end
  end
  return out
end

--- Leave RESULT's numbers, what its alarms said, and what else the script says of the run, in its directory.
-- Returns the path.
function M.save(result, more)
  local out = plain(result)
  if result.alarms and #result.alarms > 0 then out.alarms = result.alarms end
  for k, v in pairs(more or {}) do out[k] = v end
  local path = result.dir .. "/" .. FILE
  local file = assert(io.open(path, "w"))
  file:write(json.encode(out), "\n")
  assert(file:close())
  return path
end

local function collect(dir, out)
  for name in lfs.dir(dir) do
    local path = dir .. "/" .. name
    if name == FILE then
      local file = assert(io.open(path))
      local found, why = json.decode(file:read("a"))
      file:close()
      if not found then error(("%s: %s"):format(path, why), 0) end
      out[#out + 1] = found
    elseif name ~= "." and name ~= ".." and lfs.symlinkattributes(path, "mode") == "directory" then
      collect(path, out)
    end
  end
  return out
end

local function spread(list, field)
  local sum, squares = 0, 0
  for _, r in ipairs(list) do sum = sum + r[field] end
  local mean = sum / #list
  for _, r in ipairs(list) do squares = squares + (r[field] - mean) ^ 2 end
  return { mean = mean, std = #list > 1 and math.sqrt(squares / (#list - 1)) or 0 }
end

--- What was published: "3.90 (ImageNet ResNet-18, abstract of ...)", the anchor first given.
function M.anchor(published)
  local a = published and published[1]
  if not a then return "-" end
  return ("%.2f (%s %s, %s)"):format(a.degradation, a.set, a.network, a.source)
end

-- Mean over the seeds that both have of float's top-1 minus the method's.
local function degradation(list, float)
  local sum, n = 0, 0
  for _, r in ipairs(list) do
    for _, f in ipairs(float or {}) do
      if f.seed == r.seed then sum, n = sum + f.top1 - r.top1, n + 1 end
    end
  end
  return n > 0 and sum / n or nil
end

--- Rows over all results below `dir`, float first, the others by top-1: { method, seeds, top1 = { mean, std
-- }, best = { mean, std }, degradation, zeros, bits, epoch_seconds, published }.  get(name) gives a method.
function M.rows(dir, get)
  local groups, rows = {}, {}
  for _, r in ipairs(collect(dir, {})) do
    groups[r.method] = groups[r.method] or {}
    table.insert(groups[r.method], r)
  end
  for method, list in pairs(groups) do
    local known, d = pcall(get, method)
    rows[#rows + 1] = { method = method, seeds = #list, top1 = spread(list, "top1"),
      best = spread(list, "best_top1"), zeros = spread(list, "zeros").mean, bits = spread(list, "bits").mean,
      epoch_seconds = spread(list, "epoch_seconds").mean,
      degradation = method ~= "float" and degradation(list, groups.float) or nil,
      published = M.anchor(known and d.published or nil) }
  end
  table.sort(rows, function(a, b)
    if (a.method == "float") ~= (b.method == "float") then return a.method == "float" end
    if a.top1.mean ~= b.top1.mean then return a.top1.mean > b.top1.mean end
    return a.method < b.method
  end)
  return rows
end

return M
