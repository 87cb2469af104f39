--- trit csv: the series of a run as CSV files (RFC 4180), numbers in full precision.
local json = require "trit.json"
local lfs = require "lfs"
local runfile = require "trit.runfile"

local csv = { name = "csv", group = "look", summary = "the series of a run as CSV files" }

csv.epilog = "Writes one file per group: train.csv, val.csv, layers.csv (all series of all layers) and\n" ..
  "histograms.csv (one row per layer, record and bin).  NaN and infinity are written as nan, inf, -inf."

function csv.setup(parser)
  parser:argument("run", "run directory or run.h5"):argname("RUN")
  parser:option("-o --output", "directory to write to (default: csv/ in the run)"):argname("DIR")
end

local function cell(v)
  if v == nil then return "" end
  if type(v) == "number" then
    if v ~= v then return "nan" end
    if v == math.huge or v == -math.huge then return v > 0 and "inf" or "-inf" end
    return json.encode(v)
  end
  v = tostring(v)
  return v:find("[\",\r\n]") and '"' .. v:gsub('"', '""') .. '"' or v
end

local function write_row(file, cells)
  assert(file:write(table.concat(cells, ","), "\r\n"))
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

local function write_group(file, series)
  local list, head = columns(series), {}
  for i, c in ipairs(list) do head[i] = cell(c.title) end
  write_row(file, head)
  for row = 1, series.n do
    local cells = {}
    for i, c in ipairs(list) do cells[i] = cell(pick(series, c, row)) end
    write_row(file, cells)
  end
end

local function write_layers(file, run, names)
  local all, seen, list = {}, {}, {}
  for _, name in ipairs(names) do
    all[name] = assert(run:layer(name))
    for _, c in ipairs(columns(all[name])) do
      if not seen[c.title] then list[#list + 1] = c end
      seen[c.title] = true
    end
  end
  local head = { "layer" }
  for _, c in ipairs(list) do head[#head + 1] = cell(c.title) end
  write_row(file, head)
  for _, name in ipairs(names) do
    for row = 1, all[name].n do
      local cells = { cell(name) }
      for _, c in ipairs(list) do cells[#cells + 1] = cell(pick(all[name], c, row)) end
      write_row(file, cells)
    end
  end
end

local function write_histograms(file, run, names)
  write_row(file, { "layer", "step", "low", "high", "count" })
  for _, name in ipairs(names) do
    local hist = assert(run:series("layers/" .. name .. "/hist"))
    for row = 1, hist.n do
      for b, count in ipairs(hist.counts[row]) do
        write_row(file, { cell(name), cell(hist.step[row]), cell(hist.edges[b]),
                          cell(hist.edges[b + 1]), cell(count) })
      end
    end
  end
end

local function save(dir, name, body, ...)
  local path = dir .. "/" .. name .. ".csv"
  local file, why = io.open(path, "wb")
  if not file then return nil, why end
  local ok, message = pcall(body, file, ...)
  local closed, reason = file:close()
  if not ok or not closed then return nil, ("'%s': %s"):format(path, message or reason) end
  print(path)
  return true
end

function csv.run(args)
  local run, why = runfile.open(args.run)
  if not run then return nil, why end
  local dir = args.output or run.dir .. "/csv"
  if lfs.attributes(dir, "mode") ~= "directory" then
    local ok, message = lfs.mkdir(dir)
    if not ok then return nil, ("cannot create directory '%s': %s"):format(dir, message) end
  end
  for _, group in ipairs(assert(run:groups())) do
    local series, reason = run:series(group)
    if not series then return nil, reason end
    local ok, message = save(dir, group, write_group, series)
    if not ok then return nil, message end
  end
  local names = run:layers() or {}
  if #names == 0 then return 0 end
  local ok, message = save(dir, "layers", write_layers, run, names)
  if ok then ok, message = save(dir, "histograms", write_histograms, run, names) end
  if not ok then return nil, message end
  return 0
end

return csv
