--- trit bench linear: a packed linear layer beside the float32 one, every figure with its residual and the
-- processor's limit.
--
-- The float32 candidate is the faster of two ways to ask BLIS for the product (x W^T and W x^T); BLIS' own
-- matrix-vector routine is not among them and is faster than both for a single vector.

local bench = { name = "linear", summary = "packed linear layers beside float32 ones" }

function bench.setup(parser)
  local count = require("trit.options").count
  parser:option("--rows", "outputs"):default("4096"):argname("M"):convert(count("--rows", 1))
  parser:option("--columns", "inputs"):default("4096"):argname("K"):convert(count("--columns", 1))
  parser:option("--batch", "vectors at a time"):default("1"):argname("N"):convert(count("--batch", 1))
  parser:option("--threads", "compute threads; several: each, and the ratios"):argname("N,N")
  parser:option("--seconds", "measured per candidate"):default("2"):convert(tonumber):argname("S")
  parser:option("--peer", "a program to measure in turns, see tests/bench/peers; {threads}, {rows}, " ..
    "{columns} and {batch} in it are replaced"):count("*"):argname("COMMAND")
  parser:flag("--json", "one JSON document")
end

local function codes_of(trit, rows, columns)
  local u = trit.rand({ rows, columns }, { seed = 1 })
  return trit.sub(trit.gt(u, 0.7), trit.sub(1, trit.gt(u, 0.3))) -- 40 % zeros
end

--- What is multiplied: codes, vectors, the packed layer and its residual.
local function work_of(trit, args)
  local codes = codes_of(trit, args.rows, args.columns)
  local x = trit.randn({ args.batch, args.columns }, { seed = 2 })
  local want, packed = trit.linear(x, codes), {}
  for i, bits in ipairs { 8, 0 } do -- with vectors rounded to 8 bits, and as they are
    local layer = trit.core.linear_pack(codes, trit.tensor { 1 }, bits)
    local bytes, kernels = layer:facts()
    packed[i] = { name = (bits == 8 and "packed, u8 " or "packed, float ") .. kernels, bytes = bytes,
      bits = bits,
      residual = trit.sub(layer:run(x), want):abs():max():item() / want:abs():max():item(),
      run = function() layer:run(x):close() end } -- so that the next result finds its memory warm
  end
  return { codes = codes, x = x, packed = packed, turned = trit.permute(x, { axes = { 2, 1 } }):clone() }
end

