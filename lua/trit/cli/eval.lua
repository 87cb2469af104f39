--- trit eval MODEL --data SPEC: accuracy of a packed model.

local eval = { name = "eval", group = "model", summary = "accuracy of a packed model on a data set" }

function eval.setup(parser)
  parser:argument("model", "packed model"):argname("MODEL")
  parser:option("--data", "the set; its test images are used"):argname("SPEC")
  parser:option("--limit", "at most so many images"):convert(tonumber):argname("N")
  parser:option("--batch", "images at a time"):default("64"):convert(tonumber):argname("N")
  parser:option("--bits", "of activations: 0 (float), 6, 7 or 8 (default: 8 if calibrated, else 0)")
    :convert(tonumber):argname("B")
  parser:option("--threads", "compute threads"):convert(tonumber):argname("N")
  parser:flag("--json", "one JSON document")
end

function eval.run(args)
  if not args.data then return 2, "on what? give --data SPEC" end
  local trit = require "trit"
  if args.threads then trit.threads(args.threads) end
  local model, why = trit.infer.open(args.model)
  if not model then return nil, why end
  local f = model:facts()
  local data = trit.data.open(args.data, { batch = args.batch, limit = args.limit, size = f.shape[2],
    mean = f.mean, std = f.std })
  if data.shape[1] ~= f.shape[1] then
    return nil, ("%s takes images of %d channels, %s has %d"):format(args.model, f.shape[1], args.data,
      data.shape[1])
  end
  args.bits = args.bits or trit.infer.default_bits(f)
  local runner <close> = model:runner { bits = args.bits, batch = args.batch }
  local began = require("luv").hrtime()
  local r = trit.infer.evaluate(runner, data:test())
  r.seconds = (require("luv").hrtime() - began) * 1e-9
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
