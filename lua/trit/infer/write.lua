--- The end of the commands that make packed models: encode, calibrate, save, say what it is.

local infer = require "trit.infer"

local CALIBRATION = 512 -- images: ranges move by less than a percent beyond that

--- Options that all of them have.
local function setup(parser)
  parser:option("--calibrate", "training images looked at; 0: none"):default(tostring(CALIBRATION))
    :convert(math.tointeger):argname("N")
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

--- Write `net` to args.out.  data: an opened set, or { shape =, mean =, std =, class_names = }, which has no
-- images to calibrate with.  Returns 0, or nil and a sentence.
local function write(net, data, args)
  local model = infer.export(net, { data = data, archive = args.archive })
  if args.calibrate > 0 and data.train then
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

return { setup = setup, write = write }
