--- Learned quantization of activations (Zhang et al., ECCV 2018, arXiv:1807.10029): levels v.b, b in {0,1}^K,
-- thresholds half-way between neighbours, after a ReLU.  dL/dx = g [x < top level].  One basis a layer; every
-- training forward moves it, after use, by v <- m v + (1-m) (B'B)^-1 B'x.
-- First basis: 2^j 2 0.6745/(2^K - 1).  A weight on a threshold takes the lower level.

local core = require "trit.core"
local fn = require "trit.fn"
local act = require "trit.act"
local linear = require "trit.linear"

local ops = core.ops
local QUARTILE = 0.6745 -- of N(0,1)

-- Levels in ascending order: { { level =, code = } ... }, code with bit k-1 for basis number k.
local function ladder(v)
  local list = {}
  for code = 0, (1 << #v) - 1 do
    local level = 0
    for k = 1, #v do level = level + (code >> (k - 1) & 1) * v[k] end
    list[#list + 1] = { level = level, code = code }
  end
  table.sort(list, function(a, b) return a.level < b.level or a.level == b.level and a.code < b.code end)
  return list
end

-- Sum over steps of the ladder passed by x, of what `jump(lower, upper)` says of each, from `first`.
local function climb(x, steps, first, jump)
  local y = x * 0 + first
  for i = 2, #steps do
    local by = jump(steps[i - 1], steps[i])
    if by ~= 0 then y = y + x:gt((steps[i - 1].level + steps[i].level) / 2) * by end
  end
  return y
end

local function bit_of(step, k) return step.code >> (k - 1) & 1 end

-- The quantizer of one basis.
local function levels(v)
  local steps = ladder(v)
  return fn.fn { name = "lqnets_activation",
    forward = function(saved, x)
      saved.x = x
      return climb(x, steps, steps[1].level, function(a, b) return b.level - a.level end)
    end,
    backward = function(saved, g) return g * ops.gt(steps[#steps].level, saved.x) end }
end

local function move(self, x, v)
  local steps, codes, A, b = ladder(v), {}, {}, {}
  for k = 1, #v do
    codes[k] = climb(x, steps, bit_of(steps[1], k), function(p, q) return bit_of(q, k) - bit_of(p, k) end)
  end
  for i = 1, #v do
    A[i], b[i] = {}, (codes[i] * x):sum():item()
    for j = 1, #v do A[i][j] = (codes[i] * codes[j]):sum():item() end
  end
  local fresh, m = linear.solve(A, b), self.options.average
  if not fresh then return end -- a bit that no number uses: the basis stays
  for k = 1, #v do self.basis:set(k, m * v[k] + (1 - m) * fresh[k]) end
end

return act.define { name = "lqnets",
  doc = "levels v.b, b in {0,1}^bits, of a basis that follows the activations  (arXiv:1807.10029)",
  options = { bits = { 2, min = 1, max = 4, doc = "numbers of the basis" },
    average = { 0.9, min = 0, max = 1, doc = "weight of the old basis" } },
  init = function(self)
    local n, first = self.options.bits, {}
    for k = 1, n do first[k] = 2 ^ (k - 1) * 2 * QUARTILE / (2 ^ n - 1) end
    self:buffer("basis", core.tensor(first))
  end,
  forward = function(self, x)
    local v = self.basis:totable()
    local y = levels(v)(x)
    if self.training then
      local old = core.grad_enabled(false)
      move(self, x:detach(), v)
      core.grad_enabled(old)
    end
    return y
  end }
