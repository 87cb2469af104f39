--- trit bench train: a whole training step (forward, loss, backward, optimizer) on images that stay in
-- memory, where its time goes, and how far its losses are from those of the exact path.

local bench = { name = "train", summary = "training steps, images a second, time by kind of work" }

local SEED, CLASSES = 1, { [32] = 10 }
local RATE, THRESHOLD_RATE = 0.01, 0.001
local CHECKED_STEPS = 3 -- of the residual

-- --quant NAME -> quantizer and schedule of the thresholds
local quants = {
  none = {}, tga = { "tga", "sequential" }, ["tga-joint"] = { "tga", "joint" }, twn = { "twn" },
  ttq = { "ttq" }, wacv = { "wacv" },
}

-- For argparse: text -> a number above 0 (whole: an integer), or nil and a sentence about the option.
local function positive(name, whole)
  return function(text)
    local n = tonumber(text)
    if whole then n = math.tointeger(n) end
    if n and n > 0 and n < math.huge then return n end
    local rule = whole and "whole number >= 1" or "number above 0"
    return nil, ("%s must be a %s, not %s"):format(name, rule, text)
  end
end

function bench.setup(parser)
  local function count(name, doc)
    return parser:option(name, doc):argname("N"):convert(positive(name, true))
  end
  parser:option("--model", "network"):default("resnet20"):argname("NAME")
  count("--batch", "images a step"):default("128")
  count("--size", "image height and width (default: the model's)"):argname("PIXELS")
  parser:option("--width", "times the usual channels (CIFAR ResNets)"):default("1"):argname("FACTOR")
    :convert(positive("--width"))
  parser:option("--quant", "none, tga, tga-joint, twn, ttq or wacv"):default("none"):argname("NAME")
  count("--act-bits", "bits of what goes into every layer but the first (DoReFa's levels in [0, 1])")
  count("--threads", "compute threads")
  count("--rounds", "measured rounds"):default("9")
  parser:option("--seconds", "measured per candidate"):default("5"):argname("S")
    :convert(positive("--seconds"))
  parser:option("--peer", "a program that does the same step, one for every line it reads (may be repeated)")
    :count("*"):argname("COMMAND")
  parser:flag("--exact", "convolutions without Winograd")
  parser:flag("--json", "one JSON document")
end

local function model_of(trit, args)
  local options = { classes = CLASSES[args.size] or 1000, seed = SEED }
  if args.width ~= 1 then options.width = math.floor(16 * args.width) end
  local net = trit.models.create(args.model, options)
  local quant = quants[args.quant]
  if not quant then
    local known = {}
    for name in pairs(quants) do known[#known + 1] = name end
    table.sort(known)
    trit.core.raise(("bench train: --quant is %q but must be one of %s"):format(args.quant,
      table.concat(known, ", ")))
  end
  if quant[1] then trit.quantize(net, { { ".*", trit.quant.create(quant[1]) } }) end
  if args.act_bits then
    local levels = trit.act.dorefa { bits = args.act_bits }
    trit.quantize_activations(net, { { "^conv1%.", false }, { ".*", levels } })
  end
  return net, quant[2]
end

--- A network, its optimizers and a batch: function () -> loss of one step, and the network.
local function step_of(trit, args)
  local net, mode = model_of(trit, args)
  local classes = CLASSES[args.size] or 1000
  local x = trit.randn({ args.batch, 3, args.size, args.size }, { seed = SEED })
  local y = trit.zeros { args.batch }
  for i = 1, args.batch do y:set(i, (i - 1) % classes + 1) end
  local thresholds = net:thresholds()
  local sgd = { lr = RATE, momentum = 0.9, nesterov = true, weight_decay = 5e-4 }
  local step = require("trit.steps").new { model = net, mode = mode,
    loss = function(logits, labels) return trit.cross_entropy(logits, labels) end,
    optimizer = trit.optim.sgd(net:parameters(), sgd),
    threshold_optimizer = #thresholds > 0 and trit.optim.sgd({ { params = thresholds } },
      { lr = THRESHOLD_RATE, momentum = 0.9, nesterov = true, weight_decay = 0 }) or nil }
  net:train()
  return function() return (step(x, y)) end, net
end

--- Largest relative difference of the first losses from the exact path: sums without Winograd, every op
-- a pass of its own.
local function residual(trit, args)
  local function losses()
    local step, list = step_of(trit, args), {}
    for i = 1, CHECKED_STEPS do list[i] = step() end
    return list
  end
  local fast = losses()
  local mode, fusion = trit.core.conv_mode("exact"), trit.core.fusion(false)
  local ok, exact = pcall(losses)
  trit.core.conv_mode(mode)
  trit.core.fusion(fusion)
  if not ok then error(exact, 0) end
  local worst = 0
  for i, v in ipairs(exact) do worst = math.max(worst, math.abs(fast[i] - v) / math.abs(v)) end
  return worst, exact
end

-- Names of the profile -> families of the table; what is not here is elementwise work.
local families = { conv2d = "convolution", batch_norm = "batch norm", linear = "linear", matmul = "linear",
  cross_entropy = "loss", apply_quantizer = "quantizer", quantizer_scale = "quantizer" }
