--- Writing a run file: what trit.train calls, and what a training loop of one's own may call.
--
--     local log <close> = assert(runlog.create("runs/one", { config = { ... } }))
--     log:train { step = 10, epoch = 0.1, loss = 2.1, lr = 0.1 }
--     log:val   { step = 390, epoch = 1, top1 = 0.43, top5 = 0.91, loss = 1.6 }
--     log:layer("layer1.0.conv1.weight", { step = 390, epoch = 1, weights = w, codes = q:codes(),
--                                          threshold = 0.05, scale = 0.11 })
--     log:finish("complete")            -- | "failed" | "interrupted", with a message
--
-- The file is RUN/run.h5; every record is on its way to other readers when the call returns.
-- Leaving the scope of `log <close>` by an error marks the run failed with the error's message;
-- leaving it without finish marks it interrupted.
local core = require "trit.core"
local json = require "trit.json"
local lfs = require "lfs"
local stats = require "trit.stats"

local runlog = {}
local Log = {}
Log.__index = Log

local defaults = {
  bins = 101,            -- of a weight histogram; odd, so that zero lies inside the middle bin
  sigmas = 4,            -- half width of the histogram in rms of the first logged weights
  shapiro = true,        -- Shapiro-Wilk W per layer record
  subsamples = 20,       -- of layers too large for a p value of their own
  subsample_size = 5000, -- the largest n the p value is fitted for
  stats_seed = 0,        -- draws the subsamples
}

local option_names = { config = true, seconds = true }
for name in pairs(defaults) do option_names[name] = true end

local function make_directory(path)
  local parent = path:match("^(.+)/[^/]+/*$")
  if parent and parent ~= "" and not lfs.attributes(parent, "mode") then
    local ok, message = make_directory(parent)
    if not ok then return nil, message end
  end
  if lfs.attributes(path, "mode") == "directory" then return true end
  local ok, message = lfs.mkdir(path)
  if not ok and lfs.attributes(path, "mode") ~= "directory" then
    return nil, ("cannot create directory '%s': %s"):format(path, message)
  end
  return true
end

local function new_log(file, dir, options)
  local log = setmetatable({
    dir = dir, path = dir .. "/run.h5",
    file = file, layers = {}, rows = {}, finished = false,
  }, Log)
  for name, value in pairs(defaults) do
    log[name] = options[name] == nil and value or options[name]
  end
  return log
end

local function check_options(where, options)
  for name in pairs(options) do
    if not option_names[name] then
      error(("%s: unknown option \"%s\""):format(where, tostring(name)), 3)
    end
  end
end

--- Begin a run file.
-- dir: directory of the run, created if missing; an old run.h5 in it is replaced.
-- options: config (any table: options, seed, script, versions, ...), bins, sigmas, shapiro,
-- subsamples, subsample_size, stats_seed (see above).
-- Returns the log, or nil and a sentence (directory not writable; another process writes it).
function runlog.create(dir, options)
  options = options or {}
  check_options("runlog.create", options)
  local ok, message = make_directory(dir)
  if not ok then return nil, message end
  local config = options.config or {}
  local file, why = core.runlog_create(dir .. "/run.h5", json.encode(config, { indent = true }))
  if not file then return nil, why end
  return new_log(file, dir, options)
end

--- Continue a run file; histograms keep their edges.
-- from: what log:position() said: later records are removed, and fewer than that are an error; or a
-- step: records beyond it are removed.
-- Returns the log, or nil and a sentence.
function runlog.resume(dir, from, options)
  options = options or {}
  check_options("runlog.resume", options)
  local file, why = core.runlog_resume(dir .. "/run.h5", from)
  if not file then return nil, why end
  local log = new_log(file, dir, options)
  if type(from) == "table" then
    for group, rows in pairs(from) do log.rows[group] = rows end
  else
    log.rows = nil
  end
  return log
end

local function sorted_names(fields)
  local names = {}
  for name in pairs(fields) do
    if type(name) ~= "string" then
      core.raise("runlog: a record is a table of named numbers, as in { step = 1, loss = 0.5 }")
    end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function need_step(method, fields)
  if type(fields) ~= "table" or not math.tointeger(fields.step) then
    error(("runlog.%s: a record needs its step, a whole number"):format(method), 3)
  end
end

-- One record of a group; `fixed` names what is written once.
local function append(self, group, fields, fixed)
  group = group:gsub("^/+", "")
  self.file:record(group, sorted_names(fields), fields, fixed)
  if self.rows then self.rows[group] = (self.rows[group] or 0) + 1 end
end

--- Where the file ends: { [group] = records }, for runlog.resume.
function Log:position()
  if not self.rows then error("runlog.position: not known after a resume by step", 2) end
  local copy = {}
  for group, rows in pairs(self.rows) do copy[group] = rows end
  return copy
end

--- Append one record to a group of series; names used for the first time begin a series.
-- group: path such as "train".  fields: { step =, name = number | row of numbers, ... }.
function Log:record(group, fields)
  need_step("record", fields)
  append(self, group, fields)
  self.file:commit()
end

local function timed(self, group, fields)
  local all = {}
  for name, value in pairs(fields) do all[name] = value end
  all.wall_time = all.wall_time or self.file:elapsed()
  append(self, group, all)
  self.file:commit()
end

--- One record of training: step, and any of epoch, loss, lr, ...; wall_time is added.
function Log:train(fields)
  need_step("train", fields)
  timed(self, "train", fields)
end

