--- A layer's weights as a packed file keeps them: ternary planes with scales where a quantizer is in
-- use, numbers otherwise.
--
--   layer.pack(tensor, module) -> { planes = { { codes =, scale =, scale_neg = }, ... }, scales = n }
--                              or { weights = tensor }
--                              or nil, sentence: the quantizer makes no such sum

local core = require "trit.core"

local layer = {}

local ops = core.ops
local EXACT = 1e-6 -- of the largest weight: sums of float32 products differ by their last places

local function take(t, i) -- t[i] of the first dimension, without it
  local shape, start, stop = t:shape(), {}, {}
  for k = 1, #shape do start[k], stop[k] = 0, shape[k] end
  start[1], stop[1] = i - 1, i
  table.remove(shape, 1)
  return ops.reshape(ops.slice(t, { start = start, stop = stop }), { shape = shape })
end

--- Scales of term `i`: a tensor [rows] of [rows] or [rows, terms].
local function scale_of(t, terms, i)
  if terms == 1 then return ops.reshape(t, { shape = { t:numel() } }) end
  local rows = t:shape()[1]
  return ops.reshape(ops.slice(t, { start = { 0, i - 1 }, stop = { rows, i } }), { shape = { rows } })
end

local function largest(t) return t:abs():max():item() end

local function differ(a, b)
  return largest(ops.sub(a, b))
end

local function broadcast(scale, rank)
  local shape = { scale:numel() }
  for i = 2, rank do shape[i] = 1 end
  return ops.reshape(scale, { shape = shape })
end

--- The weights that planes stand for.
local function sum_of(planes, rank)
  local sum
  for _, p in ipairs(planes) do
    local pos = ops.mul(ops.relu(p.codes), broadcast(p.scale, rank))
    local neg = ops.mul(ops.relu(ops.neg(p.codes)), broadcast(p.scale_neg or p.scale, rank))
    local w = ops.sub(pos, neg)
    sum = sum and ops.add(sum, w) or w
  end
  return sum
end

local function planes_of(q, shape)
  local codes, scale, neg = q:codes(), q:scale(), q:scale_neg()
  local terms = #codes:shape() > #shape and codes:shape()[1] or 1
  local two_sided, planes = differ(scale, neg) > 0, {}
  for i = 1, terms do
    planes[i] = { codes = terms > 1 and take(codes, i) or codes, scale = scale_of(scale, terms, i),
      scale_neg = two_sided and scale_of(neg, terms, i) or nil }
  end
  return planes
end

--- Do the planes hold only -1, 0 and 1, and add up to `w`?
local function hold(planes, w)
  for _, p in ipairs(planes) do
    if largest(p.codes) > 1 then return false end
  end
  return differ(sum_of(planes, #w:shape()), w) <= EXACT * largest(w)
end

--- `w`: the effective weights the net just used; `module`: their layer, nil for a plain tensor.  A layer
-- whose quantizer still sleeps is float.
function layer.pack(w, module)
  local q = module and rawget(module, "quantizer")
  if not q or w == module.weight then return { weights = w } end
  local planes = planes_of(q, w:shape())
  if not hold(planes, w) then
    return nil, ("the weights of %s are not sums of -1, 0 and 1 times scales"):format(tostring(q))
  end
  return { planes = planes, scales = planes[1].scale:numel() }
end

return layer
