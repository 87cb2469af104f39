--- Statistics of weights and codes, as logged in the run file; computed in double.
--
--     local stats = require "trit.stats"
--     stats.moments(t)            -- { n, nan, min, max, mean, std (n-1), skew, kurtosis (excess) }
--     stats.histogram(t, edges)   -- { counts, zeros, under, over, nan }: bin i is
--                                 -- edges[i] <= x < edges[i+1], the last closed; counts include zeros
--     stats.shapiro(t)            -- { w, one_minus_w, p }: Shapiro-Wilk by AS R94; p is NaN for n > 5000
--     stats.ks_normal(t)          -- distance to N(mean, std) of the sample itself
--     stats.weights(t, options)   -- all of it in one pass; options { edges =, shapiro = true,
--                                 -- subsamples = 20, size = 5000, seed = 0 }
--     stats.codes(codes, before)  -- { share = { negative, zero, positive }, flips }, packed:
--                                 -- pass `packed` as `before` next time to get the flipped fraction
--     stats.edges(t, bins, sigmas)      -- bins + 1 edges over +- sigmas rms(t), symmetric about 0
--     stats.normal_quantile(p)    -- inverse of the normal distribution function
--     stats.lloyd_max(levels)     -- { values, thresholds, mse } of N(0,1)
--     stats.mills(z)              -- inverse Mills ratio lambda, lambda - z
--     stats.fit(w, q)             -- how far a quantizer is from the best one for these weights
--
-- Values that do not exist (no spread, too few elements) are NaN.
local core = require "trit.core"

local stats = {
  moments = core.stats_moments,
  histogram = core.stats_histogram,
  shapiro = core.stats_shapiro,
  ks_normal = core.stats_ks_normal,
  weights = core.stats_weights,
  codes = core.stats_codes,
  normal_quantile = core.stats_normal_quantile,
  lloyd_max = core.stats_lloyd_max,
  mills = core.quant_mills,
}

--- Equally spaced histogram edges that suit a weight tensor.
-- t: tensor.  bins: how many.  sigmas: half width in root mean squares of t (in standard deviations
-- when its mean is 0); a tensor of zeros gets +-1.  Returns bins + 1 numbers.
function stats.edges(t, bins, sigmas)
  local m = core.stats_moments(t)
  local variance = m.n > 1 and m.std ^ 2 or 0
  local half = sigmas * math.sqrt(m.mean ^ 2 + variance)
  if not (half > 0 and half < math.huge) then half = 1 end
  local edges = {}
  for i = 0, bins do
    edges[i + 1] = half * (2 * i - bins) / bins
  end
  return edges
end

-- Sums over one row's weights in the order of the shape: what the two Lloyd-Max conditions need.
local function row_sums(w, wq, codes, first, last)
  local s = { error = 0, square = 0, kept = 0, count = 0, inner = 0, outer = math.huge }
  for i = first, last do
    local x, a = w[i], math.abs(w[i])
    s.error, s.square = s.error + (x - wq[i]) ^ 2, s.square + x * x
    if codes[i] ~= 0 then
      s.kept, s.count, s.outer = s.kept + a, s.count + 1, math.min(s.outer, a)
    else
      s.inner = math.max(s.inner, a)
    end
  end
  return s
end

local function flat(t) return core.ops.reshape(t:detach(), { shape = { t:numel() } }):totable() end

--- Where a ternary quantizer of one term stands between the two conditions of the best quantizer (Lloyd
-- 1982, Max 1960): (a) each level is the mean of its cell, (b) each cut is half-way between two levels.
-- A list, one entry a row: scale, centroid (mean |w| over the codes that are not 0) and scale_ratio, their
-- quotient, 1 where (a) holds; delta and cut_ratio = delta/(scale/2), 1 where (b) holds; mse and
-- relative_mse = error / sum w^2; normal = { delta, scale, mse }, the best three levels of N(0, sigma).
-- Fields that do not exist are nil.
function stats.fit(w, q)
  local rows = q:stats(w)
  local old = core.grad_enabled(false)
  local wq, codes, list = flat(q(w)), flat(q:codes()), flat(w)
  core.grad_enabled(old)
  local best, out, len = stats.lloyd_max(3), {}, #list // #rows
  for r, row in ipairs(rows) do
    local s = row_sums(list, wq, codes, (r - 1) * len + 1, r * len)
    local centroid = s.count > 0 and s.kept / s.count or nil
    out[r] = { scale = row.scale, delta = row.delta, centroid = centroid,
      scale_ratio = centroid and centroid > 0 and row.scale / centroid or nil,
      cut_ratio = row.delta and row.scale > 0 and row.delta / (row.scale / 2) or nil,
      mse = s.error / len, relative_mse = s.square > 0 and s.error / s.square or nil,
      normal = row.sigma and { delta = best.thresholds[2] * row.sigma, scale = best.values[3] * row.sigma,
        mse = best.mse * row.sigma ^ 2 } or nil }
  end
  return out
end

return stats
