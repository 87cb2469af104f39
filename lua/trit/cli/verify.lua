--- trit verify MODEL RUN: does the packed model compute the network that was trained?

local verify = { name = "verify", group = "model",
  summary = "compare a packed model with the trained network" }

verify.epilog = "Codes must be equal and scores differ by rounding only; the exit status is 1 otherwise."

-- Folding batch norm moves scores by some units of float32's last place a layer.
local ALLOWED = 1e-4 -- largest score difference, of the largest score
local RANDOM_IMAGES = 16

function verify.setup(parser)
  parser:argument("model", "packed model"):argname("MODEL")
  parser:argument("run", "run directory"):argname("RUN")
  parser:option("--data", "compare top-1 on this set's test images"):argname("SPEC")
  parser:option("--limit", "at most so many images"):convert(tonumber):argname("N")
  parser:option("--checkpoint", "newest or best"):choices({ "newest", "best" }):default("newest")
  parser:flag("--json", "one JSON document")
end

--- One batch of noise: enough to compare scores without data.
local function noise(shape)
  local x = require("trit").randn({ RANDOM_IMAGES, shape[1], shape[2], shape[3] }, { seed = 1 })
  return function()
    local batch = x
    x = nil
    return batch
  end
end

--- Does the network take the model's images and tell as many classes apart?  true, or nil and a sentence.
local function comparable(args, net, f)
  local trit = require "trit"
  local ok, y = pcall(trit.no_grad, net, trit.zeros { 1, f.shape[1], f.shape[2], f.shape[3] })
  if not ok then
    return nil, ("%s takes images [%s], which the network of %s does not: %s"):format(args.model,
      table.concat(f.shape, ","), args.run, (tostring(y):gsub("^[^\n]-%.lua:%d+: ", "")))
  end
  local classes = y:shape()[2]
  if classes ~= f.classes then
    return nil, ("%s tells %d classes apart, the network of %s %d"):format(args.model, f.classes, args.run,
      classes)
  end
  return true
end

--- Scores that are infinite or NaN prove nothing, equal or not: a sentence, or nil.
local function not_finite(finite)
  if finite.net and finite.model then return nil end
  return ("scores of %s are not all finite"):format(finite.net and "the packed model" or
    finite.model and "the network" or "the network and of the packed model")
end

local function print_report(r)
  print(("%d of %d codes differ"):format(r.codes.differ, r.codes.codes))
  for _, layer in ipairs(r.codes.layers) do
    if layer.differ > 0 then
      print(("  %s: %d of %d%s"):format(layer.name, layer.differ, layer.codes,
        layer.why and " (" .. layer.why .. ")" or ""))
    end
  end
  local l = r.logits
  print(("largest logit difference %.3g, %.1e of the largest logit, over %d %s"):format(l.max_difference,
    r.relative, l.count, l.top1 and "test images" or "random images"))
  if l.top1 then
    print(("top-1 %.2f %% by the network, %.2f %% packed; %.2f %% of the predictions agree"):format(
      100 * l.top1.net, 100 * l.top1.model, 100 * l.agree))
  end
end

function verify.run(args)
  local infer, trained = require "trit.infer", require "trit.trained"
  local model, why = infer.open(args.model)
  if not model then return nil, why end
  local net, config, dataset = trained.load(args.run, { which = args.checkpoint == "best" and "best" or nil })
  if not net then return nil, config end
  local fit, other = comparable(args, net, model:facts())
  if not fit then return nil, other end
  local report = { model = args.model, run = args.run, codes = infer.compare_codes(model, net) }
  local runner <close> = model:runner { batch = 32 }
  if args.data then
    local data = trained.open(dataset, { spec = args.data, batch = 128, limit = args.limit })
    report.logits = infer.compare_logits(runner, net, data:test())
  else
    report.logits = infer.compare_logits(runner, net, noise(model:facts().shape))
  end
  report.relative = report.logits.max_difference / math.max(report.logits.largest, 1e-30)
  local problem = not_finite(report.logits.finite)
  report.ok = report.codes.differ == 0 and report.relative <= ALLOWED and not problem
  if args.json then
    print(require("trit.json").encode(report, { indent = true }))
  else
    print_report(report)
  end
  return report.ok and 0 or 1, problem
end

return verify
