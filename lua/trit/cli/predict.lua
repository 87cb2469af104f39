--- trit predict MODEL IMAGE...: class and probability of pictures.

local predict = { name = "predict", group = "model", summary = "classify JPEG or PNG files" }

function predict.setup(parser)
  local options = require "trit.options"
  parser:argument("model", "packed model"):argname("MODEL")
  parser:argument("images", "picture files"):args("+"):argname("IMAGE")
  parser:option("--top", "so many classes per picture"):default("1"):convert(tonumber):argname("K")
  parser:option("--bits", "of activations: 0 (float), 6, 7 or 8 (default: 8 if calibrated, else 0)")
    :convert(options.count("--bits", 0)):argname("B")
  parser:flag("--json", "one JSON document")
end

--- The k most probable classes of one row of scores, best first; nil where they order nothing: one is NaN, or
-- the largest infinite.
local function best(logits, names, k)
  local order, most, sum = {}, -math.huge, 0
  for i, v in ipairs(logits) do
    order[i], most = i, math.max(most, v)
  end
  for _, v in ipairs(logits) do sum = sum + math.exp(v - most) end
  if not (sum >= 1) then return nil end
  table.sort(order, function(a, b)
    if logits[a] ~= logits[b] then return logits[a] > logits[b] end
    return a < b
  end)
  local out = {}
  for i = 1, k do
    local c = order[i]
    out[i] = { class = names[c], index = c, probability = math.exp(logits[c] - most) / sum }
  end
  return out
end

function predict.run(args)
  local model, why = require("trit.infer").open(args.model)
  if not model then return nil, why end
  local f = model:facts()
  local k = math.tointeger(args.top)
  if not k or k < 1 then return 2, "--top must be a whole number >= 1" end
  k = math.min(k, f.classes)
  local runner <close> = model:runner { bits = args.bits or require("trit.infer").default_bits(f) }
  local results, failed = {}, false
  for _, path in ipairs(args.images) do
    local x, message = model:picture(path)
    local top = x and best(runner:run(x):totable()[1], f.class_names, k)
    if not top then
      failed = true
      message = message or path .. ": the model's scores are not all finite"
      io.stderr:write(("trit predict: %s\n"):format(message))
    else
      results[#results + 1] = { image = path, top = top }
      if not args.json then
        local words = {}
        for i, t in ipairs(top) do words[i] = ("%s %.1f %%"):format(t.class, 100 * t.probability) end
        print(("%s: %s"):format(path, table.concat(words, ", ")))
      end
    end
  end
  if args.json then print(require("trit.json").encode(results, { indent = true })) end
  return failed and 1 or 0
end

return predict
