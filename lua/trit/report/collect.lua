--- What a report is made of: runs read from disk, the options in which they differ, the Pareto front.
--
--     local data = collect.runs({ "runs/sweep/a", "runs/sweep/b" }, "runs/sweep")
--
-- data: { title, runs, points, unreadable, varied }; varied: names of the script's options that differ,
-- sorted; points: replicates joined (trit.report.replicates), nil when there are none.
-- A run: { key = "r1", name, dir, status, message, created, seconds, log_seconds, config (flat),
-- params, model, quantizer, top1, best, loss, zeros, epochs, threshold (mean over layers, sigma), front,
-- train, val, layers }.
-- train and val: lists of equal length by name, with x in epochs.  A layer: { name, weights, x, and by
-- name: z (threshold in sigma), threshold, low, high (the cuts), zeros, flips, w, scale, sigma }.
local flat = require "trit.flat"
local replicates = require "trit.report.replicates"
local runfile = require "trit.runfile"
local runs = require "trit.runs"

local collect = {}

local TEXT_LENGTH = 48 -- characters of a run's name that fit a label

-- Steps of one epoch: as its end showed; before the first end as the data set's description says.
local function steps_per_epoch(train, val, config)
  if val.n > 0 and val.epoch and val.step and val.epoch[val.n] > 0 then
    return val.step[val.n] / val.epoch[val.n]
  end
  local images, batch = tostring(config.data):match(": (%d+) train .- batches of (%d+) ")
  if images then return math.ceil(images / batch) end
  local n = 0
  for i = 1, train.n do
    if train.epoch and train.epoch[i] == train.epoch[1] then n = n + 1 end
  end
  return math.max(n, 1)
end

local function with_epochs(series, per_epoch)
  series.x = {}
  for i = 1, series.n do
    series.x[i] = series.step and series.step[i] / per_epoch or i
  end
  return series
end

local function read_layer(run, name, per_epoch)
  local layer = run:layer(name)
  if not layer or layer.n == 0 then return nil end
  local out = { name = name, n = layer.n, x = {}, z = {}, low = {}, high = {}, step = layer.step,
    threshold = layer.threshold, scale = layer.scale, sigma = layer.sigma, mu = layer.mu,
    flips = layer.flips, w = layer.shapiro_w, zeros = run:zero_shares(layer), edges = layer.hist.edges }
  for i = 1, layer.n do
    out.x[i] = layer.epoch and layer.epoch[i] or layer.step[i] / per_epoch
    local low, high = run:cuts(name, layer, i)
    out.low[i], out.high[i] = low or false, high or false
    out.z[i] = layer.threshold and layer.sigma and layer.threshold[i] / layer.sigma[i] or false
  end
  if not layer.threshold then out.z, out.low, out.high = nil, nil, nil end
  return out
end

-- Mean over the layers, record by record; layers weigh the same.
local function mean_over_layers(layers, field)
  local sums, x = {}, nil
  for _, layer in ipairs(layers) do
    local values = layer[field]
    if values then
      x = x or layer.x
      for i, v in ipairs(values) do
        if v and v == v then
          sums[i] = sums[i] or { 0, 0 }
          sums[i][1], sums[i][2] = sums[i][1] + v, sums[i][2] + 1
        end
      end
    end
  end
  if not x then return nil end
  local out = { x = x }
  for i = 1, #x do out[i] = sums[i] and sums[i][1] / sums[i][2] or 0 / 0 end
  return out
end

