--- trit csv: the series of a run as CSV files (RFC 4180), numbers in full precision.
local csvfile = require "trit.csvfile"
local lfs = require "lfs"
local runfile = require "trit.runfile"

local csv = { name = "csv", group = "look", summary = "the series of a run as CSV files" }

csv.epilog = "Writes one file per group: train.csv, val.csv, layers.csv (all series of all layers) and\n" ..
  "histograms.csv (one row per layer, record and bin, with the cuts of the record; kind says bin, under,\n" ..
  "over, or exact_zero, which the bins count too).  NaN and infinity are written as nan, inf, -inf."

function csv.setup(parser)
  parser:argument("run", "run directory or run.h5"):argname("RUN")
  parser:option("-o --output", "directory to write to (default: csv/ in the run)"):argname("DIR")
  parser:flag("--json", "the list of files as one JSON document")
end

-- step, epoch, wall_time first, then by name; rows of several numbers become name_1, name_2, ...
local function columns(series)
  local names, first = {}, { step = 1, epoch = 2, wall_time = 3 }
  for name, values in pairs(series) do
    if type(values) == "table" and #values == series.n and name ~= "hist" then names[#names + 1] = name end
  end
  table.sort(names, function(a, b)
    local x, y = first[a] or 9, first[b] or 9
    if x ~= y then return x < y end
    return a < b
  end)
  local out = {}
  for _, name in ipairs(names) do
    local width = type(series[name][1]) == "table" and #series[name][1] or 0
    if width == 0 then out[#out + 1] = { title = name, name = name } end
    for k = 1, width do out[#out + 1] = { title = name .. "_" .. k, name = name, at = k } end
  end
  return out
end

local function pick(series, column, row)
  local values = series[column.name]
  local v = values and values[row]
  if column.at then return v and v[column.at] end
  return v
end

local function titles(list, first)
  local head = { first }
  for _, c in ipairs(list) do head[#head + 1] = c.title end
  return head
end

-- One row per record.
local function write_group(path, series)
  local list, rows = columns(series), {}
  for row = 1, series.n do
    rows[row] = {}
    for i, c in ipairs(list) do rows[row][i] = pick(series, c, row) end
  end
  return csvfile.save(path, titles(list), rows)
end

-- One row per layer and record, with the columns that any layer has.
local function write_layers(path, run, names)
  local all, seen, list = {}, {}, {}
  for _, name in ipairs(names) do
    all[name] = assert(run:layer(name))
    for _, c in ipairs(columns(all[name])) do
      if not seen[c.title] then list[#list + 1] = c end
      seen[c.title] = true
    end
  end
  local rows = {}
  for _, name in ipairs(names) do
    for record = 1, all[name].n do
      local row = { name }
      for i, c in ipairs(list) do row[i + 1] = pick(all[name], c, record) end
      rows[#rows + 1] = row
    end
  end
  return csvfile.save(path, titles(list, "layer"), rows)
end

-- The record of the layer that was written at a step of its histogram.
local function record_at(layer, step)
  for i = layer.n, 1, -1 do
    if layer.step[i] == step then return i end
  end
end

-- One row per layer, record and bin; below the first edge, above the last and exactly 0 are rows of
-- their own kind, so that the counts of the kinds bin, under and over add up to the weights.
local function write_histograms(path, run, names)
  local file, why = csvfile.create(path,
    { "layer", "step", "epoch", "kind", "low", "high", "count", "cut_low", "cut_high" })
  if not file then return nil, why end
  for _, name in ipairs(names) do
    local layer, hist = assert(run:layer(name)), assert(run:series("layers/" .. name .. "/hist"))
    for row = 1, hist.n do
      local step, record = hist.step[row], record_at(layer, hist.step[row])
      local epoch = record and layer.epoch and layer.epoch[record]
      local low, high = run:cuts(name, layer, record)
      local first, last = hist.edges[1], hist.edges[#hist.edges]
      local function add(kind, from, to, count)
        file:row { name, step, epoch, kind, from, to, count, low, high }
      end
      add("under", -math.huge, first, hist.under[row])
      for b, count in ipairs(hist.counts[row]) do add("bin", hist.edges[b], hist.edges[b + 1], count) end
      add("over", last, math.huge, hist.over[row])
      add("exact_zero", 0, 0, hist.zeros[row])
    end
  end
  return file:close()
end

-- The files to write: { { name, function(path) }, ... }.
local function plan(run)
  local list = {}
  local groups, why = run:groups()
  if not groups then return nil, why end
  for _, group in ipairs(groups) do
    local series, reason = run:series(group)
    if not series then return nil, reason end
    list[#list + 1] = { group, function(path) return write_group(path, series) end }
  end
  local names, message = run:layers()
  if not names then return nil, message end
  if #names > 0 then
    list[#list + 1] = { "layers", function(path) return write_layers(path, run, names) end }
    list[#list + 1] = { "histograms", function(path) return write_histograms(path, run, names) end }
  end
  return list
end

function csv.run(args)
  local run, why = runfile.open(args.run)
  if not run then return nil, why end
  local list, message = plan(run)
  if not list then return nil, message end
  local dir = args.output or run.dir .. "/csv"
  if lfs.attributes(dir, "mode") ~= "directory" then
    local ok, reason = lfs.mkdir(dir)
    if not ok then return nil, ("cannot create directory '%s': %s"):format(dir, reason) end
  end
  local written = {}
  for _, item in ipairs(list) do
    local path = dir .. "/" .. item[1] .. ".csv"
    local ok, reason = item[2](path)
    if not ok then return nil, reason end
    written[#written + 1] = path
    if not args.json then print(path) end
  end
  if args.json then
    local json = require "trit.json"
    print(json.encode({ run = run.path, files = json.array(written) }, { indent = true }))
  end
  return 0
end

return csv