local function add_ours(list, trit, work, threads)
  local library = trit.core.gemm_library()
  local function add(c)
    c.threads, c.ready = threads, require("trit.measure").with_threads(threads, c.run)
    list[#list + 1] = c
  end
  local weights = work.codes:numel()
  add { name = "float32 x W', " .. library, float = true, residual = 0, bytes = 4 * weights, bits = 0,
    run = function() trit.linear(work.x, work.codes):close() end }
  add { name = "float32 W x', " .. library, float = true, residual = 0, bytes = 4 * weights, bits = 0,
    run = function() trit.matmul(work.codes, work.turned):close() end }
  for _, p in ipairs(work.packed) do
    local c = {}
    for field, value in pairs(p) do c[field] = value end
    add(c)
  end
end

local function candidates_of(trit, args, work, counts)
  local measure, list = require "trit.measure", {}
  for i, threads in ipairs(counts) do
    add_ours(list, trit, work, threads)
    local ok, why = measure.add_peers(list, args.peer, { threads = threads, batch = args.batch,
      rows = args.rows, columns = args.columns }, i == 1)
    if not ok then error({ exit = 1, message = why }) end
  end
  return list
end

--- The rows that are shown: of the two float32 ways the faster, for each number of threads.
local function shown(rows, list)
  local best, out = {}, {}
  for i, row in ipairs(rows) do
    local c = list[i]
    for _, field in ipairs { "threads", "residual", "bytes", "bits", "float", "memory",
      "samples" } do
      row[field] = c[field]
    end
    if row.float and (not best[row.threads] or row.median < best[row.threads].median) then
      best[row.threads] = row
    end
  end
  for _, row in ipairs(rows) do
    if not row.float or best[row.threads] == row then out[#out + 1] = row end
  end
  return out
end

--- How many times as long float32 takes with as many threads.
local function set_ratios(rows, float)
  for _, r in ipairs(rows) do
    if float[r.threads] then require("trit.measure").set_ratio(r, float[r.threads], r) end
  end
  for _, r in ipairs(rows) do r.samples = nil end
end

--- Rates, ratios and limits.
local function describe(trit, rows, args, counts)
  local M, K, N = args.rows, args.columns, args.batch
  local roof, float, first, peaks = {}, {}, {}, {}
  for _, threads in ipairs(counts) do
    trit.threads(threads)
    roof[threads] = require("trit.roofline").measure()
  end
  for _, r in ipairs(rows) do
    if r.float then float[r.threads] = r end
    r.float = nil
    local key = r.name:match("^float32") or r.name
    if r.threads == counts[1] then first[key] = r.median end
    if r.threads ~= counts[1] and first[key] then r.speedup = first[key] / r.median end
    r.gmacs = M * K * N / r.median / 1e9
    if r.bytes then
      r.bytes_per_weight = r.bytes / (M * K)
      r.gigabytes = r.bytes / r.median / 1e9 -- weights read a second, if each once
      trit.threads(r.threads)
      local least
      r.limit, least = roof[r.threads]:bound { macs = M * K * N, bits = r.bits, block = r.bytes,
        bytes = r.bytes + 4 * N * (M + K) }
      r.share = least / r.median
      local peak = r.limit == "memory" and roof[r.threads]:rate(r.bytes)
        or r.bits > 0 and roof[r.threads].products or roof[r.threads].adds
      peaks[#peaks + 1] = { name = r.name, threads = r.threads, limit = r.limit, rate = peak }
    end
  end
  set_ratios(rows, float)
  return peaks
end

local HEAD = { "candidate", "threads", "median us", "least", "iqr", "GMAC/s", "GB/s", "ratio", "speed-up",
  "limit", "of it", "bytes/weight", "residual" }
local RIGHT = { false, true, true, true, true, true, true, true, true, false, true, true, true }

local function print_report(args, head)
  local term, lines = require "trit.term", {}
  print(("# linear %d x %d, %d vector%s; %s, %s"):format(args.rows, args.columns, args.batch,
    args.batch == 1 and "" or "s", head.cpu, head.isa))
  for i, r in ipairs(head.results) do
    lines[i] = { r.name, tostring(r.threads), ("%.1f"):format(r.median * 1e6), ("%.1f"):format(r.least * 1e6),
      ("%.1f"):format(r.iqr * 1e6), ("%.1f"):format(r.gmacs), term.number(r.gigabytes, "%.1f"),
      require("trit.measure").ratio_text(r), term.number(r.speedup, "%.2f"), r.limit or "-",
      r.share and ("%.0f %%"):format(100 * r.share) or "-", term.number(r.bytes_per_weight, "%.3f"),
      term.number(r.residual, "%.1e") }
  end
  print(term.table(HEAD, lines, RIGHT))
  for _, p in ipairs(head.limits) do
    print(("%s, %d thread%s: %s at most %.1f %s"):format(p.name, p.threads, p.threads == 1 and "" or "s",
      p.limit == "memory" and "reads" or "multiplies", p.rate, p.limit == "memory" and "GB/s" or "GMAC/s"))
  end
end

function bench.run(args)
  local trit = require "trit"
  local measure = require "trit.measure"
  local counts = measure.thread_counts(args.threads, trit.threads())
  trit.threads(counts[1])
  local work = work_of(trit, args)
  local list = candidates_of(trit, args, work, counts)
  local ok, rows = pcall(measure.rounds, list, { seconds = args.seconds })
  measure.close_peers(list)
  if not ok then error(rows, 0) end
  rows = shown(rows, list)
  local limits = describe(trit, rows, args, counts)
  local head = { rows = args.rows, columns = args.columns, batch = args.batch, threads = counts,
    cpu = trit.core.cpu(), isa = trit.core.isa(), results = rows, limits = limits }
  if args.json then
    print(require("trit.json").encode(head, { indent = true }))
  else
    print_report(args, head)
  end
  return 0
end

return bench
