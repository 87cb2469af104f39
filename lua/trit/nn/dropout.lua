--- nn.dropout { p = 0.5, seed = 0 }: zero each number with probability p, divide the rest by 1 - p.
-- Off in evaluation.  The mask is a function of (seed, call, element).

local core = require "trit.core"
local options = require "trit.options"
local Module = require "trit.nn.module"

local Dropout = Module.class("dropout")
Dropout.counters = { "calls" }

function Dropout:init(o)
  o = options.check("dropout", o, { "p", "seed" })
  self.p, self.seed, self.calls = options.within("dropout", "p", o.p or 0.5, 0, 1), o.seed or 0, 0
end

function Dropout:forward(x)
  if not self.training then return x end
  self.calls = self.calls + 1
  return core.ops.dropout(x, { p = self.p, seed = self.seed, call = self.calls })
end

return Dropout
