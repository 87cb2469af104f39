--- What a point's run file says: last values, and the metric over the epochs.
local lfs = require "lfs"
local runfile = require "trit.runfile"

local results = {}

--- A metric's name as group and series: "val/top1", "val.top1", "top1" (of val).
function results.metric(name)
  local group, series = name:match("^(.+)[/.]([^/.]+)$")
  return group or "val", series or name
end

--- "max" or "min": what a metric of this name is better at.
function results.goal(name)
  return (name:match("loss") or name:match("error") or name:match("seconds")) and "min" or "max"
end

--- Last values of all series of a run: { val = { top1 = ... }, train = {...}, seconds = }; nil
-- when there is no readable run file.
function results.last(dir)
  local run = runfile.open(dir)
  local state = run and run:status()
  if not state then return nil end
  local out = { seconds = state.elapsed, status = state.status }
  for _, group in ipairs(run:groups() or {}) do
    local series = run:series(group)
    for name, values in pairs(series and series.n > 0 and series or {}) do
      local v = type(values) == "table" and values[series.n]
      if type(v) == "number" and v == v then
        out[group] = out[group] or {}
        out[group][name] = v
      end
    end
  end
  return out
end

--- The metric in `last` (see above); nil if it is not there.
function results.value(last, name)
  local group, series = results.metric(name)
  return last and last[group] and last[group][series]
end

local function read_curve(dir, name)
  local group, series = results.metric(name)
  local run = runfile.open(dir)
  local all = run and run:series(group)
  if not all or all.n == 0 or not all[series] then return { epoch = {}, value = {} } end
  local epoch = all.epoch
  if not epoch then -- a loop of one's own that logs steps only: records are counted
    epoch = {}
    for i = 1, all.n do epoch[i] = i end
  end
  return { epoch = epoch, value = all[series] }
end

local cache = {}

--- The metric over the epochs: { epoch = {...}, value = {...} }, possibly empty.  Files that have not
-- changed are not read again.
function results.curve(dir, name)
  local key = dir .. "\0" .. name
  local at = lfs.attributes(dir .. "/run.h5", "modification")
  local size = at and lfs.attributes(dir .. "/run.h5", "size")
  local old = cache[key]
  if at and old and old.at == at and old.size == size and os.time() - at > 2 then return old.curve end
  local curve = at and read_curve(dir, name) or { epoch = {}, value = {} }
  cache[key] = { at = at, size = size, curve = curve }
  return curve
end

return results