local function read_run(dir)
  local row = runs.summary(dir)
  if row.status == "unreadable" then return nil, row end
  local run = runfile.open(dir)
  local train, val = run:series("train") or { n = 0 }, run:series("val") or { n = 0 }
  local per_epoch = steps_per_epoch(train, val, row.config)
  row.dir, row.flat, row.layers = dir, flat.map(row.config), {}
  row.train, row.val = with_epochs(train, per_epoch), with_epochs(val, per_epoch)
  for _, name in ipairs(run:layers() or {}) do
    row.layers[#row.layers + 1] = read_layer(run, name, per_epoch)
  end
  row.thresholds = mean_over_layers(row.layers, "z")
  row.flips = mean_over_layers(row.layers, "flips")
  local last = row.thresholds and row.thresholds[#row.thresholds]
  row.threshold = last == last and last or nil
  return row
end

local function text_of(v)
  if type(v) == "number" then return ("%.6g"):format(v) end
  return tostring(v)
end

-- Options of the scripts that are not the same in all runs; `out` and the like are paths, no settings.
local function varied_options(list)
  local values, names = {}, {}
  for _, run in ipairs(list) do
    for name, v in pairs(run.params) do
      values[name] = values[name] or {}
      values[name][text_of(v)] = true
    end
  end
  for name, seen in pairs(values) do
    local first = next(seen)
    local lacking = false
    for _, run in ipairs(list) do lacking = lacking or run.params[name] == nil end
    if next(seen, first) ~= nil or lacking then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- By the options in which they differ, first name first; numbers before texts before nothing.
local function sort_runs(data)
  local place = {}
  for i, run in ipairs(data.runs) do place[run] = i end
  local rank = { number = 1, string = 2, boolean = 3 }
  table.sort(data.runs, function(a, b)
    for _, name in ipairs(data.varied) do
      local x, y = a.params[name], b.params[name]
      local p, q = rank[type(x)] or 4, rank[type(y)] or 4
      if p ~= q then return p < q end
      if p == 3 then x, y = tostring(x), tostring(y) end
      if p < 4 and x ~= y then return x < y end
    end
    return place[a] < place[b]
  end)
end

-- The part of the paths that tells the runs apart.
local function tail_of(dir, root)
  local tail = dir:sub(1, #root) == root and dir:sub(#root + 1):gsub("^/+", "") or dir
  return tail ~= "" and tail or dir:match("[^/]+$") or dir
end

-- Name of a run: its varied options where they are few and tell it from the others, else its path.
local function name_runs(data, root)
  local taken, unique = {}, #data.varied > 0
  for i, run in ipairs(data.runs) do
    local words = {}
    for _, name in ipairs(data.varied) do
      if run.params[name] ~= nil then words[#words + 1] = name .. "=" .. text_of(run.params[name]) end
    end
    run.key, run.path = "r" .. i, tail_of(run.dir, root)
    run.name = table.concat(words, " ")
    unique = unique and run.name ~= "" and not taken[run.name] and #run.name <= TEXT_LENGTH
    taken[run.name] = true
  end
  for _, run in ipairs(data.runs) do
    if not unique then run.name = run.path end
  end
end

--- The run of the greatest last top-1; nil when none has one.
function collect.best(list)
  local best
  for _, run in ipairs(list) do
    if run.top1 and run.top1 == run.top1 and (not best or run.top1 > best.top1) then best = run end
  end
  return best
end

--- Mark the runs that no other beats in both accuracy and zeros; returns them by rising zeros.
function collect.front(list)
  local sorted, front = {}, {}
  for _, run in ipairs(list) do
    run.front = false
    if run.top1 and run.zeros and run.top1 == run.top1 then sorted[#sorted + 1] = run end
  end
  table.sort(sorted, function(a, b)
    if a.zeros ~= b.zeros then return a.zeros > b.zeros end
    return a.top1 > b.top1
  end)
  local best = -math.huge
  for _, run in ipairs(sorted) do
    if run.top1 > best then
      best, run.front = run.top1, true
      table.insert(front, 1, run)
    end
  end
  return front
end

--- Read runs.  dirs: run directories; root: what they have in common, for their names; in_order: keep
-- their order instead of sorting by the options in which they differ.
-- Returns the data; unreadable files are listed in it, not fatal.
function collect.runs(dirs, root, in_order)
  local data = { title = root, root = root, runs = {}, unreadable = {} }
  for _, dir in ipairs(dirs) do
    local run, failure = read_run(dir)
    if run then
      data.runs[#data.runs + 1] = run
    else
      data.unreadable[#data.unreadable + 1] = failure
    end
  end
  data.varied = varied_options(data.runs)
  if not in_order then sort_runs(data) end
  name_runs(data, root)
  data.points = replicates.join(data.runs, data.varied)
  data.front = collect.front(data.points or data.runs)
  for _, p in ipairs(data.points or {}) do
    for _, run in ipairs(p.runs) do run.front = p.front end
  end
  return data
end

return collect
