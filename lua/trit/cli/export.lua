--- trit export RUN -o FILE.trit: a trained network as a packed model.

local export = { name = "export", group = "model", summary = "pack a trained network into one file" }

export.epilog = "Ternary weights take 2 bits each, batch norm is folded in, float layers stay float.\n" ..
  "Ranges of activations over --calibrate training images go into the file, so that it also\n" ..
  "runs on integers (trit eval --bits 8)."

local CALIBRATION = 512 -- images: ranges move by less than a percent beyond that

function export.setup(parser)
  parser:argument("run", "run directory with a checkpoint"):argname("RUN")
  parser:option("-o --out", "the file to write"):argname("FILE")
  parser:option("--format", "trit"):choices({ "trit" }):default("trit")
  parser:option("--data", "set for calibration and class names (default: the run's)"):argname("SPEC")
  parser:option("--calibrate", "training images looked at; 0: none"):default(tostring(CALIBRATION))
    :convert(tonumber):argname("N")
  parser:option("--checkpoint", "newest or best"):choices({ "newest", "best" }):default("newest")
  parser:flag("--archive", "five codes a byte: 20 % smaller, slower to load")
  parser:flag("--json", "one JSON document")
end

--- Bytes and counts of a model for people and programs.
local function facts_of(model, path)
  local f = model:facts()
  local out = { file = path, bytes = f.bytes, nodes = #f.nodes, weights = 0, ternary = 0, macs = 0,
    calibrated = f.calibrated, model = f.name, classes = f.classes, shape = f.shape }
  for _, node in ipairs(f.nodes) do
    out.weights, out.macs = out.weights + node.weights, out.macs + node.macs
    if node.planes > 0 then out.ternary = out.ternary + node.weights end
  end
  return out
end

function export.run(args)
  if not args.out then return 2, "where to? give -o FILE" end
  local trained = require "trit.trained"
  local net, config, dataset, note = trained.load(args.run,
    { which = args.checkpoint == "best" and "best" or nil })
  if not net then return nil, config end
  if note then io.stderr:write(note .. "\n") end
  local infer = require "trit.infer"
  local data = trained.open(dataset, { batch = 32, spec = args.data })
  local model = infer.export(net, { data = data, archive = args.archive })
  if args.calibrate > 0 then
    model = infer.calibrate(model, args.calibrate, args.archive, data:train(1))
  end
  local ok, why = model:save(args.out)
  if not ok then return nil, why end
  local f = facts_of(model, args.out)
  if args.json then
    print(require("trit.json").encode(f, { indent = true }))
  else
    print(("%s: %s, %d weights (%d ternary) in %d bytes, %.2f bits a weight, %.1f million multiply-adds")
      :format(f.file, f.model, f.weights, f.ternary, f.bytes, 8 * f.bytes / math.max(f.weights, 1),
        f.macs / 1e6))
  end
  return 0
end

return export
