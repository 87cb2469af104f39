--- trit bench feed: training steps on batches that the loader makes meanwhile, in turns with the same steps
-- on one batch that stays in memory: what reading, decoding and augmenting cost a training, and how long it
-- waits for them.

local bench = { name = "feed", summary = "training steps fed by the loader, beside steps from memory" }

function bench.setup(parser)
  parser:option("--data", "data set"):default("shapes10"):argname("SPEC")
  parser:option("--model", "network"):default("resnet20"):argname("NAME")
  parser:option("--batch", "images a step"):default("128"):convert(math.tointeger):argname("N")
  parser:option("--size", "side of the images of a batch (default: the data set's)"):convert(math.tointeger)
    :argname("PIXELS")
  parser:option("--augment", "steps joined by +"):default("crop+flip"):argname("STEPS")
  parser:option("--workers", "loader threads"):default("2"):convert(math.tointeger):argname("N")
  parser:option("--cache", "bytes of decoded images that may be kept; 0: decode in every pass"):default("0")
    :convert(tonumber):argname("BYTES")
  parser:option("--threads", "compute threads"):convert(math.tointeger):argname("N")
  parser:option("--steps", "steps of a pass"):default("20"):convert(math.tointeger):argname("N")
  parser:option("--rounds", "measured passes"):default("5"):convert(math.tointeger):argname("N")
  parser:flag("--json", "one JSON document")
end

--- step(x, y) of a network for the data set.
local function step_of(trit, args, data)
  local net = trit.models.create(args.model, { classes = data.classes, seed = 1 })
  local step = require("trit.steps").new { model = net,
    loss = function(logits, y) return trit.cross_entropy(logits, y) end,
    optimizer = trit.optim.sgd(net:parameters(), { lr = 0.01, momentum = 0.9, weight_decay = 5e-4 }) }
  net:train()
  return step
end

local function open(trit, args)
  local augment = {}
  for name in args.augment:gmatch("[^+]+") do augment[#augment + 1] = name end
  local data = trit.data.open(args.data, { batch = args.batch, size = args.size, augment = augment, seed = 1,
    workers = args.workers, cache = args.cache, limit = args.batch * args.steps, drop_last = true })
  if data.batches < 1 then
    trit.core.raise(("bench feed: %s has fewer images than a batch of %d"):format(args.data, args.batch))
  end
  return data
end

function bench.run(args)
  local trit = require "trit"
  if args.threads then trit.core.threads(args.threads) end
  local data = open(trit, args)
  local step, epoch, steps, waited = step_of(trit, args, data), 0, data.batches, {}
  local shape = data.shape
  local x = trit.randn({ args.batch, shape[1], shape[2], shape[3] }, { seed = 1 })
  local y = trit.ones { args.batch }
  local measure = require "trit.measure"
  local list = {
    { name = "from memory", run = function()
      for _ = 1, steps do step(x, y) end
    end },
    { name = ("loader, %d worker%s"):format(args.workers, args.workers == 1 and "" or "s"), run = function()
      local before = data:wait_seconds()
      epoch = epoch + 1
      for images, labels in data:train(epoch) do step(images, labels) end
      waited[#waited + 1] = data:wait_seconds() - before
    end } }
  local rows = measure.rounds(list, { rounds = args.rounds, seconds = 0 })
  waited = table.move(waited, #waited - args.rounds + 1, #waited, 1, {}) -- without the passes to warm up
  table.sort(waited)
  for i, row in ipairs(rows) do
    row.step_seconds = row.median / steps
    row.waiting = i == 2 and waited[(#waited + 1) // 2] / row.median or 0
    measure.set_ratio(row, list[i], list[1])
  end
  local head = { data = args.data, model = args.model, batch = args.batch, steps = steps,
    augment = args.augment, cached = data.cached, threads = trit.threads(), cpu = trit.core.cpu(),
    results = rows }
  if args.json then
    print(require("trit.json").encode(head, { indent = true }))
    return 0
  end
  print(("# feed %s, %s, batch %d of %dx%d, data %s, %s, %s; %s, %d threads"):format(args.model,
    data.cached and "cached" or "not cached", args.batch, shape[2], shape[3], args.data, args.augment,
    ("%d steps a pass"):format(steps), head.cpu, head.threads))
  local lines = {}
  for i, r in ipairs(rows) do
    lines[i] = { r.name, ("%.1f"):format(1e3 * r.step_seconds), ("%.1f"):format(100 * r.iqr / r.median),
      ("%.2f"):format(100 * r.waiting), measure.ratio_text(r, 3) }
  end
  print(require("trit.term").table({ "batches", "ms a step", "iqr %", "waiting %", "of from memory" }, lines,
    { false, true, true, true, true }))
  return 0
end

return bench
