--- trit summary: layers, shapes, parameters, multiplications and bytes of a network.
local term = require "trit.term"

local summary = { name = "summary", group = "model",
                  summary = "layers, parameters, multiplications and bytes of a network" }

summary.epilog = "MACs and shapes are those of one image. Packed bytes: ternary codes four in a byte, " ..
  "in an archive five; scales and all other numbers float32."

function summary.setup(parser)
  parser:argument("model", "name of a network; see --list"):args("?"):argname("MODEL")
  parser:flag("--list", "the names of all networks")
  parser:option("--size", "height and width of an image"):argname("N"):convert(math.tointeger)
  parser:option("--channels", "channels of an image"):argname("N"):convert(math.tointeger)
  parser:option("--classes", "classes"):argname("N"):convert(math.tointeger)
  parser:option("--quant", "quantizer of all layers"):argname("NAME")
  parser:option("--float", "keep layers whose weight name matches this Lua pattern float")
    :argname("PATTERN"):count("*")
  parser:flag("--json", "one JSON document")
end

local function shape_text(shape) return shape and table.concat(shape, "x") or "-" end

local UNITS = { { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } }

--- 40551040 -> "40.55 M"
local function short(n)
  for _, u in ipairs(UNITS) do
    if n >= u[1] then return ("%.2f %s"):format(n / u[1], u[2]) end
  end
  return tostring(n)
end

--- Bytes in binary units.
local function size_text(bytes)
  if bytes >= 1 << 20 then return ("%.2f MiB"):format(bytes / (1 << 20)) end
  return ("%.1f KiB"):format(bytes / (1 << 10))
end

local function print_layers(s)
  local rows = {}
  for i, l in ipairs(s.layers) do
    local weighs = l.weight_count > 0
    rows[i] = { l.name, l.kind, shape_text(l.input), shape_text(l.output), tostring(l.parameters),
      weighs and short(l.macs) or "-", weighs and l.weights or "-", weighs and ("%.2f"):format(l.bits) or "-",
      tostring(l.bytes.packed), tostring(l.bytes.archive) }
  end
  print(term.table({ "layer", "kind", "input", "output", "parameters", "MACs", "weights", "bits",
    "packed bytes", "archive" }, rows, { [5] = true, [6] = true, [8] = true, [9] = true, [10] = true }))
end

--- "268336 ternary, 1386 float": all kinds, float last.
local function by_kind(t, text)
  local kinds, list = {}, {}
  for kind in pairs(t) do kinds[#kinds + 1] = kind end
  table.sort(kinds, function(a, b) return a ~= "float" and (b == "float" or a < b) end)
  for i, kind in ipairs(kinds) do list[i] = ("%s %s"):format(text(t[kind]), kind) end
  return table.concat(list, ", ")
end

local function print_total(s)
  local t = s.total
  local function packed(form)
    return (", %s %s (1/%.1f)"):format(size_text(t.bytes[form]), form, t.bytes.float / t.bytes[form])
  end
  print(("\nparameters  %d"):format(t.parameters))
  print(("weights     %s; %.2f bits on average"):format(by_kind(t.weights, tostring), t.bits))
  print("MACs        " .. by_kind(t.macs, short))
  local size = ("size        %s in float32"):format(size_text(t.bytes.float))
  if t.bytes.packed < t.bytes.float then size = size .. packed "packed" .. packed "archive" end
  print(size)
end

--- A quantizer by name, or nil and a sentence.
local function quantizer_of(name)
  local quant = require "trit.quant"
  local list = quant.list()
  for _, known in ipairs(list) do
    if known == name then return quant.create(name) end
  end
  return nil, ("unknown quantizer %q; known: %s"):format(name, table.concat(list, ", "))
end

local function quantize(net, args)
  if not args.quant then
    if args.float[1] then error { exit = 2, message = "--float needs --quant" } end
    return true
  end
  local q, why = quantizer_of(args.quant)
  if not q then return nil, why end
  local rules = {}
  for _, pattern in ipairs(args.float) do rules[#rules + 1] = { pattern, false } end
  rules[#rules + 1] = { ".*", q }
  require("trit.quantize").quantize(net, rules)
  return true
end

function summary.run(args)
  local models = require "trit.models"
  if args.list then
    for _, name in ipairs(models.list()) do print(("%-20s %s"):format(name, models.info(name).doc)) end
    return 0
  end
  if not args.model then error { exit = 2, message = "a network is needed; --list names them" } end
  local net = models.create(args.model,
    { size = args.size, channels = args.channels, classes = args.classes })
  local ok, why = quantize(net, args)
  if not ok then return nil, why end
  local s = require("trit.summary").summary(net)
  s.quantizer = args.quant
  if args.json then
    print(require("trit.json").encode(s, { indent = true }))
    return 0
  end
  print(("%s, input %s, weights %s\n"):format(s.model, shape_text(s.input), args.quant or "float"))
  print_layers(s)
  print_total(s)
  return 0
end

return summary
