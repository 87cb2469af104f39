--- What a network applies where it says nn.relu or nn.relu6.
--
-- Quantizers that look at signs need numbers of both: behind a ReLU every sign is +1.  Where such a one
-- takes the result of a rectifier, the rectifier is a hard tanh, as in the published networks, whose
-- sign follows the batch norm.  Elsewhere it stays: behind a batch norm the mean of a hard tanh over an
-- image's pixels is about 0 for every image, and a float classifier behind it learns next to nothing.
--
-- A rectifier is known by the module whose forward applies it and by its number among those of one call.

local core = require "trit.core"
local mode = require "trit.nn.mode"

local rectify = {}

local frame   -- of the module that computes: { module =, n = rectifiers so far }; nil outside
local tracing -- while a network is traced: { from = tensor -> rectifiers in it, signed = f(module, n) }

local ENDS = { conv2d = true, linear = true, batch_norm = true } -- what comes out has signs of its own

local leaving = { __close = function(f) frame = f.before end }

-- A module's forward with a frame of its own.
local function give_frame(m)
  if rawget(m, "rectifiers") then return end
  local forward = m.forward
  rawset(m, "rectifiers", {})
  rawset(m, "forward", function(self, ...)
    local guard <close> = setmetatable({ before = frame }, leaving) -- luacheck: ignore guard
    frame = { module = self, n = 0 }
    return forward(self, ...)
  end)
end

--- A rectifier: `plain` of x, or what the network has in its place.
function rectify.apply(x, plain)
  if not frame then return plain(x) end
  frame.n = frame.n + 1
  local chosen = rawget(frame.module, "rectifiers")[frame.n]
  local y = (chosen or plain)(x)
  if tracing then tracing.from[y] = { [frame.module] = { [frame.n] = true } } end
  return y
end

-- f(module, number) for every rectifier in `places`.
local function each(places, f)
  for m, numbers in pairs(places or {}) do
    for n in pairs(numbers) do f(m, n) end
  end
end

--- To be told of what goes into a quantizer that looks at signs.
function rectify.signs_of(x)
  if tracing then each(tracing.from[x], tracing.signed) end
end

-- The rectifiers whose results are in y: those of all operands.
local function follow(op, y, _, ...)
  if ENDS[op] then return end
  local all = {}
  for i = 1, select("#", ...) do
    each(tracing.from[select(i, ...) or false], function(m, n)
      all[m] = all[m] or {}
      all[m][n] = true
    end)
  end
  tracing.from[y] = all
end

local traced = {
  __close = function(t)
    core.op_hook(t.hook)
    tracing = nil
  end,
}

-- One black image through the network in evaluation; signed(module, n) of the rectifiers that feed signs.
local function trace(net, shape, signed)
  local evaluation <close> = mode.evaluation(net) -- luacheck: ignore evaluation
  rawset(net, "training", true) -- of the net alone: an auxiliary head computes too
  tracing = { from = {}, signed = signed }
  local guard <close> = setmetatable({ hook = core.op_hook(follow) }, traced) -- luacheck: ignore guard
  net(core.zeros { 1, table.unpack(shape) })
end

local function framed(net)
  local list = {}
  for _, m in net:named_modules() do
    if not m.set_quantizer and not rawget(m, "is_act") then list[#list + 1] = m end
  end
  return list
end

--- Every rectifier of a network as it was made.
function rectify.reset(net)
  for _, m in net:named_modules() do
    if rawget(m, "rectifiers") then rawset(m, "rectifiers", {}) end
  end
end

--- `f` in place of the rectifiers whose results go into quantizers that look at signs; of all, in a network
-- that does not say its input_shape.
function rectify.signed(net, f)
  local list, shape = framed(net), rawget(net, "input_shape")
  for _, m in ipairs(list) do
    give_frame(m)
    rawset(m, "rectifiers", shape and {} or setmetatable({}, { __index = function() return f end }))
  end
  if not shape then return end
  local chosen = {}
  trace(net, shape, function(m, n) chosen[#chosen + 1] = { rawget(m, "rectifiers"), n } end)
  for _, c in ipairs(chosen) do c[1][c[2]] = f end
end

return rectify