local passes = { f = "forward", d = "data gradient", w = "weight gradient", j = "both gradients",
  b = "backward" }

--- Milliseconds a step by family; "rest" is optimizer, Lua and what lies between ops.
local function where_time_goes(core, step, steps)
  local began = require("luv").hrtime()
  core.profile_start()
  for _ = 1, steps do step() end
  local list, total = core.profile_stop(), (require("luv").hrtime() - began) * 1e-6 / steps
  local sum, rest, split = {}, total, {}
  for _, e in ipairs(list) do
    local ms, family = e.seconds * 1e3 / steps, families[e.name] or "elementwise"
    if e.pass == "f" or e.pass == "b" then rest = rest - ms end
    if e.name == "conv2d" then
      if e.pass ~= "b" then split[passes[e.pass]] = (split[passes[e.pass]] or 0) + ms end
    else
      local key = family == "elementwise" and family or family .. (e.pass == "b" and " backward" or "")
      sum[key] = (sum[key] or 0) + ms
    end
  end
  for name, ms in pairs(split) do sum["convolution " .. name] = ms end
  sum["rest (optimizer, Lua)"] = rest
  return sum, total
end

local function sorted(families_ms)
  local rows = {}
  for name, ms in pairs(families_ms) do rows[#rows + 1] = { name = name, ms = ms } end
  table.sort(rows, function(a, b) return a.ms > b.ms end)
  return rows
end

local function print_report(r)
  local term = require "trit.term"
  local what = r.quant == "none" and "float" or r.quant
  if r.act_bits then what = ("%s, %d-bit activations"):format(what, r.act_bits) end
  print(("# train %s, batch %d, %dx%d, %s, %d thread%s; %s, %s, peak %.0f GFLOP/s"):format(r.model, r.batch,
    r.size, r.size, what, r.threads, r.threads == 1 and "" or "s", r.cpu, r.isa, r.peak_gflops))
  local lines = {}
  for i, c in ipairs(r.results) do
    lines[i] = { c.name, ("%.1f"):format(c.median * 1e3), ("%.1f"):format(c.least * 1e3),
      ("%.1f"):format(c.iqr * 1e3), ("%.1f"):format(r.batch / c.median),
      ("%.2f"):format(c.median / r.results[1].median), ("%.0f"):format(c.memory / 2 ^ 20),
      i == 1 and ("%.1e"):format(r.residual) or "" }
  end
  print(term.table({ "candidate", "median ms", "least", "iqr", "images/s", "ratio", "RSS MiB", "residual" },
    lines, { false, true, true, true, true, true, true, true }))
  print(("\n%.0f GFLOP/s of the plain sums' multiply-adds, %.0f %% of the peak; losses %s"):format(r.gflops,
    100 * r.gflops / r.peak_gflops, table.concat(r.losses_text, " ")))
  lines = {}
  for i, f in ipairs(r.families) do
    lines[i] = { f.name, ("%.2f"):format(f.ms), ("%.1f"):format(100 * f.ms / r.profiled_ms) }
  end
  print(term.table({ "where the time goes", "ms", "%" }, lines, { false, true, true }))
end

local function candidates_of(args, step)
  local measure = require "trit.measure"
  local list = { { name = "trit", run = function() step() end } }
  local ok, why = measure.add_peers(list, args.peer, {}, true)
  if not ok then error({ exit = 1, message = why }) end
  return list
end

function bench.run(args)
  local trit = require "trit"
  local measure, core = require "trit.measure", trit.core
  if args.threads then trit.threads(args.threads) end
  args.size = args.size or (args.model:match("^resnet%d+$") and (tonumber(args.model:match("%d+")) % 6 == 2
    or args.model == "resnet110") and 32 or 224)
  if args.exact then core.conv_mode("exact") end
  local step, net = step_of(trit, args)
  local list = candidates_of(args, step)
  local ok, rows = pcall(measure.rounds, list, { rounds = args.rounds, seconds = args.seconds })
  list[1].memory = measure.peak_memory()
  measure.close_peers(list)
  if not ok then error(rows, 0) end
  for i, c in ipairs(list) do rows[i].memory = c.memory end
  local worst, losses = residual(trit, args) -- after the peak of memory was read
  local macs = 0
  local summary = trit.summary(net, { input = { 3, args.size, args.size } })
  for _, n in pairs(summary.total.macs) do macs = macs + n end
  net:train()
  local families_ms, total = where_time_goes(core, step, 3)
  local r = { model = args.model, batch = args.batch, size = args.size, quant = args.quant,
    act_bits = args.act_bits,
    threads = trit.threads(), cpu = core.cpu(), isa = core.isa(), version = core.version,
    peak_gflops = core.peak_gflops(0.3), residual = worst, losses = losses, results = rows,
    gflops = 3 * 2 * macs * args.batch / rows[1].median * 1e-9, families = sorted(families_ms),
    profiled_ms = total, images_per_second = args.batch / rows[1].median }
  if args.json then
    print(require("trit.json").encode(r, { indent = true }))
    return 0
  end
  r.losses_text = {}
  for i, v in ipairs(losses) do r.losses_text[i] = ("%.4f"):format(v) end
  print_report(r)
  return 0
end

return bench
