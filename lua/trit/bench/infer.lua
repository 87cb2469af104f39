--- trit bench infer: packed networks end to end and layer by layer, every figure with its residual.

local bench = { name = "infer", summary = "packed networks: exact path and integer activations" }

local NETWORKS = { resnet18 = { 3, 224, 224 }, resnet20 = { 3, 32, 32 } } -- others: --size
local CALIBRATION = 8 -- images of noise: speed does not depend on them

function bench.setup(parser)
  local options = require "trit.options"
  parser:option("--model", "network of trit.models"):default("resnet18"):argname("NAME")
  parser:option("--size", "pixels of a side (default: the network's)"):argname("N")
    :convert(options.count("--size", 1))
  parser:option("--batch", "images at a time"):default("1"):argname("N"):convert(options.count("--batch", 1))
  parser:option("--bits", "activations to try, 0 is float"):default("0,8,7,6"):argname("B,B")
    :convert(options.counts("--bits", 0))
  parser:option("--threads", "compute threads; several: each, and the ratios"):argname("N,N")
  parser:option("--seconds", "measured per candidate"):default("3"):convert(tonumber):argname("S")
  parser:option("--peer", "a program to measure in turns, see tests/bench/peers; {threads} and {batch} in " ..
    "it are replaced"):count("*"):argname("COMMAND")
  parser:flag("--layers", "each layer's time, limit and residual, too")
  parser:flag("--no-graph", "leave the training graph out"):target("no_graph")
  parser:flag("--json", "one JSON document")
end

local function once(x)
  return function()
    local y = x
    x = nil
    return y
  end
end

--- The network with random ternary weights, and its packed twin.
local function networks(trit, args)
  local side = args.size or (NETWORKS[args.model] or { 3, 224 })[2]
  local shape = { 3, side, side }
  local net = trit.models.create(args.model, { classes = side >= 128 and 1000 or 10, seed = 1 })
  trit.quantize(net, { { ".*", trit.quant.twn {} } })
  local model = trit.infer.export(net:eval(), { data = { shape = shape } })
  local noise = trit.randn({ CALIBRATION, 3, side, side }, { seed = 3 })
  model = trit.infer.calibrate(model, CALIBRATION, false, once(noise))
  -- Laid out as runners take images, and as the peers get theirs: the turning is not part of the network.
  return net, model, trit.randn({ args.batch, 3, side, side }, { seed = 2, layout = "channels_last" })
end

local function residual(trit, y, want)
  return trit.sub(y, want):abs():max():item() / want:abs():max():item()
end

