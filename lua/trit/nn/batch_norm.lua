--- nn.batch_norm { channels, momentum = 0.1, eps = 1e-5 }: x [N,C,H,W] or [N,C], normalised per channel.
--
-- Training uses the batch's biased variance and moves running_mean, running_var (unbiased) by
-- `momentum`, the weight of the new value; evaluation uses the running values (methods 2.16).

local core = require "trit.core"
local options = require "trit.options"
local Module = require "trit.nn.module"

local BatchNorm = Module.class("batch_norm")

function BatchNorm:init(o)
  options.check("batch_norm", o, { "momentum", "eps" }, 1)
  if not o[1] then options.fail("batch_norm", "needs { channels }") end
  local c = options.whole("batch_norm", "channels", o[1], 1)
  self.weight = core.ones({ c }):requires_grad(true)
  self.bias = core.zeros({ c }):requires_grad(true)
  self:buffer("running_mean", core.zeros { c })
  self:buffer("running_var", core.ones { c })
  self.momentum, self.eps = o.momentum or 0.1, o.eps or 1e-5
end

function BatchNorm:forward(x)
  local momentum = self.freeze_statistics and 0 or self.momentum
  return core.ops.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var,
    { training = self.training, momentum = momentum, eps = self.eps })
end

function BatchNorm:extra() return tostring(self.weight:numel()) end

return BatchNorm
