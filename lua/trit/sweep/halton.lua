--- Halton points with scrambled digits: cover the unit cube evenly from the first point on.
--
-- x_i,d = sum_j perm_(d,j)(digit j of i in base b_d) * b_d^-(j+1), b_d the d-th prime, and every
-- perm_(d,j) a random permutation of 0..b_d-1 drawn by Philox from the seed (Halton 1960; random
-- digit scrambling as in Owen 1995, one permutation per digit position).  Point i does not depend
-- on how many are taken: a longer sweep begins with the shorter one.
local core = require "trit.core"

local halton = {}

local BITS = 53 -- of a double
local PRIMES = { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71 }
local DIGITS = 64 -- digit positions per dimension in the numbering of draws

halton.most_dimensions = #PRIMES

-- Fisher-Yates over 0..base-1.
local function permutation(seed, dimension, digit, base)
  local p = {}
  for k = 0, base - 1 do p[k] = k end
  for k = base - 1, 1, -1 do
    local u = core.sweep_uniform(seed, dimension * DIGITS + digit, (1 << 16) + k)
    local other = math.floor(u * (k + 1))
    p[k], p[other] = p[other], p[k]
  end
  return p
end

--- halton.new(seed) -> function (index, dimension) -> [0, 1); both count from 1.
function halton.new(seed)
  local cache = {}
  local function digits_of(dimension)
    local base, list = PRIMES[dimension], {}
    for digit = 1, math.ceil(BITS * math.log(2) / math.log(base)) do
      list[digit] = permutation(seed, dimension, digit, base)
    end
    return list
  end
  return function(index, dimension)
    local base = PRIMES[dimension]
    cache[dimension] = cache[dimension] or digits_of(dimension)
    local x, weight = 0.0, 1.0
    for _, p in ipairs(cache[dimension]) do
      weight = weight / base
      x = x + p[index % base] * weight
      index = index // base
    end
    return math.min(x, 1 - 2.0 ^ -BITS)
  end
end

return halton
