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

return stats
