--- Learned step size for activations (Esser et al., ICLR 2020, arXiv:1902.08153):
-- y = s clip(round(x/s), -qn, qp); dL/dx = g [-qn < x/s < qp]; dL/ds as in trit.quant.lsq, divided by
-- sqrt(numbers of x times qp).  s starts at 2 mean|x|/sqrt(qp) of the first training batch.  s that is not
-- positive acts as 1e-8, so that it can come back, as for weights.

local core = require "trit.core"
local fn = require "trit.fn"
local act = require "trit.act"

local ops = core.ops
local LEAST_STEP = 1e-8

-- Of x in steps: inside 1, and what y/s is beyond x/s there, or the limit.
local function parts(r, qn, qp)
  local inside = ops.gt(r, -qn) * ops.gt(qp, r)
  local t = act.round(r:clamp { min = -qn, max = qp })
  return inside, t - r * inside
end

-- The quantizer of x and s with these limits.
local function step(o)
  return fn.fn { name = "lsq_activation",
    forward = function(saved, x, s)
      s = s:clamp { min = LEAST_STEP }
      saved.x, saved.s = x, s
      return act.round((x / s):clamp { min = -o.qn, max = o.qp }) * s
    end,
    backward = function(saved, g)
      local inside, d = parts(saved.x / saved.s, o.qn, o.qp)
      local ds = (g * d):sum() * (1 / math.sqrt(saved.x:numel() * o.qp))
      return g * inside, ops.reshape(ds, { shape = { 1 } })
    end }
end

return act.define { name = "lsq",
  doc = "y = s clip(round(x/s), -qn, qp), s trained  (arXiv:1902.08153)",
  options = { qn = { 0, min = 0, max = 128, doc = "steps below 0" },
    qp = { 3, min = 1, max = 255, doc = "steps above 0" } },
  init = function(self)
    self.s = core.ones({ 1 }):requires_grad(true)
    self:buffer("started", core.zeros { 1 })
    self.step = step(self.options)
  end,
  forward = function(self, x)
    if self.training and self.started:item() == 0 then
      local old = core.grad_enabled(false)
      self.s:fill(math.max(2 * x:detach():abs():mean():item() / math.sqrt(self.options.qp), LEAST_STEP))
      self.started:fill(1)
      core.grad_enabled(old)
    end
    return self.step(x, self.s)
  end }
