--- trit scan: accuracy and zeros of a trained net against the threshold, without training.
local progress = require "trit.progress"
local term = require "trit.term"

local scan = { name = "scan", group = "look",
               summary = "accuracy and zeros of a trained net against the threshold, no training" }

scan.epilog = [[
The net is made again from the run's configuration and its newest checkpoint; at every delta its float
weights are ternarized anew and the test images of the run's data are evaluated.  Layers with a
quantizer keep their rule, only the threshold moves; float layers take --scale tga.  delta is in units
of each layer's sigma; with --absolute in units of the weights.

  trit scan runs/float --delta 0:2:0.1               all layers together
  trit scan runs/tga --layer layer3 --delta 0.5:1.5:0.1
  trit scan runs/tga --each --delta 0.3:1.2:0.3      every layer on its own, the others as trained
  trit scan runs/float --delta 0:2:0.1 --scale twn --batch-norm 20 --csv scan.csv]]

local MAX_POINTS = 10000
local PLOT_HEIGHT = 12
local EVALUATION_BATCH = 256

function scan.setup(parser)
  parser:argument("run", "run directory or run.h5"):argname("RUN")
  parser:option("--delta", "thresholds: A:B:STEP, or a list A,B,C"):argname("A:B:STEP")
  parser:option("--layer", "only layers whose name contains this or matches it as a Lua pattern")
    :argname("PATTERN")
  parser:flag("--each", "scan every layer on its own")
  parser:flag("--absolute", "delta in units of the weights, not of sigma")
  parser:option("--scale", "rule instead of the layers' own"):choices({ "tga", "twn" })
  parser:option("--batch-norm", "take the batch-norm statistics anew from N training batches")
    :argname("N"):default("0"):convert(math.tointeger)
  parser:option("--data", "another data set (default: the run's)"):argname("SPEC")
  parser:option("--images", "evaluate at most so many test images"):argname("N"):convert(math.tointeger)
  parser:flag("--best", "the checkpoint of the best epoch, not the newest")
  parser:option("--threads", "compute threads"):argname("N"):convert(math.tointeger)
  parser:option("--csv", "also write the points to this file"):argname("FILE")
  parser:flag("--json", "one JSON document instead of the table")
  parser:flag("--quiet", "no progress")
end

local function usage(fmt, ...) error({ exit = 2, message = fmt:format(...) .. "; see trit scan --help" }) end

local function range(text, first, last, step)
  if not (first and last and step) then usage("--delta takes numbers A:B:STEP, not \"%s\"", text) end
  if step <= 0 or last < first then usage("--delta %s: STEP must be > 0 and B >= A", text) end
  local n = math.floor((last - first) / step + 1e-9) -- B itself, however A + n STEP rounds
  if n + 1 > MAX_POINTS then usage("--delta %s has %.0f points; the most are %d", text, n + 1, MAX_POINTS) end
  local list = {}
  for i = 0, n do list[i + 1] = tonumber(("%.12g"):format(first + i * step)) end
  return list
end

