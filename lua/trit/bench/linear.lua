--- trit bench linear: a packed linear layer beside the float32 one, every figure with its residual.
--
-- The float32 candidate is the faster of two ways to ask BLIS for the product (x W^T and W x^T); BLIS' own
-- matrix-vector routine is not among them and is faster than both for a single vector.

local bench = { name = "linear", summary = "packed linear layers beside float32 ones" }

function bench.setup(parser)
  parser:option("--rows", "outputs"):default("4096"):convert(tonumber):argname("M")
  parser:option("--columns", "inputs"):default("4096"):convert(tonumber):argname("K")
  parser:option("--batch", "vectors at a time"):default("1"):convert(tonumber):argname("N")
  parser:option("--threads", "compute threads"):convert(tonumber):argname("N")
  parser:option("--seconds", "measured per candidate"):default("2"):convert(tonumber):argname("S")
  parser:flag("--json", "one JSON document")
end

local function codes_of(trit, rows, columns)
  local u = trit.rand({ rows, columns }, { seed = 1 })
  return trit.sub(trit.gt(u, 0.7), trit.sub(1, trit.gt(u, 0.3))) -- 40 % zeros
end

function bench.run(args)
  local trit = require "trit"
  if args.threads then trit.threads(args.threads) end
  local M, K, N = math.tointeger(args.rows), math.tointeger(args.columns), math.tointeger(args.batch)
  local codes = codes_of(trit, M, K)
  local x, scale = trit.randn({ N, K }, { seed = 2 }), trit.tensor { 1 }
  local want = trit.linear(x, codes)
  local packed = {} -- with vectors rounded to 8 bits, and as they are
  for i, bits in ipairs { 8, 0 } do
    local layer = trit.core.linear_pack(codes, scale, bits)
    local bytes, kernels = layer:facts()
    packed[i] = { run = function() layer:run(x) end, bytes_per_weight = bytes / (M * K),
      name = (bits == 8 and "packed, u8 " or "packed, float ") .. kernels,
      residual = trit.sub(layer:run(x), want):abs():max():item() / want:abs():max():item() }
  end
  local columns = trit.permute(x, { axes = { 2, 1 } }):clone()
  local rows = require("trit.measure").rounds({
    { name = "float32 x W', " .. trit.core.gemm_library(), run = function() trit.linear(x, codes) end },
    { name = "float32 W x', " .. trit.core.gemm_library(), run = function() trit.matmul(codes, columns) end },
    packed[1], packed[2],
  }, { seconds = args.seconds })
  table.remove(rows, rows[1].median <= rows[2].median and 2 or 1)
  rows[1].residual, rows[1].bytes_per_weight = 0, 4
  for i, p in ipairs(packed) do
    rows[i + 1].residual, rows[i + 1].bytes_per_weight = p.residual, p.bytes_per_weight
  end
  for _, r in ipairs(rows) do
    r.gmacs = M * K * N / r.median / 1e9
    r.gigabytes = r.bytes_per_weight * M * K / r.median / 1e9 -- weights read a second, if each once
  end
  local head = { rows = M, columns = K, batch = N, threads = trit.threads(), cpu = trit.core.cpu(),
    isa = trit.core.isa(), results = rows }
  if args.json then
    print(require("trit.json").encode(head, { indent = true }))
    return 0
  end
  print(("# linear %d x %d, %d vector%s, %d thread%s; %s, %s"):format(M, K, N, N == 1 and "" or "s",
    head.threads, head.threads == 1 and "" or "s", head.cpu, head.isa))
  local lines = {}
  for i, r in ipairs(rows) do
    lines[i] = { r.name, ("%.1f"):format(r.median * 1e6), ("%.1f"):format(r.least * 1e6),
      ("%.1f"):format(r.iqr * 1e6), ("%.1f"):format(r.gmacs), ("%.1f"):format(r.gigabytes),
      ("%.2f"):format(rows[1].median / r.median), ("%.3f"):format(r.bytes_per_weight),
      ("%.1e"):format(r.residual) }
  end
  print(require("trit.term").table({ "candidate", "median us", "least", "iqr", "GMAC/s", "GB/s", "ratio",
    "bytes/weight", "residual" }, lines, { false, true, true, true, true, true, true, true, true }))
  return 0
end

return bench
