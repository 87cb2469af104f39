--- trit diff: how two runs differ in configuration and results.
local flat = require "trit.flat"
local runfile = require "trit.runfile"
local term = require "trit.term"

local diff = { name = "diff", group = "look", summary = "configuration and metric differences of two runs" }

function diff.setup(parser)
  parser:argument("a", "first run"):argname("RUN")
  parser:argument("b", "second run"):argname("RUN")
  parser:flag("--json", "one JSON document")
end

-- Best and last values of the validation and training series, by name.
local function metrics(run)
  local out = {}
  for _, group in ipairs { "train", "val" } do
    local series = run:series(group)
    for name, values in pairs(series and series.n > 0 and series or {}) do
      if type(values) == "table" and type(values[1]) == "number" and name ~= "step" then
        out[group .. "." .. name] = values[series.n]
      end
    end
    if series and series.top1 then
      for _, v in ipairs(series.top1) do
        if v == v then
          out[group .. ".top1.best"] = math.max(out[group .. ".top1.best"] or v, v)
        end
      end
    end
  end
  return out
end

-- Last zero share, threshold in sigma, flips of every layer.
local function layers(run)
  local out = {}
  for _, name in ipairs(run:layers() or {}) do
    local layer = run:layer(name)
    local n = layer and layer.n or 0
    local function put(what, value)
      if type(value) == "number" then out[name .. " " .. what] = value end
    end
    if n > 0 then
      put("zeros", (run:zero_shares(layer) or {})[n])
      put("threshold/sigma", layer.threshold and layer.sigma and layer.threshold[n] / layer.sigma[n])
      put("sigma", layer.sigma and layer.sigma[n])
      put("flips", layer.flips and layer.flips[n])
    end
  end
  return out
end

local function difference(x, y)
  if type(x) ~= "number" or type(y) ~= "number" then return "" end
  return ("%+.4g"):format(y - x)
end

local function compare(a, b, show)
  local names, seen, out = {}, {}, {}
  for _, t in ipairs { a, b } do
    for name in pairs(t) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local x, y = a[name], b[name]
    local both_nan = x ~= x and y ~= y
    if x ~= y and not both_nan then
      out[#out + 1] = { name = name, a = x, b = y, text = { name, show(x), show(y), difference(x, y) } }
    end
  end
  return out
end

local function read(path)
  local run, why = runfile.open(path)
  if not run then return nil, why end
  local config, message = run:config()
  if not config then return nil, message end
  return { path = path, config = flat.map(config), metrics = metrics(run), layers = layers(run) }
end

local NARROWEST = 20 -- columns of a value, however narrow the terminal

-- Pieces of at most `width` characters, broken at spaces where there are any.
local function wrap(text, width)
  local pieces = {}
  while term.length(text) > width do
    local last = utf8.len(text) and utf8.offset(text, width + 1) - 1 or width
    local space = text:sub(1, last + 1):match("^.*()%s")
    if space and space > last // 2 then last = space - 1 end
    pieces[#pieces + 1] = text:sub(1, last)
    text = text:sub(last + 1):gsub("^%s+", "")
  end
  pieces[#pieces + 1] = text
  return pieces
end

-- Rows of settings, long values on several lines: the table fits the terminal.
local function wrapped(rows)
  local widest, out = 0, {}
  for _, row in ipairs(rows) do widest = math.max(widest, term.length(row[1])) end
  local width = math.max(NARROWEST, (term.width() - widest - 4) // 2)
  for _, row in ipairs(rows) do
    local a, b = wrap(row[2], width), wrap(row[3], width)
    for i = 1, math.max(#a, #b) do out[#out + 1] = { i == 1 and row[1] or "", a[i] or "", b[i] or "", "" } end
  end
  return out
end

local RIGHT = { [2] = true, [3] = true, [4] = true } -- columns of numbers

-- Lines of a part; what differs alike in several layers is one, "layers.*.options.init".
local function lines_of(list)
  local lines, seen = {}, {}
  for _, d in ipairs(list) do
    local line = { flat.general(d.name), table.unpack(d.text, 2) }
    local key = table.concat(line, "\0")
    if not seen[key] then lines[#lines + 1] = line end
    seen[key] = true
  end
  return lines
end

local function print_part(title, list, a, b, numeric)
  if #list == 0 then
    print(title .. ": no difference")
    return
  end
  local rows = lines_of(list)
  if not numeric then rows = wrapped(rows) end
  local head = { "", a, b, numeric and "difference" or "" }
  print(title .. "\n" .. term.table(head, rows, numeric and RIGHT) .. "\n")
end

function diff.run(args)
  local a, why = read(args.a)
  if not a then return nil, why end
  local b, message = read(args.b)
  if not b then return nil, message end
  local config = compare(a.config, b.config, function(v)
    return v == nil and "-" or (tostring(v):gsub("\n", "; "))
  end)
  local values = compare(a.metrics, b.metrics, function(v) return term.number(v, "%.6g") end)
  local by_layer = compare(a.layers, b.layers, function(v) return term.number(v) end)
  if args.json then
    local function plain(list)
      local out = {}
      for _, d in ipairs(list) do out[d.name] = { a = d.a, b = d.b } end
      return out
    end
    print(require("trit.json").encode({ a = a.path, b = b.path, config = plain(config),
      metrics = plain(values), layers = plain(by_layer) }, { indent = true }))
    return 0
  end
  print_part("config", config, a.path, b.path)
  print_part("metrics (last values)", values, a.path, b.path, true)
  print_part("layers (last values)", by_layer, a.path, b.path, true)
  return 0
end

return diff
