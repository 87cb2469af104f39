--- Binary bases of activations (Lin, Zhao & Pan 2017, arXiv:1711.11294):
-- A_n = 2 [clip(x + v_n, 0, 1) >= 1/2] - 1, y = sum beta_n A_n; v and beta are trained.
--   dL/dx = sum_n beta_n g [0 <= x + v_n <= 1], dL/dv_n = beta_n sum g [...], dL/dbeta_n = sum g A_n
-- First v spread the cuts evenly over (-1, 1), first beta 1/N (ours).

local core = require "trit.core"
local fn = require "trit.fn"
local act = require "trit.act"

local ops = core.ops

local function base(x, v) return 1 - ops.gt(0.5, x + v) * 2 end

local combine = fn.fn { name = "abcnet_activation",
  forward = function(saved, x, v, beta)
    saved.x, saved.v, saved.beta = x, v, beta
    local y = base(x, v:get(1)) * beta:get(1)
    for n = 2, v:numel() do y = y + base(x, v:get(n)) * beta:get(n) end
    return y
  end,
  backward = function(saved, g)
    local x, v, beta = saved.x, saved.v, saved.beta
    local dx, dv, dbeta = nil, {}, {}
    for n = 1, v:numel() do
      local part = g * act.inside(x + v:get(n), 0, 1) * beta:get(n)
      dx = dx and dx + part or part
      dv[n] = part:sum():item()
      dbeta[n] = (g * base(x, v:get(n))):sum():item()
    end
    return dx, core.tensor(dv), core.tensor(dbeta)
  end }

return act.define { name = "abcnet", signed = true,
  doc = "y = sum beta_n (2 [clip(x + v_n, 0, 1) >= 1/2] - 1), beta and v trained  (arXiv:1711.11294)",
  options = { bases = { 3, min = 1, max = 8, doc = "binary bases summed" } },
  init = function(self)
    local n, v, beta = self.options.bases, {}, {}
    for k = 1, n do v[k], beta[k] = 0.5 - (-1 + 2 * (k - 0.5) / n), 1 / n end
    self.v = core.tensor(v):requires_grad(true)
    self.beta = core.tensor(beta):requires_grad(true)
  end,
  forward = function(self, x) return combine(x, self.v, self.beta) end }
