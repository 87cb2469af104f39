--- Parameterized clipping (Choi et al. 2018, arXiv:1805.06085): y = round(N clip(x, 0, alpha)/alpha) alpha/N,
-- N = 2^k - 1; dL/dx = g [0 <= x < alpha]; dL/dalpha = sum of g where x >= alpha.  alpha that is not
-- positive acts as 1e-8, so that it can come back.

local core = require "trit.core"
local fn = require "trit.fn"
local act = require "trit.act"

local ops = core.ops
local LEAST_LEVEL = 1e-8

-- The quantizer of x and alpha in n steps.
local function clip(n)
  return fn.fn { name = "pact",
    forward = function(saved, x, alpha)
      alpha = alpha:clamp { min = LEAST_LEVEL }
      saved.x, saved.alpha = x, alpha
      return act.round((x / alpha):clamp { min = 0, max = 1 } * n) * (alpha / n)
    end,
    backward = function(saved, g)
      local x = saved.x
      local below = ops.gt(saved.alpha, x)
      return g * below * (1 - ops.gt(0, x)), ops.reshape((g * (1 - below)):sum(), { shape = { 1 } })
    end }
end

return act.define { name = "pact",
  doc = "y = round(N clip(x, 0, alpha)/alpha) alpha/N, alpha trained  (arXiv:1805.06085)",
  options = { bits = { 4, min = 1, max = 16, doc = "bits of an activation" },
    alpha = { 6.0, min = 1e-3, max = 1e3, doc = "first clipping level" } },
  init = function(self)
    self.alpha = (core.ones { 1 } * self.options.alpha):requires_grad(true)
    self.clip = clip(2 ^ self.options.bits - 1)
  end,
  forward = function(self, x) return self.clip(x, self.alpha) end }
