--- Pruning with retraining (Han et al. 2015, arXiv:1506.02626) and Deep Compression (Han, Mao & Dally,
-- ICLR 2016, arXiv:1510.00149): prune, share weights by k-means, fine-tune the shared values, Huffman-code.
--
-- The file holds, per layer, the shared values as floats and two Huffman-coded streams: distances between
-- weights that are not 0 (a distance of more than 2^bits - 1 is bridged by filler entries with number 0), and
-- the numbers of their shared values.  Its size is that of a file that decode() reads back.

local core = require "trit.core"
local huffman = require "trit.huffman"
local quant = require "trit.quant"

local M = {}

local MAGIC = "TRITDC1\n"
-- The authors' numbers: bits of a relative position, shared values (8 bits with the one of 0, and 5 bits).
local CONV, FC = { distance = 8, clusters = 255 }, { distance = 5, clusters = 32 }

local function flatten(t, out)
  if type(t) ~= "table" then
    out[#out + 1] = t
    return out
  end
  for _, v in ipairs(t) do flatten(v, out) end
  return out
end

--- Distances and numbers of the entries that are not 0: two lists.
function M.relative(index, bits)
  local most, gaps, numbers, last = (1 << (bits or CONV.distance)) - 1, {}, {}, 0
  for i, number in ipairs(index) do
    while number ~= 0 and i - last > most do
      last = last + most
      gaps[#gaps + 1], numbers[#numbers + 1] = most, 0
    end
    if number ~= 0 then
      gaps[#gaps + 1], numbers[#numbers + 1], last = i - last, number, i
    end
  end
  return gaps, numbers
end

local function expand(gaps, numbers, n)
  local index, at = {}, 0
  for i = 1, n do index[i] = 0 end
  for i, gap in ipairs(gaps) do
    at = at + gap
    if at > n then return nil end
    index[at] = numbers[i]
  end
  return index
end

local function sorted(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

-- A stream: how many symbols, the code's lengths, how many bytes, bytes.
local function stream(symbols)
  local code = huffman.build(huffman.count(symbols))
  local parts = { string.pack("<I4I2", #symbols, #sorted(code.lengths)) }
  for _, s in ipairs(sorted(code.lengths)) do parts[#parts + 1] = string.pack("<I2B", s, code.lengths[s]) end
  parts[#parts + 1] = string.pack("<s4", huffman.encode(code, symbols))
  return table.concat(parts)
end

local function read_stream(text, at)
  local n, kinds, bytes
  n, kinds, at = string.unpack("<I4I2", text, at)
  local lengths = {}
  for _ = 1, kinds do
    local s, length
    s, length, at = string.unpack("<I2B", text, at)
    lengths[s] = length
  end
  bytes, at = string.unpack("<s4", text, at)
  return huffman.decode(huffman.canonical(lengths), bytes, n), at
end

--- One layer as text: index (flat list, 0 = pruned), centroids (list of rows), weights per row, bits of a
-- distance.
function M.encode_layer(index, centroids, row_length, bits)
  local gaps, numbers = M.relative(index, bits)
  local parts = { string.pack("<I4I4I2", #index, row_length, #centroids) }
  for _, row in ipairs(centroids) do
    parts[#parts + 1] = string.pack("<I2", #row)
    for _, v in ipairs(row) do parts[#parts + 1] = string.pack("<f", v) end
  end
  parts[#parts + 1] = stream(gaps)
  parts[#parts + 1] = stream(numbers)
  return table.concat(parts)
end

--- The flat list of weights again, and where the next layer starts.
function M.decode_layer(text, at)
  local n, row_length, rows, count, gaps, numbers
  n, row_length, rows, at = string.unpack("<I4I4I2", text, at)
  local centroids = {}
  for r = 1, rows do
    centroids[r] = {}
    count, at = string.unpack("<I2", text, at)
    for k = 1, count do centroids[r][k], at = string.unpack("<f", text, at) end
  end
  gaps, at = read_stream(text, at)
  numbers, at = read_stream(text, at)
  local index = assert(expand(gaps, numbers, n), "deep compression: positions run past the layer")
  local w = {}
  for i, number in ipairs(index) do w[i] = number == 0 and 0
    or centroids[(i - 1) // row_length + 1][number] end
  return w, at
end

local function shared_layers(net)
  local list = {}
  for name, m in net:quantizable() do
    local q = rawget(m, "quantizer")
    if q and q.name == "shared" then list[#list + 1] = { name = name, m = m, q = q } end
  end
  return list
end

-- A job's number for a layer's kind, `distance` or `clusters`, else the authors'.
local function number_of(job, layer, what)
  local conv = #layer.weight:shape() == 4
  return job and job[what .. (conv and "_conv" or "_fc")] or (conv and CONV or FC)[what]
end

--- Write the shared layers of a network to a file; returns its size in bytes, and that of the same
-- weights as floats.  job: distance_conv, distance_fc.
function M.save(net, path, job)
  local parts, plain = { MAGIC }, 0
  for _, l in ipairs(shared_layers(net)) do
    local n, rows = l.m.weight:numel(), l.q.centroids:shape()[1]
    local index = {}
    for i, v in ipairs(flatten(l.q.index:totable(), {})) do index[i] = math.tointeger(v) end
    parts[#parts + 1] = string.pack("<s2", l.name) .. M.encode_layer(index, l.q.centroids:totable(),
      n // rows, number_of(job, l.m, "distance"))
    plain = plain + 4 * n
  end
  local text = table.concat(parts)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  assert(file:close())
  return #text, plain
end

--- name -> flat list of weights in the order of the shape; nil and a sentence.
function M.load(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local text = file:read("a")
  file:close()
  if text:sub(1, #MAGIC) ~= MAGIC then return nil, ("'%s' is no deep-compression file"):format(path) end
  local out, at = {}, #MAGIC + 1
  while at <= #text do
    local name
    name, at = string.unpack("<s2", text, at)
    out[name], at = M.decode_layer(text, at)
  end
  return out
end

--- The authors' rate: n weights of 32 bits against codes of log2 k bits and k shared values.
function M.rate(n, k) return n * 32 / (n * math.log(k, 2) + k * 32) end

---------------------------------------------------------------------------- training

local QUALITY, RETRAIN, SHARE = 1.0, 0.1, 0.01 -- threshold in std(w); learning rates of the later stages
local ROUNDS = 2 -- of pruning and retraining, where there is nothing else

--- Prune every layer and retrain what is left, `rounds` times with a threshold that grows to job.quality.
function M.prune(net, job, o)
  local methods, result = require "trit.methods", nil
  for round = 1, o.rounds or 1 do
    for _, m in net:quantizable() do
      local q = rawget(m, "quantizer") -- what is pruned stays so
      if q then m.weight:copy(m.weight * q.mask) end
    end
    local quality = (job.quality or QUALITY) * round / (o.rounds or 1)
    require("trit.quantize").quantize(net, { { ".*", quant.pruned { quality = quality } } })
    local last = round == (o.rounds or 1)
    local _, bits = require("trit.train").sparsity(net)
    result = methods.fit(net, job, { epochs = o.epochs, lr = job.lr * RETRAIN, label = o.label,
      out = last and o.out or nil, log = last and o.log, config = { method = o.label, bits = bits } })
  end
  return result
end

local function halves(epochs) return math.max(epochs // 2, 1) end

-- Rounds of pruning, job.rounds or the method's own number, and epochs of each.
local function rounds_of(job, own, epochs)
  local rounds = (job.rounds or 0) > 0 and job.rounds or own
  return rounds, math.max(epochs // rounds, 1)
end

local function train_magnitude(job, d)
  local methods = require "trit.methods"
  local net, all = methods.float_start(job)
  local rounds, epochs = rounds_of(job, ROUNDS, all)
  return M.prune(net, job, { epochs = epochs, rounds = rounds, label = d.name, out = job.out }), net
end

-- k-means on what is left of every layer.
local function share(net, job)
  local rules = {}
  for name, m in net:quantizable() do
    rules[#rules + 1] = { "^" .. name:gsub("%p", "%%%0") .. "$",
      quant.shared { clusters = number_of(job, m, "clusters") } }
  end
  require("trit.quantize").quantize(net, rules)
end

local function train_deep(job, d)
  local methods = require "trit.methods"
  local net, epochs = methods.float_start(job)
  local rounds, each = rounds_of(job, 1, halves(epochs))
  M.prune(net, job, { epochs = each, rounds = rounds, label = d.name, log = false })
  local old = core.grad_enabled(false)
  for _, m in net:quantizable() do m.weight:copy(m.weight * m.quantizer.mask) end
  core.grad_enabled(old)
  share(net, job)
  local _, bits = require("trit.train").sparsity(net)
  local result = methods.fit(net, job, { epochs = halves(epochs), lr = job.lr * SHARE, label = d.name,
    out = job.out, config = { method = d.name, bits = bits } })
  local bytes, plain = M.save(net, result.dir .. "/weights.dc", job)
  result.file_bytes, result.compression = bytes, plain / bytes
  result.bits = 32 * bytes / plain
  return result, net
end

return setmetatable({
  { name = "magnitude", doc = "small weights pruned in two rounds, retrained (Han et al. 2015)",
    train = train_magnitude,
    published = { { set = "ImageNet", network = "AlexNet", degradation = 0,
      source = "1506.02626 (unverified)" } } },
  { name = "deep_compression", doc = "pruned, shared, Huffman-coded (Han, Mao & Dally 2016)",
    train = train_deep,
    published = { { set = "ImageNet", network = "AlexNet", degradation = 0,
      source = "1510.00149 (unverified)" } } },
}, { __index = M })
