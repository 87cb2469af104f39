--- trit bench infer: packed networks end to end and layer by layer, every figure with its residual.

local bench = { name = "infer", summary = "packed networks: exact path and integer activations" }

local NETWORKS = { resnet18 = { 3, 224, 224 }, resnet20 = { 3, 32, 32 } } -- others: --size
local CALIBRATION = 8 -- images of noise: speed does not depend on them

function bench.setup(parser)
  parser:option("--model", "network of trit.models"):default("resnet18"):argname("NAME")
  parser:option("--size", "pixels of a side (default: the network's)"):convert(tonumber):argname("N")
  parser:option("--batch", "images at a time"):default("1"):convert(tonumber):argname("N")
  parser:option("--bits", "activations to try, 0 is float"):default("0,8,7,6"):argname("B,B")
  parser:option("--threads", "compute threads"):convert(tonumber):argname("N")
  parser:option("--seconds", "measured per candidate"):default("3"):convert(tonumber):argname("S")
  parser:option("--peer", "a program to measure in turns, see tests/bench/peers"):count("*")
    :argname("COMMAND")
  parser:flag("--layers", "each layer's time, too")
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
  return net, model, trit.randn({ args.batch, 3, side, side }, { seed = 2 })
end

local function residual(trit, y, want)
  return trit.sub(y, want):abs():max():item() / want:abs():max():item()
end

local function print_layers(model, runner, x, batch)
  local times = 5
  runner:profile()
  for _ = 1, times do runner:run(x) end
  for i, s in ipairs(runner:seconds()) do
    local n = model:facts().nodes[i]
    print(("    %-24s %-10s %4dx%-4d %4d>%-4d %9.1f us %7.1f GMAC/s"):format(n.name, n.kind, n.H, n.W,
      n.C, n.K, s / times * 1e6, n.macs * batch * times / s / 1e9))
  end
end

local function close_all(list)
  for _, c in ipairs(list) do
    if c.close then c.close() end
    c.close = nil
  end
  require("trit.measure").finish()
end

local function candidates_of(trit, args, net, model, x)
  local want = trit.no_grad(net, x)
  local list = {}
  if not args.no_graph then
    list[1] = { name = "training graph, eval", residual = 0, run = function() trit.no_grad(net, x) end }
  end
  for word in args.bits:gmatch("%d+") do
    local runner = model:runner { bits = tonumber(word), batch = args.batch }
    list[#list + 1] = { name = "packed, " .. runner:facts().kernels, runner = runner,
      residual = residual(trit, runner:run(x), want), run = function() runner:run(x) end }
  end
  for _, command in ipairs(args.peer) do
    local peer, why = require("trit.measure").peer(command)
    if not peer then
      close_all(list) -- a peer left running would keep us from ending
      error({ exit = 1, message = why })
    end
    list[#list + 1] = { name = peer.name, run = peer.run, close = peer.close }
  end
  return list
end

function bench.run(args)
  local trit = require "trit"
  if args.threads then trit.threads(args.threads) end
  local net, model, x = networks(trit, args)
  local macs = 0
  for _, n in ipairs(model:facts().nodes) do macs = macs + n.macs * args.batch end
  local list = candidates_of(trit, args, net, model, x)
  local ok, rows = pcall(require("trit.measure").rounds, list, { seconds = args.seconds })
  close_all(list)
  if not ok then error(rows, 0) end
  for i, row in ipairs(rows) do
    local c = list[i]
    row.residual, row.gmacs, row.images = c.residual, macs / row.median / 1e9, args.batch / row.median
    if c.runner then
      local f = c.runner:facts()
      row.weight_bytes, row.arena_bytes = f.weights, f.arena
    end
  end
  local head = { model = args.model, batch = args.batch, threads = trit.threads(), macs = macs,
    file_bytes = model:facts().bytes, cpu = trit.core.cpu(), isa = trit.core.isa(), rows = rows }
  if args.json then
    print(require("trit.json").encode(head, { indent = true }))
    return 0
  end
  print(("# %s, batch %d, %d thread%s, %.1f million multiply-adds, file %d bytes; %s, %s"):format(
    args.model, args.batch, head.threads, head.threads == 1 and "" or "s", macs / 1e6, head.file_bytes,
    head.cpu, head.isa))
  local lines = {}
  for i, r in ipairs(rows) do
    lines[i] = { r.name, ("%.3f"):format(r.median * 1e3), ("%.3f"):format(r.least * 1e3),
      ("%.3f"):format(r.iqr * 1e3), ("%.1f"):format(r.gmacs), ("%.1f"):format(r.images),
      r.residual and ("%.1e"):format(r.residual) or "-",
      r.weight_bytes and ("%.2f"):format(r.weight_bytes / 1e6) or "-",
      r.arena_bytes and ("%.2f"):format(r.arena_bytes / 1e6) or "-" }
  end
  print(require("trit.term").table({ "candidate", "median ms", "least", "iqr", "GMAC/s", "images/s",
    "residual", "weights MB", "arena MB" }, lines, { false, true, true, true, true, true, true, true, true }))
  for _, c in ipairs(args.layers and list or {}) do
    if c.runner then
      print("\n" .. c.name)
      print_layers(model, c.runner, x, args.batch)
    end
  end
  return 0
end

return bench
