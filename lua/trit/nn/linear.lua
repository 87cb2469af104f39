--- nn.linear { in, out, bias = true, seed = 0, std =, cut = }: x [N,in] -> [N,out], y = x w' + b.
--
-- weight [out, in], Kaiming normal by fan-in, N(0, 2 / in) (methods 1.7), or with standard deviation
-- `std`; `cut` draws again what lies further than so many std from 0.  bias starts at 0.

local core = require "trit.core"
local options = require "trit.options"
local Module = require "trit.nn.module"
local weight = require "trit.nn.weight"

local Linear = Module.class("linear")

local STREAM_INIT = 1

function Linear:init(o)
  options.check("linear", o, { "bias", "seed", "std", "cut" }, 2)
  if not (o[1] and o[2]) then options.fail("linear", "needs { in, out }") end
  local nin, nout = options.whole("linear", "in", o[1], 1), options.whole("linear", "out", o[2], 1)
  self.weight = core.randn({ nout, nin },
    { std = o.std or math.sqrt(2 / nin), cut = o.cut, seed = o.seed or 0, stream = STREAM_INIT })
    :requires_grad(true)
  if o.bias ~= false then self.bias = core.zeros({ nout }):requires_grad(true) end
end

function Linear:forward(x)
  local w, s = weight.effective(self)
  return core.ops.linear(x, w, rawget(self, "bias"), s)
end

function Linear:set_quantizer(q) weight.set_quantizer(self, q) end

function Linear:extra()
  local s = self.weight:shape()
  return ("%d, %d"):format(s[2], s[1])
end

return Linear
