--- Reading run files, finished or being written.
--
--     local run = assert(runfile.open("runs/one"))    -- the directory or the file
--     run:status()            -- { status, message, live, created, elapsed, ... }
--     run:config()            -- the configuration as a table
--     run:series("train")     -- { step = {...}, loss = {...}, ..., n = records }
--     run:layers()            -- names, in file order
--     run:layer(name)         -- series of the layer; field hist = { edges, step, zeros, under, over }
--     run:histogram(name, 3)  -- counts of the third record; -1: of the last
--     run:series("layers/NAME/hist")    -- all of them
--
-- Each call opens the file anew, so it sees the newest record.  A reader can meet the moment in
-- which a record is half on disk; it then tries again.  Series of unequal length (the same
-- moment, or a writer killed in it) are cut to the shortest.
local core = require "trit.core"
local h5 = require "trit.h5"
local json = require "trit.json"
local lfs = require "lfs"
local owner = require "trit.sweep.owner"

local runfile = {}
local Run = {}
Run.__index = Run

local TRIES = 12        -- a record takes under a millisecond to write ...
local FIRST_WAIT = 0.01 -- ... so the first waits (seconds) are usually enough; they grow linearly

--- The run.h5 that a directory or file name stands for; nil, sentence if there is none.
function runfile.find(path)
  local mode = lfs.attributes(path, "mode")
  if mode == "directory" then
    local file = path:gsub("/+$", "") .. "/run.h5"
    if lfs.attributes(file, "mode") == "file" then return file end
    return nil, ("no run in '%s': it holds no run.h5"):format(path)
  end
  if mode == "file" then return path end
  return nil, ("no run at '%s': no such file or directory"):format(path)
end

--- body(file) with the file open; repeated while it meets a half-written moment.
-- Returns what body returns; nil, sentence when the file stays unreadable.
local function with(path, body)
  local message
  for try = 1, TRIES do
    local f, why = h5.open(path)
    if f then
      local ok, result = pcall(body, f)
      f:close()
      if ok then return result end
      why = result
    end
    message = why
    if try < TRIES then core.io_sleep(FIRST_WAIT * try) end
  end
  return nil, tostring(message)
end

--- Open a run for reading.  Returns the run, or nil and a sentence.
function runfile.open(path)
  local file, why = runfile.find(path)
  if not file then return nil, why end
  local run = setmetatable({ path = file, dir = file:match("^(.*)/[^/]*$") or "." }, Run)
  local format, message = with(file, function(f) return { f:attr("", "format") } end)
  if not format then return nil, message end
  if format[1] ~= "trit run" then return nil, ("'%s' is not a run file"):format(file) end
  return run
end

local CLOCK_SLACK = 60 -- seconds the clock may have been set by since the lock was taken

-- Does the process that wrote the file still hold it?  nil when it runs on another machine.  One that
-- began after the lock was taken only has the same number.
local function writer_alive(path, hostname)
  local lock = io.open(path .. ".lock")
  if not lock then return false end
  local pid, host = (lock:read("l") or ""):match("^(%d+) (%S*)")
  lock:close()
  local here = io.open("/proc/sys/kernel/hostname")
  local name = here and here:read("l")
  if here then here:close() end
  if not pid or host ~= hostname or name ~= host then return nil end
  local began = owner.began(pid)
  return began ~= nil and began <= lfs.attributes(path .. ".lock", "modification") + CLOCK_SLACK
end

--- State of the run: { status, message, live (true, false, or nil = unknown), created, updated,
-- hostname, elapsed (seconds, at the last status), run_id, ended, resumes, and of logging, checkpoints and
-- waiting for data log_seconds, log_percent, checkpoint_..., data_wait_... }.  A run that says "running" but
-- has no living writer is reported as "killed".
function Run:status()
  local a, why = with(self.path, function(f) return f:attrs("") end)
  if not a then return nil, why end
  local live = false
  if a.status == "running" then live = writer_alive(self.path, a.hostname) end
  return {
    status = a.status == "running" and live == false and "killed" or a.status,
    message = a.status_message, live = live, created = a.created_utc, hostname = a.hostname,
    updated = lfs.attributes(self.path, "modification"),
    elapsed = a.elapsed_seconds, log_seconds = a.log_seconds, run_id = a.run_id, ended = a.status_utc,
    log_percent = a.log_percent, checkpoint_seconds = a.checkpoint_seconds,
    checkpoint_percent = a.checkpoint_percent, data_wait_seconds = a.data_wait_seconds,
    data_wait_percent = a.data_wait_percent, resumes = a.resumes,
  }
end

--- The configuration: a table (JSON null becomes nil).
function Run:config()
  return with(self.path, function(f)
    return assert(json.decode(f:read_strings("config")[1]))
  end)
end

--- A text of the file, such as "script"; nil when there is none.
function Run:text(path)
  return with(self.path, function(f) return f:exists(path) and f:read_strings(path)[1] end) or nil
end

--- Attributes of /env: versions, processor, instruction set, threads.
function Run:env()
  return with(self.path, function(f) return f:exists("env") and f:attrs("env") or {} end)
