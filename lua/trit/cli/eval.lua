--- trit eval MODEL --data SPEC: accuracy of a packed model.

local eval = { name = "eval", group = "model", summary = "accuracy of a packed model on a data set" }

function eval.setup(parser)
  local options = require "trit.options"
  parser:argument("model", "packed model"):argname("MODEL")
  parser:option("--data", "the set; its test images are used"):argname("SPEC")
  parser:option("--limit", "at most so many images"):convert(tonumber):argname("N")
  parser:option("--batch", "images at a time"):default("64"):argname("N"):convert(options.count("--batch", 1))
  parser:option("--bits", "of activations: 0 (float), 6, 7 or 8 (default: 8 if calibrated, else 0)")
    :convert(options.count("--bits", 0)):argname("B")
  parser:option("--threads", "compute threads"):convert(tonumber):argname("N")
  parser:flag("--json", "one JSON document")
end

--- The set cut as the model's training cut it, or nil and a sentence: images or classes are others.  Sets
-- can cut squares only; one whose images have the model's size needs no cutting.
local function open(trit, args, f)
  local C, H, W = table.unpack(f.shape)
  local data = trit.data.open(args.data, { batch = args.batch, limit = args.limit, size = H == W and H or nil,
    resize = f.resize, mean = { table.unpack(f.mean, 1, C) }, std = { table.unpack(f.std, 1, C) } })
  local c, h, w = table.unpack(data.shape)
  local function other(takes, has)
    return nil, ("%s %s, %s has %s"):format(args.model, takes, args.data, has)
  end
  if c ~= C then return other(("takes images of %d channels"):format(C), c) end
  if h ~= H or w ~= W then
    return other(("takes images of %d x %d pixels"):format(H, W), ("%d x %d"):format(h, w))
  end
  if data.classes ~= f.classes then
    return other(("tells %d classes apart"):format(f.classes), data.classes)
  end
  return data
end

function eval.run(args)
  if not args.data then return 2, "on what? give --data SPEC" end
  local trit = require "trit"
  if args.threads then trit.threads(args.threads) end
  local model, why = trit.infer.open(args.model)
  if not model then return nil, why end
  local f = model:facts()
  local data, reason = open(trit, args, f)
  if not data then return nil, reason end
  args.bits = args.bits or trit.infer.default_bits(f)
  local runner <close> = model:runner { bits = args.bits, batch = args.batch }
  local began = require("luv").hrtime()
  local r = trit.infer.evaluate(runner, data:test())
  r.seconds = (require("luv").hrtime() - began) * 1e-9
  if r.loss - r.loss ~= 0 then return nil, ("'%s': some of its scores are not finite"):format(args.model) end
  r.model, r.data, r.bits, r.kernels = args.model, args.data, args.bits, runner:facts().kernels
  if args.json then
    print(require("trit.json").encode(r, { indent = true }))
  else
    print(("top-1 %.2f %%, top-5 %.2f %%, loss %.4f over %d images; %.0f images/s, %s"):format(
      100 * r.top1, 100 * r.top5, r.loss, r.count, r.count / r.seconds, r.kernels))
  end
  return 0
end

return eval
