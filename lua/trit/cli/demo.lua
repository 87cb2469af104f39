--- trit demo: the main job in about two minutes: make shapes10, train a small ResNet in float,
-- ternarize copies with TGA and TWN, compare, pack them and prove that nothing changed.

local demo = { name = "demo", group = "train",
  summary = "train a small ResNet in float, ternarize it with TGA and TWN, compare, pack, verify" }

function demo.setup(parser)
  parser:option("--epochs", "epochs of the float network"):default("14"):convert(math.tointeger)
  parser:option("--tune", "epochs of each ternary copy"):default("4"):convert(math.tointeger)
  parser:option("--seed", "initial weights, order, augmentation"):default("1"):convert(math.tointeger)
  parser:option("--out", "directory of the runs"):default("runs/demo")
  parser:option("--threads", "compute threads"):convert(math.tointeger)
  parser:flag("--resume", "go on with the runs in the directory, after an interruption")
  parser:flag("--quiet", "no progress, only the table")
  parser:flag("--json", "the table as JSON")
end

local BATCH = 128
local FLOAT_LR, TUNE_LR, THRESHOLD_LR = 0.1, 0.02, 0.001
local WEIGHT_DECAY = 5e-4
local CALIBRATION = 512 -- images that set the ranges of integer activations

local function train(trit, data, args, label, state)
  local net = trit.models.resnet8 { classes = data.classes, seed = args.seed }
  if state then net:load_state_dict(state) end
  if label ~= "float" then trit.quantize(net, { { ".*", trit.quant.create(label) } }) end
  local epochs = label == "float" and args.epochs or args.tune
  local lr = label == "float" and FLOAT_LR or TUNE_LR
  local optimizer = trit.optim.sgd(net:parameters(),
    { lr = lr, momentum = 0.9, nesterov = true, weight_decay = WEIGHT_DECAY })
  local result = trit.train { model = net, data = data, optimizer = optimizer, epochs = epochs,
    schedule = trit.schedule.cosine { epochs = epochs }, lr_th = THRESHOLD_LR, label = label,
    out = args.out .. "/" .. label, quiet = args.quiet, resume = args.resume }
  return net, result
end

--- The packed model of a ternary network, saved beside its run, and how it compares.
local function pack(trit, data, net, result)
  local infer = trit.infer
  local model = infer.export(net, { data = data })
  model = infer.calibrate(model, CALIBRATION, false, data:train(1))
  local path = result.dir .. "/model.trit"
  local ok, why = model:save(path)
  if not ok then error(why, 0) end
  local runner <close> = model:runner { batch = BATCH }
  local codes, logits = infer.compare_codes(model, net), infer.compare_logits(runner, net, data:test())
  result.packed = { file = path, bytes = model:facts().bytes, codes = codes.codes, differ = codes.differ,
    top1 = logits.top1.model, logit_difference = logits.max_difference }
end

local function print_packed(rows)
  for _, r in ipairs(rows) do
    local p = r.packed
    if p then
      print(("%s: %d bytes; %d of %d codes differ, largest logit difference %.1e, top-1 %.2f%%"):format(
        p.file, p.bytes, p.differ, p.codes, p.logit_difference, 100 * p.top1))
    end
  end
end

local function print_table(rows)
  print(("%-8s %8s %8s %8s %8s"):format("weights", "top-1", "zeros", "bits", "seconds"))
  for _, r in ipairs(rows) do
    print(("%-8s %7.2f%% %7.1f%% %8.2f %8.1f"):format(r.label, 100 * r.top1, 100 * r.zeros, r.bits,
      r.seconds))
  end
end

function demo.run(args)
  local trit = require "trit"
  if args.threads then trit.threads(args.threads) end
  local data = trit.data.open("shapes10", { batch = BATCH, augment = { "flip" }, seed = args.seed })
  local net, float = train(trit, data, args, "float")
  local state = net:state_dict()
  local rows = { float }
  for _, method in ipairs { "tga", "twn" } do
    local ternary, result = train(trit, data, args, method, state)
    pack(trit, data, ternary, result)
    rows[#rows + 1] = result
  end
  local page = args.out .. "/report.html"
  local report = require "trit.report"
  assert(report.write(assert(report.read(args.out)), page))
  if args.json then
    print(require("dkjson").encode(rows))
  else
    print_table(rows)
    print()
    print_packed(rows)
    print(("\nlook inside:  ./trit inspect %s/tga, or %s in a browser"):format(args.out, page))
  end
  return 0
end

return demo