--- One record of validation: step, and any of epoch, top1, top5, loss; wall_time is added.
function Log:val(fields)
  need_step("val", fields)
  timed(self, "val", fields)
end

-- Edges of a layer's histogram: those already in the file after a resume, else from its weights.
local function layer_edges(self, name, weights)
  local h5 = require "trit.h5"
  local path = "layers/" .. name .. "/hist/edges"
  local f = h5.open(self.path)
  if f then
    local edges = f:exists(path) and f:read_numbers(path)
    f:close()
    if edges then return edges end
  end
  return stats.edges(weights, self.bins, self.sigmas)
end

local function flatten(value, out)
  if type(value) ~= "table" then
    out[#out + 1] = value
  else
    for i = 1, #value do flatten(value[i], out) end
  end
  return out
end

-- A number, a tensor or a table of numbers -> mean, and the row of all when there are several.
local function mean_and_row(value)
  if type(value) == "number" then return value end
  local row = flatten(type(value) == "userdata" and value:totable() or value, {})
  local sum = 0
  for i = 1, #row do sum = sum + row[i] end
  if #row == 1 then return row[1] end
  return #row > 0 and sum / #row or 0 / 0, row
end

local per_layer = { weights = true, codes = true }

local function layer_fields(fields)
  local out = {}
  for name, value in pairs(fields) do
    if not per_layer[name] then
      if type(value) == "boolean" then value = value and 1 or 0 end
      local mean, row = mean_and_row(value)
      out[name] = mean
      if row and name == "occupancy" then
        out[name] = row
      elseif row then
        out[name .. "_all"] = row
      end
    end
  end
  return out
end

local function add_codes(layer, codes, out)
  local use, packed = stats.codes(codes, layer.packed)
  layer.packed = packed
  out.occupancy = out.occupancy or use.share
  out.flips = out.flips or use.flips
end

--- One record of a layer.
-- name: of the weight, dots and all.  fields: step (required), epoch; weights: tensor, gives the
-- histogram, mu, sigma, skew, kurtosis and Shapiro-Wilk W; codes: tensor in {-1,0,1}, gives
-- occupancy and flips; threshold, scale, ...: number or tensor (one value per filter: the mean is
-- logged as `threshold` and all as `threshold_all`); other numbers as series of their own.
function Log:layer(name, fields)
  need_step("layer", fields)
  local start = core.io_clock()
  local before = self.file:cost()
  local layer = self.layers[name] or {}
  self.layers[name] = layer
  local out, group = layer_fields(fields), "layers/" .. name
  if fields.codes then add_codes(layer, fields.codes, out) end
  local hist
  if fields.weights then
    layer.edges = layer.edges or layer_edges(self, name, fields.weights)
    local w = stats.weights(fields.weights, {
      edges = layer.edges, shapiro = self.shapiro, subsamples = self.subsamples,
      size = self.subsample_size, seed = self.stats_seed,
    })
    out.mu, out.sigma = out.mu or w.mean, out.sigma or w.std
    out.skew, out.kurtosis, out.w_min, out.w_max = w.skew, w.kurtosis, w.min, w.max
    out.shapiro_w, out.shapiro_p = w.shapiro_w, w.shapiro_p
    out.shapiro_sub_w, out.shapiro_sub_p = w.sub_w, w.sub_p
    hist = { step = fields.step, counts = w.counts, edges = layer.edges, zeros = w.zeros,
             under = w.under, over = w.over }
  end
  append(self, group, out)
  if hist then append(self, group .. "/hist", hist, { edges = true }) end
  self.file:commit()
  self.file:charge((core.io_clock() - start) - (self.file:cost() - before))
end

--- The codes of each layer's last record, packed: { [name] = string }.  The next record's flips are
-- counted against them; given a table, take these (after a resume).
function Log:codes(packed)
  for name, codes in pairs(packed or {}) do
    self.layers[name] = self.layers[name] or {}
    self.layers[name].packed = codes
  end
  local all = {}
  for name, layer in pairs(self.layers) do all[name] = layer.packed end
  return all
end

--- An attribute of the file, number or text; on disk with the next record.
function Log:attr(name, value) self.file:attr(name, value) end

--- Add seconds to what logging cost: statistics made elsewhere, or before a resume.
function Log:charge(seconds) self.file:charge(seconds) end

--- Store a text beside the series, e.g. the script: log:text("script", source).
function Log:text(path, text)
  self.file:text(path, text)
end

--- Bring everything written so far to disk (at a checkpoint).
function Log:sync()
  self.file:sync()
end

--- Seconds spent on statistics and writing so far.
function Log:cost()
  if self.finished then return self.final_cost end
  return self.file:cost()
end

--- Seconds since the start of the run, time before a resume included.
function Log:elapsed()
  return self.file:elapsed()
end

local states = { complete = true, failed = true, interrupted = true }

--- End the run: status "complete", "failed" or "interrupted", message a sentence.
-- Returns true, or nil and a sentence when the last write failed.  Ending twice is fine.
function Log:finish(status, message)
  if self.finished then return true end
  if not states[status] then
    error(("runlog.finish: status must be complete, failed or interrupted, not %q")
      :format(tostring(status)), 2)
  end
  self.final_cost = self:cost()
  self.finished = true
  local ok, why = pcall(self.file.status, self.file, status, message or "")
  local closed, reason = self.file:close()
  if not ok then return nil, why end
  return closed, reason
end

function Log:__close(failure)
  if failure ~= nil then
    self:finish("failed", tostring(failure))
  else
    self:finish("interrupted", "the run ended without being finished")
  end
end

return runlog