--- Our own candidates with `threads` threads: the training graph and a runner per number of bits.
local function add_ours(list, trit, args, work, threads)
  local function add(candidate)
    candidate.threads = threads
    candidate.ready = require("trit.measure").with_threads(threads, candidate.run)
    list[#list + 1] = candidate
  end
  if not args.no_graph then
    add { name = "training graph, eval", residual = 0, run = function() trit.no_grad(work.net, work.x) end }
  end
  for _, bits in ipairs(args.bits) do
    local runner = work.model:runner { bits = bits, batch = args.batch }
    add { name = "packed, " .. runner:facts().kernels, runner = runner, bits = bits,
      residual = residual(trit, runner:run(work.x), work.want),
      run = function() runner:run(work.x):close() end }
  end
end

local function candidates_of(trit, args, work, counts)
  local measure, list = require "trit.measure", {}
  for i, threads in ipairs(counts) do
    trit.threads(threads)
    add_ours(list, trit, args, work, threads)
    local ok, why = measure.add_peers(list, args.peer, { threads = threads, batch = args.batch }, i == 1)
    if not ok then error({ exit = 1, message = why }) end
  end
  return list
end

--- What the table and the document say of every candidate.
local function describe(rows, list, args, macs, counts)
  local first = {} -- of a name: seconds with the first number of threads
  local base = {} -- of a number of threads: its first candidate
  for i, row in ipairs(rows) do
    local c = list[i]
    row.residual, row.threads, row.memory = c.residual, c.threads, c.memory
    row.gmacs, row.images = macs / row.median / 1e9, args.batch / row.median
    if c.runner then
      local f = c.runner:facts()
      row.weight_bytes, row.arena_bytes = f.weights, f.arena
    end
    base[c.threads] = base[c.threads] or c
    require("trit.measure").set_ratio(row, c, base[c.threads])
    if c.threads == counts[1] then first[row.name] = row.median end
    if c.threads ~= counts[1] and first[row.name] then row.speedup = first[row.name] / row.median end
  end
end

--- Tables of layers of every runner, and the processor's limits they are compared with.
local function layers_of(trit, list, work, counts)
  local roofline, timing, tables = require "trit.roofline", require "trit.infer.timing", {}
  for _, threads in ipairs(counts) do
    local ours = {}
    for _, c in ipairs(list) do
      if c.runner and c.threads == threads then ours[#ours + 1] = c end
    end
    trit.threads(threads)
    local roof = roofline.measure()
    for i, rows in ipairs(timing.layers(work.model, ours, work.x, roof)) do
      local f = ours[i].runner:facts()
      tables[#tables + 1] = { name = ours[i].name, threads = threads, layers = rows,
        multiply = ours[i].bits > 0 and roof.products or roof.adds, reading = roof:rate(f.weights + f.arena) }
    end
  end
  return tables
end

local function print_rows(head)
  local term, lines = require "trit.term", {}
  for i, r in ipairs(head.rows) do
    lines[i] = { r.name, tostring(r.threads), ("%.3f"):format(r.median * 1e3), ("%.3f"):format(r.least * 1e3),
      ("%.3f"):format(r.iqr * 1e3), ("%.1f"):format(r.gmacs), ("%.1f"):format(r.images),
      require("trit.measure").ratio_text(r), term.number(r.speedup, "%.2f"), term.number(r.residual, "%.1e"),
      r.weight_bytes and ("%.2f"):format(r.weight_bytes / 1e6) or "-",
      r.arena_bytes and ("%.2f"):format(r.arena_bytes / 1e6) or "-",
      r.memory and ("%.0f"):format(r.memory / 2 ^ 20) or "-" }
  end
  print(term.table({ "candidate", "threads", "median ms", "least", "iqr", "GMAC/s", "images/s", "ratio",
    "speed-up", "residual", "weights MB", "arena MB", "RSS MiB" }, lines,
    { false, true, true, true, true, true, true, true, true, true, true, true, true }))
end

local function print_report(args, head)
  print(("# %s, batch %d, %.1f million multiply-adds, file %d bytes; %s, %s"):format(args.model, args.batch,
    head.macs / 1e6, head.file_bytes, head.cpu, head.isa))
  print_rows(head)
  for _, t in ipairs(head.tables or {}) do
    print(("\n%s, %d thread%s: at most %.0f GMAC/s, %.1f GB/s of %s"):format(t.name, t.threads,
      t.threads == 1 and "" or "s", t.multiply, t.reading, "the working set"))
    print(require("trit.infer.timing").text(t.layers))
  end
end

function bench.run(args)
  local trit = require "trit"
  local measure = require "trit.measure"
  local counts = measure.thread_counts(args.threads, trit.threads())
  local net, model, x = networks(trit, args)
  local work = { net = net, model = model, x = x, want = trit.no_grad(net, x) }
  local macs = 0
  for _, n in ipairs(model:facts().nodes) do macs = macs + n.macs * args.batch end
  local list = candidates_of(trit, args, work, counts)
  local ok, rows = pcall(measure.rounds, list, { seconds = args.seconds })
  measure.close_peers(list)
  if not ok then error(rows, 0) end
  for _, c in ipairs(list) do
    if c.runner and c.threads == counts[1] then
      c.memory = require("trit.infer.timing").peak_memory(model, c.bits, args.batch)
    end
  end
  describe(rows, list, args, macs, counts)
  local head = { model = args.model, batch = args.batch, threads = counts, macs = macs,
    file_bytes = model:facts().bytes, cpu = trit.core.cpu(), isa = trit.core.isa(), rows = rows,
    tables = args.layers and layers_of(trit, list, work, counts) or nil }
  if args.json then
    print(require("trit.json").encode(head, { indent = true }))
  else
    print_report(args, head)
  end
  return 0
end

return bench
