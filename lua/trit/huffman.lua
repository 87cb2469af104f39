--- Huffman codes of small numbers, as bits in a string: what Deep Compression writes to disk.
--
--   local code = huffman.build(counts)                -- counts[symbol] = how often; symbols are integers
--   local bytes = huffman.encode(code, symbols)       -- string, last byte filled with zero bits
--   huffman.decode(code, bytes, n)                    -- the n symbols again
--
-- Codes are canonical: lengths alone define them, so a file stores lengths only.

local huffman = {}

local function sorted(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

-- Take the lightest of a list, the one made first on a tie.
local function lightest(list)
  local best = 1
  for i = 2, #list do
    if list[i].count < list[best].count or list[i].count == list[best].count
      and list[i].made < list[best].made then
      best = i
    end
  end
  return table.remove(list, best)
end

local function measure(node, depth, lengths)
  if node.symbol then
    lengths[node.symbol] = math.max(depth, 1) -- a lone symbol takes one bit
    return
  end
  measure(node[1], depth + 1, lengths)
  measure(node[2], depth + 1, lengths)
end

--- { [symbol] = bits } of an optimal code for these counts; symbols that do not occur have none.
function huffman.lengths(counts)
  local list, made = {}, 0
  for _, symbol in ipairs(sorted(counts)) do
    if counts[symbol] > 0 then
      made = made + 1
      list[#list + 1] = { symbol = symbol, count = counts[symbol], made = made }
    end
  end
  if #list == 0 then return {} end
  while #list > 1 do
    local a, b = lightest(list), lightest(list)
    made = made + 1
    list[#list + 1] = { a, b, count = a.count + b.count, made = made }
  end
  local lengths = {}
  measure(list[1], 0, lengths)
  return lengths
end

--- The canonical code of lengths: { words = { [symbol] = text of 0 and 1 }, lengths = }.
function huffman.canonical(lengths)
  local order = sorted(lengths)
  table.sort(order, function(a, b)
    if lengths[a] ~= lengths[b] then return lengths[a] < lengths[b] end
    return a < b
  end)
  local words, value, length = {}, 0, 0
  for i, symbol in ipairs(order) do
    if i > 1 then value = value + 1 end
    value, length = value << (lengths[symbol] - length), lengths[symbol]
    local bits = {}
    for b = length - 1, 0, -1 do bits[#bits + 1] = value >> b & 1 end
    words[symbol] = table.concat(bits)
  end
  return { words = words, lengths = lengths }
end

--- The code of counts.
function huffman.build(counts) return huffman.canonical(huffman.lengths(counts)) end

--- How often each number occurs in a list.
function huffman.count(symbols)
  local counts = {}
  for _, s in ipairs(symbols) do counts[s] = (counts[s] or 0) + 1 end
  return counts
end

--- Bits that a message with these counts takes.
function huffman.bits(lengths, counts)
  local sum = 0
  for symbol, n in pairs(counts) do sum = sum + n * (lengths[symbol] or 0) end
  return sum
end

function huffman.encode(code, symbols)
  local parts = {}
  for i, s in ipairs(symbols) do parts[i] = code.words[s] end
  local text = table.concat(parts)
  text = text .. ("0"):rep(-#text % 8)
  return (text:gsub("%d%d%d%d%d%d%d%d", function(byte) return string.char(tonumber(byte, 2)) end))
end

function huffman.decode(code, bytes, n)
  local by_word, out, word, longest = {}, {}, "", 0
  for symbol, w in pairs(code.words) do
    by_word[w], longest = symbol, math.max(longest, #w)
  end
  for i = 1, #bytes do
    local byte = bytes:byte(i)
    for b = 7, 0, -1 do
      if #out == n then return out end
      word = word .. (byte >> b & 1)
      if by_word[word] then
        out[#out + 1], word = by_word[word], ""
      elseif #word > longest then
        return nil, "huffman: the bits are no code"
      end
    end
  end
  return #out == n and out or nil, #out ~= n and "huffman: the bits end early" or nil
end

return huffman
