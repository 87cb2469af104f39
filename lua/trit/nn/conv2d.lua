--- nn.conv2d { in, out, kernel =, stride = 1, padding = 0, dilation = 1, groups = 1, bias = false,
-- seed = 0, std =, cut = }: x [N,in,H,W] -> [N,out,P,Q].
--
-- weight [out, in/groups, kh, kw], drawn from N(0, 2 / (kh kw out)) (methods 1.7), or with standard
-- deviation `std`; `cut` draws again what lies further than so many std from 0.  bias starts at 0.

local core = require "trit.core"
local options = require "trit.options"
local Module = require "trit.nn.module"
local weight = require "trit.nn.weight"

local Conv2d = Module.class("conv2d")

local STREAM_INIT = 1

local known = { "kernel", "stride", "padding", "dilation", "groups", "bias", "seed", "std", "cut" }

local function whole(what, value) return options.whole("conv2d", what, value, 1) end

--- in, out, kernel height and width, groups, all of them possible.
local function sizes(o)
  local cin, cout, k, groups = o[1], o[2], o.kernel, o.groups or 1
  if not (cin and cout and k) then options.fail("conv2d", "needs { in, out, kernel = k }") end
  cin, cout, groups = whole("in", cin), whole("out", cout), whole("groups", groups)
  if cin % groups ~= 0 or cout % groups ~= 0 then
    options.fail("conv2d", "groups is %d but must divide in, %d, and out, %d", groups, cin, cout)
  end
  if type(k) == "table" then return cin, cout, whole("kernel[1]", k[1]), whole("kernel[2]", k[2]), groups end
  k = whole("kernel", k)
  return cin, cout, k, k, groups
end

function Conv2d:init(o)
  options.check("conv2d", o, known, 2)
  local cin, cout, kh, kw, groups = sizes(o)
  local std = o.std or math.sqrt(2 / (kh * kw * cout))
  self.weight = core.randn({ cout, cin // groups, kh, kw },
    { std = std, cut = o.cut, seed = o.seed or 0, stream = STREAM_INIT, layout = "hwio" })
    :requires_grad(true)
  if o.bias then self.bias = core.zeros({ cout }):requires_grad(true) end
  self.options = { stride = o.stride or 1, padding = o.padding or 0, dilation = o.dilation or 1,
    groups = groups }
end

function Conv2d:forward(x)
  local w, s = weight.effective(self)
  return core.ops.conv2d(x, w, rawget(self, "bias"), s, self.options)
end

function Conv2d:set_quantizer(q) weight.set_quantizer(self, q) end

function Conv2d:extra()
  local s = self.weight:shape()
  return ("%d, %d, kernel=%dx%d, stride=%s"):format(s[2], s[1], s[3], s[4], tostring(self.options.stride))
end

return Conv2d
