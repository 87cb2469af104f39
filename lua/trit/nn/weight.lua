--- What layers with a weight share: its quantizer.
--
-- mode.scale_only is set by the trainer during TGA's threshold pass: then the layer takes the
-- quantized weight as a constant and its scale S as the thing to differentiate, so that no weight
-- gradient is computed (dL/dS = <dL/dy, y - b> / S, methods 1.4, 1.5).
--
-- Quantizers whose parameters do not act through one scale (TGA with n_thresholds 2 or 4 or with
-- scale = "sample_mean") are applied as usual in that pass: it costs the gradient of the quantized
-- weight, dL/dw', as much time as in the weight pass; dL/dw of the latent weights is not formed.
--
-- mode.same_weights is set in the weight pass that follows it: only thresholds have moved between.  The core
-- believes it of weights that it saw in that pass, and that nobody has changed since.

local core = require "trit.core"

local weight = { mode = { scale_only = false, same_weights = false } }

-- Settled: as it will be used.  Neither the weights nor what the quantizer trains (scales, thresholds, a
-- second latent tensor) take a gradient, so that optimizers pass all of it by.
local function settled(m, q)
  local old = core.grad_enabled(false)
  q.training = false
  local ok, wq = pcall(q, m.weight)
  core.grad_enabled(old)
  if not ok then error(wq, 0) end
  return wq
end

--- The effective weight of layer `m`, and in the scale-only pass its scale (else nil).
function weight.effective(m)
  local q = m.quantizer
  if not q then return m.weight, nil end
  if not q:awake(m.weight) then return m.weight, nil end
  if q:settled() then return settled(m, q), nil end
  q.training = m.training
  if weight.mode.scale_only and q:scale_only() then return q:scale_node(m.weight) end
  return q(m.weight, weight.mode.same_weights), nil
end

--- Give layer `m` its own quantizer, or take it away (nil): the layer is float again.
function weight.set_quantizer(m, q)
  rawset(m, "quantizer", q)
  if q then q:reset(m.weight) end
end

return weight
