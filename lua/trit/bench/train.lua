--- trit bench train: a whole training step (forward, loss, backward, optimizer) on images that stay in
-- memory, where its time goes, and how far its losses are from those of the exact path.

local bench = { name = "train", summary = "training steps, images a second, time by kind of work" }

local SEED, CLASSES = 1, { [32] = 10 }
local RATE, THRESHOLD_RATE = 0.01, 0.001
local CHECKED_STEPS = 3 -- of the residual
local PROFILED_STEPS = 3

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
  parser:option("--peer", "a program to measure in turns, see tests/bench/peers; {threads} and {batch} in " ..
    "it are replaced (may be repeated)"):count("*"):argname("COMMAND")
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

--- A network, its optimizers and a batch: function () -> loss of one step; the network; the optimizers; how
-- often the step goes forward.
local function step_of(trit, args)
  local net, mode = model_of(trit, args)
  local classes = CLASSES[args.size] or 1000
  local x = trit.randn({ args.batch, 3, args.size, args.size }, { seed = SEED })
  local y = trit.zeros { args.batch }
  for i = 1, args.batch do y:set(i, (i - 1) % classes + 1) end
  local thresholds = net:thresholds()
  local optimizers = { trit.optim.sgd(net:parameters(),
    { lr = RATE, momentum = 0.9, nesterov = true, weight_decay = 5e-4 }) }
  optimizers[2] = #thresholds > 0 and trit.optim.sgd({ { params = thresholds } },
    { lr = THRESHOLD_RATE, momentum = 0.9, nesterov = true, weight_decay = 0 }) or nil
  local step = require("trit.steps").new { model = net, mode = mode,
    loss = function(logits, labels) return trit.cross_entropy(logits, labels) end,
    optimizer = optimizers[1], threshold_optimizer = optimizers[2] }
  net:train()
  return function() return (step(x, y)) end, net, optimizers, step.mode == "sequential" and 2 or 1
end

--- Largest relative difference of the first losses from the exact path (sums without Winograd, every op a
-- pass of its own), that of the very first, and the exact losses.
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
  local worst, first = 0, nil
  for i, v in ipairs(exact) do
    local off = math.abs(fast[i] - v) / math.abs(v)
    worst, first = math.max(worst, off), first or off
  end
  return worst, first, exact
end

-- Names of the profile -> families of the table; what is not here is elementwise work.
local families = { conv2d = "convolution", batch_norm = "batch norm", linear = "linear", matmul = "linear",
  cross_entropy = "loss", apply_quantizer = "quantizer", quantizer_scale = "quantizer" }
local passes = { f = "forward", d = "data gradient", w = "weight gradient", j = "both gradients",
  b = "backward" }

--- From now on count the time of the optimizers' steps: a function that gives its milliseconds.
local function watch(optimizers)
  local clock, spent = require("luv").hrtime, 0
  for _, optimizer in ipairs(optimizers) do
    local step = optimizer.step
    function optimizer:step()
      local began = clock()
      step(self)
      spent = spent + clock() - began
    end
  end
  return function() return spent * 1e-6 end
end

--- Milliseconds a step by family; "rest" is Lua and what lies between ops.
local function where_time_goes(core, step, optimizers, steps)
  step() -- what was measured before has taken its memory: a step to find its own again
  local optimizer = watch(optimizers)
  local began = require("luv").hrtime()
  core.profile_start()
  for _ = 1, steps do step() end
  local list, total = core.profile_stop(), (require("luv").hrtime() - began) * 1e-6 / steps
  local sum = { optimizer = optimizer() / steps, data = 0 }
  local rest, split = total - sum.optimizer, {}
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
  sum["rest (Lua)"] = rest
  return sum, total
end

--- What a step multiplies and adds for one image, by the plain sums: its passes, and their multiply-adds.
-- The first layer, whose input is the image, has no data gradient; a threshold pass has no weight gradient.
local function work_of(trit, net, args, forward)
  local all, first = 0, 0
  for _, layer in ipairs(trit.summary(net, { input = { 3, args.size, args.size } }).layers) do
    all = all + layer.macs
    if layer.input and layer.input[1] == 3 and #layer.input == 3 then first = first + layer.macs end
  end
  net:train()
  return { forward = forward, data_gradient = forward, weight_gradient = 1 },
    (2 * forward + 1) * all - forward * first
end

