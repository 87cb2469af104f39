--- trit inspect: the weights of a run's layers, also while it is written.
local runfile = require "trit.runfile"
local term = require "trit.term"

local inspect = { name = "inspect", group = "look",
                  summary = "weight histograms with both cuts, and their course over the epochs" }

local HISTOGRAM_HEIGHT = 8 -- lines
local MARGIN = 4           -- columns left of the pictures
local SPARK_WIDTH = 40     -- columns of a series over the records
local TABLE_SPARK = 16     -- the same in a table

function inspect.setup(parser)
  parser:argument("run", "run directory or run.h5"):argname("RUN")
  parser:argument("pattern", "layers whose name contains this or matches it as a Lua pattern")
    :args("?"):argname("LAYER-PATTERN")
  parser:option("--epoch", "the record of this epoch (default: the last)"):argname("N")
    :convert(tonumber)
  parser:flag("--table", "one line per layer instead of pictures")
  parser:flag("--json", "one JSON document instead of pictures")
end

local function matches(name, pattern)
  if not pattern or name:find(pattern, 1, true) then return true end
  local ok, found = pcall(string.find, name, pattern)
  return ok and found ~= nil
end

-- The record to show: the last, or the last of an epoch.
local function record_of(layer, epoch)
  if layer.n == 0 then return nil, "no record yet" end
  if not epoch then return layer.n end
  local found
  for i = 1, layer.n do
    if layer.epoch and math.ceil(layer.epoch[i]) == epoch then found = i end
  end
  if found then return found end
  return nil, ("no record of epoch %g; epochs %g to %g are there"):format(epoch,
    layer.epoch and layer.epoch[1] or 0, layer.epoch and layer.epoch[layer.n] or 0)
end

local function value(layer, name, record)
  local v = layer[name] and layer[name][record]
  if type(v) == "number" and v ~= v then return nil end
  return v
end

local function hist_record(layer, step)
  for i = layer.hist.n, 1, -1 do
    if layer.hist.step[i] == step then return i end
  end
end

-- Everything about one layer at one record.
local function gather(run, name, epoch)
  local layer, why = run:layer(name)
  if not layer then return nil, why end
  local record, message = record_of(layer, epoch)
  if not record then return nil, ("layer '%s': %s"):format(name, message) end
  local out = { layer = name, record = record, records = layer.n, series = {} }
  for key, series in pairs(layer) do
    if type(series) == "table" and key ~= "hist" then
      out[key] = value(layer, key, record)
      if type(series[1]) == "number" then out.series[key] = series end
    end
  end
  local low, high = run:cuts(name, layer, record)
  if low then out.cuts = { low, high } end
  out.series.zero_share = run:zero_shares(layer)
  out.zero_share = out.series.zero_share and out.series.zero_share[record]
  local row = out.step and layer.hist.step and hist_record(layer, out.step)
  if row then
    local counts = run:histogram(name, row)
    if counts then
      local h = { counts = counts, edges = layer.hist.edges, zeros = layer.hist.zeros[row],
                  under = layer.hist.under[row], over = layer.hist.over[row] }
      out.weights = h.under + h.over
      for _, c in ipairs(counts) do out.weights = out.weights + c end
      out.hist = h
    end
  end
  return out
end

