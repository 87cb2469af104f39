--- trit bench quant: what applying a quantizer to a layer's weights costs, forward and backward, and what
-- is left of w' when scale times codes is taken away (the residual; of quantizers with codes -1, 0, 1).

local bench = { name = "quant", summary = "quantizers, forward and backward" }

function bench.setup(parser)
  parser:argument("names", "quantizers (default: all)"):args("*")
  parser:option("--shape", "of the weights"):default("512,512,3,3"):argname("O,I,H,W")
  parser:option("--threads", "compute threads"):convert(math.tointeger):argname("N")
  parser:option("--seconds", "measured per candidate"):default("0.3"):convert(tonumber):argname("S")
  parser:flag("--json", "one JSON document")
end

local function shape_of(text)
  local shape = {}
  for n in text:gmatch("[^,]+") do shape[#shape + 1] = math.tointeger(tonumber(n)) end
  if #shape ~= 4 then
    require("trit.core").raise(("bench quant: --shape is %q but must be four whole numbers"):format(text))
  end
  return shape
end

--- Largest |w' - scale codes| against the largest |w'|; nil where codes alone do not say what w' is.
local function residual(q, wq)
  local codes, scale = q:codes(), q:scale()
  if q.scales_per_row ~= 1 or scale:numel() ~= 1 or codes:abs():max():item() > 1 then return nil end
  local rest = wq:detach() - codes * scale:item()
  return rest:abs():max():item() / wq:detach():abs():max():item()
end

function bench.run(args)
  local trit = require "trit"
  if args.threads then trit.threads(args.threads) end
  local shape = shape_of(args.shape)
  local names = #args.names > 0 and args.names or trit.quant.list()
  local w = trit.randn(shape, { seed = 1, std = 0.05, layout = "hwio" }):requires_grad(true)
  local g = trit.randn(shape, { seed = 2, layout = "hwio" })
  local candidates, quantizers, results = {}, {}, {}
  for _, name in ipairs(names) do
    local q = trit.quant.create(name)
    q:reset(w)
    quantizers[#quantizers + 1] = q
    local no_grad = trit.core.grad_enabled
    candidates[#candidates + 1] = { name = name, run = function()
      local was = no_grad(false)
      q(w):close()
      no_grad(was)
    end }
    candidates[#candidates + 1] = { name = name .. " and back", run = function()
      q(w):backward(g)
      w:zero_grad()
    end }
  end
  local rows = require("trit.measure").rounds(candidates, { rounds = 7, seconds = args.seconds })
  for i, name in ipairs(names) do
    local f, both = rows[2 * i - 1], rows[2 * i]
    local ok, left = pcall(residual, quantizers[i], quantizers[i](w))
    results[i] = { name = name, forward = f.median, both = both.median, iqr = f.iqr,
      gigabytes = 8 * w:numel() / f.median * 1e-9, residual = ok and left or nil }
  end
  local head = { shape = shape, threads = trit.threads(), cpu = trit.core.cpu(), isa = trit.core.isa(),
    results = results }
  if args.json then
    print(require("trit.json").encode(head, { indent = true }))
    return 0
  end
  print(("# quantizers on %s weights, %d threads; %s, %s"):format(args.shape, head.threads, head.cpu,
    head.isa))
  local lines = {}
  for i, r in ipairs(results) do
    lines[i] = { r.name, ("%.3f"):format(r.forward * 1e3), ("%.3f"):format(r.iqr * 1e3),
      ("%.3f"):format(r.both * 1e3), ("%.1f"):format(r.gigabytes),
      r.residual and ("%.0e"):format(r.residual) or "" }
  end
  print(require("trit.term").table({ "quantizer", "forward ms", "iqr", "and backward ms", "GB/s",
    "residual" }, lines, { false, true, true, true, true, true }))
  return 0
end

return bench