local function sorted(families_ms)
  local rows = {}
  for name, ms in pairs(families_ms) do rows[#rows + 1] = { name = name, ms = ms } end
  table.sort(rows, function(a, b) return a.ms > b.ms end)
  return rows
end

local function print_candidates(r)
  local term, measure, lines = require "trit.term", require "trit.measure", {}
  for i, c in ipairs(r.results) do
    lines[i] = { c.name, c.threads and tostring(c.threads) or "?", ("%.1f"):format(c.median * 1e3),
      ("%.1f"):format(c.least * 1e3), ("%.1f"):format(c.iqr * 1e3), ("%.1f"):format(r.batch / c.median),
      measure.ratio_text(c), ("%.0f"):format(c.memory / 2 ^ 20),
      i == 1 and ("%.1e"):format(r.residual) or "" }
  end
  print(term.table({ "candidate", "threads", "median ms", "least", "iqr", "images/s", "ratio (quartiles)",
    "RSS MiB", "residual" }, lines, { false, true, true, true, true, true, true, true, true }))
  for _, c in ipairs(r.results) do
    if c.untold then
      print(("%s: its command lacks %s, so it may do other work"):format(c.name, c.untold))
    end
  end
end

local function print_families(r)
  local lines = {}
  for i, f in ipairs(r.families) do
    lines[i] = { f.name, ("%.2f"):format(f.ms), ("%.1f"):format(100 * f.ms / r.profiled_ms) }
  end
  print(require("trit.term").table({ "where the time goes", "ms", "%" }, lines, { false, true, true }))
  print("Batch norm, rectifiers, sums and levels that ride along with a convolution are in its lines;\n" ..
    "some convolutions make both gradients in one sweep.  Data: the batch stays in memory, see\n" ..
    "trit bench feed.")
end

local function plural(n, one, more) return ("%d %s"):format(n, n == 1 and one or more or one .. "s") end

local function print_report(r)
  local what = r.quant == "none" and "float" or r.quant
  if r.act_bits then what = ("%s, %d-bit activations"):format(what, r.act_bits) end
  print(("# train %s, batch %d, %dx%d, %s, %s; %s, %s, peak %.0f GFLOP/s"):format(r.model, r.batch, r.size,
    r.size, what, plural(r.threads, "thread"), r.cpu, r.isa, r.peak_gflops))
  print_candidates(r)
  local losses = {}
  for i, v in ipairs(r.losses) do losses[i] = ("%.4f"):format(v) end
  print(("\n%.0f GFLOP/s of the plain sums (%s, %s, %s), %.0f %% of the peak"):format(r.gflops,
    plural(r.passes.forward, "forward pass", "forward passes"),
    plural(r.passes.data_gradient, "data gradient"), plural(r.passes.weight_gradient, "weight gradient"),
    100 * r.gflops / r.peak_gflops))
  print(("losses %s; residual of the first %.1e\n"):format(table.concat(losses, " "), r.residual_first))
  print_families(r)
end

--- Peers get our threads and batch in their commands; of one whose command does not name both we say so.
local function candidates_of(trit, args, step)
  local measure = require "trit.measure"
  local words = { threads = trit.threads(), batch = args.batch }
  local list = { { name = "trit", threads = words.threads, run = function() step() end } }
  local ok, why = measure.add_peers(list, args.peer, words, true)
  if not ok then error({ exit = 1, message = why }) end
  for i, command in ipairs(args.peer) do
    local peer, untold = list[i + 1], {}
    for _, name in ipairs { "threads", "batch" } do
      local word = "{" .. name .. "}"
      if not command:find(word, 1, true) then untold[#untold + 1] = word end
    end
    if untold[1] == "{threads}" then peer.threads = nil end
    peer.untold = untold[1] and table.concat(untold, " and ")
    peer.ready = nil -- our threads need not go: they sleep while a peer works
  end
  return list
end

--- Candidates measured in turns -> rows.
local function measured(list, args)
  local measure = require "trit.measure"
  local ok, rows = pcall(measure.rounds, list, { rounds = args.rounds, seconds = args.seconds })
  list[1].memory = measure.peak_memory()
  measure.close_peers(list)
  if not ok then error(rows, 0) end
  for i, c in ipairs(list) do
    rows[i].memory, rows[i].threads, rows[i].untold = c.memory, c.threads, c.untold
    measure.set_ratio(rows[i], c, list[1])
  end
  return rows
end

function bench.run(args)
  local trit = require "trit"
  local core = trit.core
  if args.threads then trit.threads(args.threads) end
  args.size = args.size or (args.model:match("^resnet%d+$") and (tonumber(args.model:match("%d+")) % 6 == 2
    or args.model == "resnet110") and 32 or 224)
  if args.exact then core.conv_mode("exact") end
  local step, net, optimizers, forward = step_of(trit, args)
  local rows = measured(candidates_of(trit, args, step), args)
  local worst, first, losses = residual(trit, args) -- after the peak of memory was read
  local counts, macs = work_of(trit, net, args, forward)
  local families_ms, total = where_time_goes(core, step, optimizers, PROFILED_STEPS)
  local r = { model = args.model, batch = args.batch, size = args.size, quant = args.quant,
    act_bits = args.act_bits,
    threads = trit.threads(), cpu = core.cpu(), isa = core.isa(), version = core.version,
    peak_gflops = core.peak_gflops(0.3), residual = worst, residual_first = first, losses = losses,
    results = rows, passes = counts, gflops = 2 * macs * args.batch / rows[1].median * 1e-9,
    families = sorted(families_ms), profiled_ms = total, images_per_second = args.batch / rows[1].median }
  if args.json then
    print(require("trit.json").encode(r, { indent = true }))
  else
    print_report(r)
  end
  return 0
end

return bench