local function facts(d)
  local list = {}
  local function add(title, text)
    if text and text ~= "-" then list[#list + 1] = title .. " " .. text end
  end
  add("cuts", d.cuts and term.number(d.cuts[1]) .. ", " .. term.number(d.cuts[2]))
  add("threshold", d.threshold and d.sigma and ("%.3f sigma"):format(d.threshold / d.sigma))
  add("scale", d.scale and term.number(d.scale))
  add("mu", d.mu and term.number(d.mu, "%.3g"))
  add("sigma", d.sigma and term.number(d.sigma))
  add("zeros", d.zero_share and term.percent(d.zero_share))
  if type(d.occupancy) == "table" then
    add("below", term.percent(d.occupancy[1]))
    add("above", term.percent(d.occupancy[3]))
  end
  add("flips", d.flips and term.percent(d.flips, 2))
  add("normal fit W", d.shapiro_w and term.number(d.shapiro_w, "%.5f"))
  add("p", term.number(d.shapiro_p or d.shapiro_sub_p, "%.2g"))
  return list
end

-- Facts side by side, on as many lines as the width needs.
local function print_facts(list, width)
  local line = " "
  for _, fact in ipairs(list) do
    if term.length(line) + term.length(fact) + 3 > width and line ~= " " then
      print(line)
      line = " "
    end
    line = line .. (line == " " and " " or "   ") .. fact
  end
  if line ~= " " then print(line) end
end

local shown_series = { { "zero_share", "zeros", term.percent }, { "threshold", "cut", term.number },
                       { "scale", "scale", term.number }, { "flips", "flips", term.percent },
                       { "shapiro_w", "W", function(v) return term.number(v, "%.5f") end } }

local function first_number(series) -- the first record has no flips
  for _, v in ipairs(series) do
    if v == v then return v end
  end
end

local function print_layer(d, unicode, color)
  local function bold(text) return color and "\27[1m" .. text .. "\27[0m" or text end
  local head = { bold(d.layer) }
  if d.weights then head[#head + 1] = ("%d weights"):format(d.weights) end
  head[#head + 1] = ("epoch %s, step %s (record %d of %d)"):format(term.number(d.epoch, "%g"),
    term.number(d.step, "%d"), d.record, d.records)
  print(table.concat(head, "   "))
  print_facts(facts(d), term.width())
  local indent = (" "):rep(MARGIN)
  if d.hist then
    local lines = term.histogram(d.hist.counts, d.hist.edges, {
      width = term.width() - 2 * MARGIN, height = HISTOGRAM_HEIGHT, marks = d.cuts,
      unicode = unicode, color = color })
    for _, line in ipairs(lines) do print(indent .. line) end
    if d.hist.under + d.hist.over + d.hist.zeros > 0 then
      print(("%s%d below and %d above the edges, %d exactly 0"):format(indent, d.hist.under,
        d.hist.over, d.hist.zeros))
    end
  end
  if d.records > 1 then
    for _, s in ipairs(shown_series) do
      local series = d.series[s[1]]
      if series then
        print(("%s%-6s %s  %s to %s"):format(indent, s[2],
          term.sparkline(series, SPARK_WIDTH, unicode), s[3](first_number(series)), s[3](series[#series])))
      end
    end
  end
  print()
end

local function choose(run, pattern)
  local names, why = run:layers()
  if not names then return nil, why end
  if #names == 0 then return nil, ("'%s' has no layer records yet"):format(run.path) end
  local chosen = {}
  for _, name in ipairs(names) do
    if matches(name, pattern) then chosen[#chosen + 1] = name end
  end
  if #chosen == 0 then
    return nil, ("no layer matches \"%s\"; there are: %s"):format(pattern, table.concat(names, ", "))
  end
  return chosen
end

-- One line per layer.
local function print_table(all, unicode)
  local rows = {}
  for i, d in ipairs(all) do
    local z = d.threshold and d.sigma and d.threshold / d.sigma
    rows[i] = { d.layer, term.number(d.weights, "%d"), term.number(d.epoch, "%g"), term.number(d.sigma),
      term.number(z, "%.3f"), term.number(d.scale), term.percent(d.zero_share), term.percent(d.flips, 2),
      term.number(d.shapiro_w, "%.4f"),
      term.sparkline(d.series.zero_share or d.series.sigma or {}, TABLE_SPARK, unicode) }
  end
  print(term.table({ "layer", "weights", "epoch", "sigma", "cut/sigma", "scale", "zeros", "flips", "W",
    all[1] and all[1].series.zero_share and "zeros over time" or "sigma over time" }, rows,
    { [2] = true, [3] = true, [4] = true, [5] = true, [6] = true, [7] = true, [8] = true, [9] = true }))
end

function inspect.run(args)
  local run, why = runfile.open(args.run)
  if not run then return nil, why end
  local names, message = choose(run, args.pattern)
  if not names then return nil, message end
  local all = {}
  for _, name in ipairs(names) do
    local d, reason = gather(run, name, args.epoch)
    if not d then return nil, reason end
    all[#all + 1] = d
  end
  if args.json then
    print(require("trit.json").encode({ run = run.path, layers = all }, { indent = true }))
    return 0
  end
  local color, unicode = term.color(), term.unicode()
  local state = run:status()
  if state then print(("%s  %s"):format(run.path, state.status)) end
  print()
  if args.table then
    print_table(all, unicode)
  else
    for _, d in ipairs(all) do print_layer(d, unicode, color) end
  end
  return 0
end

return inspect