end

-- Flat numbers of a [T,K] data set -> T rows of K.
local function rows_of(numbers)
  if #numbers.shape < 2 then return numbers end
  local rows, width = {}, numbers.shape[2]
  for r = 1, numbers.shape[1] do
    rows[r] = table.move(numbers, (r - 1) * width + 1, r * width, 1, {})
  end
  rows.shape = numbers.shape
  return rows
end

local function read_series(f, group, without)
  local out, shortest = {}, math.huge
  if not f:exists(group) then return { n = 0 } end
  for _, name in ipairs(f:list(group)) do
    local path = group .. "/" .. name
    if name == without then
      shortest = math.min(shortest, f:shape(path)[1])
    elseif f:growing(path) then
      out[name] = rows_of(f:read_numbers(path))
      shortest = math.min(shortest, out[name].shape[1])
    elseif f:kind(path) == "number" then
      out[name] = f:read_numbers(path)
      out[name].fixed = true
    end
  end
  local n = shortest < math.huge and shortest or 0
  for name, series in pairs(out) do
    if not series.fixed then
      for i = #series, n + 1, -1 do series[i] = nil end
    end
    series.shape, series.fixed = nil, nil
    out[name] = series
  end
  out.n = n
  return out
end

--- All series of a group as tables of equal length, plus n, their length (0: no such group).
function Run:series(group)
  return with(self.path, function(f) return read_series(f, group) end)
end

-- Place of each layer in the network, from the configuration; empty when it does not say.
local function network_order(f)
  local text = f:exists("config") and f:read_strings("config")[1]
  local config = text and json.decode(text)
  local order = {}
  for i, l in ipairs(type(config) == "table" and type(config.layers) == "table" and config.layers or {}) do
    if type(l) == "table" and l.name then order[l.name] = i end
  end
  return order
end

--- Names of the logged layers in the order of the network, others after them by name with numbers in
-- numeric order.
function Run:layers()
  local order
  local names, why = with(self.path, function(f)
    order = network_order(f)
    return f:exists("layers") and f:list("layers") or {}
  end)
  if not names then return nil, why end
  local function key(name)
    return (name:gsub("%d+", function(d) return ("%08d"):format(tonumber(d)) end))
  end
  table.sort(names, function(a, b)
    local x, y = order[a] or math.huge, order[b] or math.huge
    if x ~= y then return x < y end
    return key(a) < key(b)
  end)
  return names
end

--- Series of one layer; hist holds those of its histogram but for the counts.
function Run:layer(name)
  return with(self.path, function(f)
    local group = "layers/" .. name
    if not f:exists(group) then return { n = 0, hist = { n = 0 } } end
    local layer = read_series(f, group)
    layer.hist = read_series(f, group .. "/hist", "counts")
    return layer
  end)
end

--- Histogram counts of one record of a layer: row = 1 is the first record, -1 the last.
-- Returns a table of counts, or nil and a sentence.
function Run:histogram(name, row)
  return with(self.path, function(f)
    local group = "layers/" .. name .. "/hist"
    local n = read_series(f, group, "counts").n
    local at = row < 0 and n + 1 + row or row
    if at < 1 or at > n then
      error(("layer '%s' has %d histogram records, asked for %d"):format(name, n, row), 0)
    end
    local counts = f:read_numbers(group .. "/counts", at, 1)
    counts.shape = nil
    return counts
  end)
end

-- Names of the layers whose quantizer's options centre the cuts at mu; read once.
local function centred_at_mean(run)
  if not run.at_mean then
    run.at_mean = {}
    local config = run:config()
    local layers = type(config) == "table" and type(config.layers) == "table" and config.layers or {}
    for _, l in ipairs(layers) do
      run.at_mean[l.name] = type(l.options) == "table" and l.options.center == "mean"
    end
  end
  return run.at_mean
end

-- Where the cuts are centred; from the options where the records do not say.
local function centre_of(run, name, layer, record)
  if layer.center then return layer.center[record] end
  return centred_at_mean(run)[name] and layer.mu and layer.mu[record] or 0
end

--- The two cuts of a layer at a record: low, high; nil for a float layer.
-- layer: what run:layer(name) gave.
function Run:cuts(name, layer, record)
  local delta = record and layer.threshold and layer.threshold[record]
  if type(delta) ~= "number" or delta ~= delta then return nil end
  local centre = centre_of(self, name, layer, record)
  return centre - delta, centre + delta
end

--- Share of zero codes at every record; nil for a float layer.
function Run:zero_shares(layer)
  if not layer.occupancy then return nil end
  local shares = {}
  for i = 1, layer.n do shares[i] = layer.occupancy[i][2] end
  return shares
end

--- Names of the groups of series at the top: "train", "val", ...
function Run:groups()
  return with(self.path, function(f)
    local out = {}
    for _, name in ipairs(f:list("")) do
      if name ~= "layers" and name ~= "env" and f:kind(name) == "group" then out[#out + 1] = name end
    end
    return out
  end)
end

return runfile
