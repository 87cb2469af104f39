--- Layers of packed networks measured: time, limits of the processor, bytes of weights, residual.
--
--   local tables = timing.layers(model, { { runner = r, bits = 8 }, ... }, x, roof)
--   tables[1][3].seconds, .gmacs, .limit, .share, .bytes_per_weight, .residual

local core = require "trit.core"

local timing = {}

local ROUNDS = 15

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

--- Seconds of every node and candidate; the candidates take turns.
local function seconds_of(candidates, nodes, x, per_round)
  local samples = {}
  for c in ipairs(candidates) do
    samples[c] = {}
    for i = 1, nodes do samples[c][i] = {} end
  end
  for round = 1, ROUNDS do
    for c, candidate in ipairs(candidates) do
      if candidate.ready then candidate.ready() end
      candidate.runner:profile()
      for _ = 1, per_round do candidate.runner:run(x) end
      for i, s in ipairs(candidate.runner:seconds()) do samples[c][i][round] = s / per_round end
    end
  end
  for c in ipairs(candidates) do
    for i = 1, nodes do samples[c][i] = median(samples[c][i]) end
  end
  return samples
end

--- Largest difference of every node's value from that of plain float sums, relative to the largest value.
-- What came before is part of it: the network is run as it is.
local function residuals(model, candidates, nodes, x)
  local out, mode = {}, core.conv_mode("gemm")
  local plain = model:runner { batch = x:shape()[1] }
  for c in ipairs(candidates) do out[c] = {} end
  for i = 1, nodes do
    core.conv_mode("gemm")
    local want = plain:value(x, i)
    core.conv_mode(mode)
    local largest = math.max(want:abs():max():item(), 1e-30)
    for c, candidate in ipairs(candidates) do
      out[c][i] = candidate.runner:value(x, i):max_difference(want) / largest
    end
  end
  return out
end

--- One list of rows per candidate ({ runner =, bits =, ready = }).
function timing.layers(model, candidates, x, roof)
  local nodes, batch = model:facts().nodes, x:shape()[1]
  local shape = model:facts().shape
  local once = 0
  for _, n in ipairs(nodes) do once = once + n.macs * batch end
  local samples = seconds_of(candidates, #nodes, x, once < 2e8 and 10 or 2)
  local apart, tables = residuals(model, candidates, #nodes, x), {}
  local function numbers(value) -- of one image
    local n = nodes[value]
    return n and n.K * n.P * n.Q or shape[1] * shape[2] * shape[3]
  end
  for c, candidate in ipairs(candidates) do
    local facts, weighs, rows = candidate.runner:facts(), candidate.runner:weight_bytes(), {}
    local width = candidate.bits > 0 and 1 or 4 -- bytes of an activation
    for i, n in ipairs(nodes) do
      local moved = numbers(n.a) + numbers(i) + (n.b >= 0 and numbers(n.b) or 0)
      local limit, least = roof:bound { macs = n.macs * batch, bits = candidate.bits,
        bytes = weighs[i] + width * batch * moved, block = facts.weights + facts.arena }
      rows[i] = { name = n.name, kind = n.kind, H = n.H, W = n.W, C = n.C, K = n.K, R = n.R, S = n.S,
        stride = n.stride_h, seconds = samples[c][i], gmacs = n.macs * batch / samples[c][i] / 1e9,
        limit = limit, share = least / samples[c][i], residual = apart[c][i],
        bytes_per_weight = n.weights > 0 and weighs[i] / n.weights or nil }
    end
    tables[c] = rows
  end
  return tables
end

local HEAD = { "layer", "kind", "size", "channels", "us", "GMAC/s", "limit", "of it", "bytes/weight",
  "residual" }
local RIGHT = { false, false, true, true, true, true, false, true, true, true }

--- The rows as text.
function timing.text(rows)
  local term, lines, total = require "trit.term", {}, 0
  for i, r in ipairs(rows) do
    total = total + r.seconds
    lines[i] = { r.name, r.kind == "conv" and ("conv %dx%d/%d"):format(r.R, r.S, r.stride) or r.kind,
      ("%dx%d"):format(r.H, r.W), ("%d>%d"):format(r.C, r.K), ("%.1f"):format(r.seconds * 1e6),
      r.kind == "conv" and ("%.1f"):format(r.gmacs) or "-", r.limit, ("%.0f %%"):format(100 * r.share),
      term.number(r.bytes_per_weight, "%.3f"), ("%.1e"):format(r.residual) }
  end
  lines[#lines + 1] = { "together", "", "", "", ("%.1f"):format(total * 1e6), "", "", "", "", "" }
  return term.table(HEAD, lines, RIGHT)
end

local CHILD = [[
local core = require "trit.core"
local model = assert(core.model_open(%q))
local s = model:facts().shape
local runner, x = model:runner { bits = %d, batch = %d }, core.zeros { %d, s[1], s[2], s[3] }
for _ = 1, 3 do runner:run(x) end
print(require("trit.measure").peak_memory())]]

--- Most memory, in bytes, of a process that opens the model and runs it: interpreter and libraries included.
function timing.peak_memory(model, bits, batch)
  local path = os.tmpname()
  assert(model:save(path))
  local code = CHILD:format(path, bits, batch, batch)
  local pipe = assert(io.popen(("TRIT_THREADS=1 lua5.4 -e '%s'"):format(code:gsub("'", "'\\''"))))
  local bytes = tonumber(pipe:read("a"))
  pipe:close()
  os.remove(path)
  return bytes
end

return timing