--- "0:2:0.1" or "0.5,0.7" -> list of numbers.
function scan.deltas(text)
  if not text then usage("which thresholds?  --delta A:B:STEP") end
  local a, b, step = text:match("^([^:]+):([^:]+):([^:]+)$")
  local list = a and range(text, tonumber(a), tonumber(b), tonumber(step)) or {}
  if not a then
    for word in (text .. ","):gmatch("([^,]*),") do
      list[#list + 1] = tonumber(word) or usage("--delta takes A:B:STEP or numbers, not \"%s\"", text)
    end
  end
  for _, delta in ipairs(list) do
    if not (delta >= 0 and delta < math.huge) then usage("--delta %s: thresholds are >= 0", text) end
  end
  return list
end

local function write_csv(path, result)
  local csv = require "trit.csvfile"
  local columns = { "layer", "delta", "cut", "top1", "top5", "loss", "images", "zeros", "net_zeros", "bits" }
  local rows = {}
  for i, p in ipairs(result.points) do
    rows[i] = {}
    for k, name in ipairs(columns) do rows[i][k] = p[name] == nil and "" or p[name] end
    if not result.each then rows[i][1] = #result.layers == 1 and result.layers[1].name or "all scanned" end
  end
  return csv.save(path, columns, rows)
end

local function curves(points, unicode)
  local x, top1, zeros = {}, {}, {}
  for i, p in ipairs(points) do x[i], top1[i], zeros[i] = p.delta, p.top1, p.zeros end
  return { { name = "top-1", x = x, y = top1, mark = unicode and "●" or "*" },
           { name = "zeros", x = x, y = zeros, mark = unicode and "○" or "o" } }
end

local function print_points(points, layer, trained, unit)
  local rows, best = {}, nil
  for _, p in ipairs(points) do best = (not best or p.top1 > best.top1) and p or best end
  for i, p in ipairs(points) do
    rows[i] = { term.number(p.delta, "%g"), term.number(p.cut), term.percent(p.top1, 2),
      ("%+.2f"):format(100 * (p.top1 - trained.top1)), term.percent(p.top5, 2), term.number(p.loss),
      term.percent(p.zeros), term.percent(p.net_zeros), term.number(p.bits, "%.2f"),
      p == best and "best" or "" }
  end
  if layer then print(layer) end
  print(term.table({ "delta/" .. unit, "cut", "top-1", "vs trained", "top-5", "loss", "zeros", "of net",
    "bits", "" }, rows, { true, true, true, true, true, true, true, true, true }))
end

local function print_layers(result)
  local rows = {}
  for i, l in ipairs(result.layers) do
    rows[i] = { l.name, l.rule, ("%d"):format(l.weights), term.number(l.sigma), term.number(l.trained_sigma),
      term.number(l.trained_delta), term.percent(l.trained_zeros) }
  end
  local head = { "layer", "rule", "weights", "sigma", "trained delta/sigma", "trained cut", "zeros" }
  print(term.table(head, rows, { [3] = true, [4] = true, [5] = true, [6] = true, [7] = true }) .. "\n")
end

-- Points of each table: all of them, or one group a layer.
local function groups(result)
  if not result.each then return { { points = result.points } } end
  local list, by_name = {}, {}
  for _, p in ipairs(result.points) do
    if not by_name[p.layer] then
      by_name[p.layer] = { title = p.layer, points = {} }
      list[#list + 1] = by_name[p.layer]
    end
    table.insert(by_name[p.layer].points, p)
  end
  return list
end

local function print_result(path, result)
  local unicode = term.unicode()
  local t = result.trained
  print(("%s as trained: top-1 %s, zeros %s, %.2f bits per weight, %d test images\n"):format(path,
    term.percent(t.top1, 2), term.percent(t.net_zeros), t.bits, t.images))
  print_layers(result)
  for _, g in ipairs(groups(result)) do
    print_points(g.points, g.title, t, result.unit == "sigma" and "sigma" or "w")
    if #g.points > 1 then
      print()
      for _, line in ipairs(term.plot(curves(g.points, unicode),
        { width = term.width(), height = PLOT_HEIGHT, unicode = unicode, low = 0, high = 1,
          format = function(v) return ("%3.0f %%"):format(100 * v) end })) do
        print(line)
      end
    end
    print()
  end
end

local function load(args)
  local trained = require "trit.trained"
  local net, config, dataset, note = trained.load(args.run,
    { which = args.best and "best" or nil, unknown = args.scale and "float" or nil })
  if not net then return nil, config end
  if note then io.stderr:write("trit scan: " .. note .. "\n") end
  return net, trained.open(dataset, { spec = args.data, batch = EVALUATION_BATCH, limit = args.images })
end

local function watcher(quiet)
  local bar
  return function(done, total)
    bar = bar or progress.new { total = total, label = "scan", quiet = quiet }
    bar:update(done, "points", require("luv").hrtime() * 1e-9)
    if done == total then bar:clear() end
  end
end

function scan.run(args)
  local deltas = scan.deltas(args.delta)
  if args.threads then require("trit.core").threads(args.threads) end
  local net, data = load(args)
  if not net then return nil, data end
  local result = require("trit.scan").run { net = net, data = data, deltas = deltas, pattern = args.layer,
    scale = args.scale, unit = args.absolute and "weight" or "sigma", each = args.each,
    batch_norm = args.batch_norm, progress = watcher(args.quiet or args.json) }
  if args.csv then
    local ok, why = write_csv(args.csv, result)
    if not ok then return nil, why end
  end
  if args.json then
    result.run, result.data = args.run, data.spec
    print(require("trit.json").encode(result, { indent = true }))
  else
    print_result(args.run, result)
  end
  return 0
end

return scan
