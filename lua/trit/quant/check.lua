--- trit.quant.check(name [, options]): does a quantizer keep what it declares?
--
--   coded      w' is the sum over terms of codes times scales, codes are -1, 0, 1
--   odd        q(-w) = -q(w), parameters reset from -w          odd_codes: the codes only
--   scale      q(2w) = 2 q(w), parameters reset from 2w
--   permute    permuting the weights of a row permutes their codes
--   monotone   codes do not fall as weights rise
--   binary     no level is 0
-- Every quantizer: zeros, constants and a single weight give finite results, NaN and infinity an error
-- naming the quantizer; dL/dw is the derivative of the declared surrogate (plus, where the method says
-- so, of the scale through the statistics); gradients of trained parameters are those of the scales.
--
-- Runs on all built-in quantizers in the test suite and on those defined in Lua when they are defined.
-- Raises the first violation.

local core = require "trit.core"

local M = {}

local SEED = 7
local MEAN, DEVIATION = 0.02, 0.6 -- of test weights, so that some exceed 1 where surrogates have kinks

local function flatten(t, out)
  out = out or {}
  if type(t) ~= "table" then
    out[#out + 1] = t
    return out
  end
  for _, v in ipairs(t) do flatten(v, out) end
  return out
end

local function numbers(t) return flatten(t:totable()) end

-- Nested table of `shape` from a flat list.
local function nest(list, shape)
  local i = 0
  local function level(d)
    if d > #shape then
      i = i + 1
      return list[i]
    end
    local t = {}
    for k = 1, shape[d] do t[k] = level(d + 1) end
    return t
  end
  return level(1)
end

-- One quantizer object with weights and a gradient, kept as flat lists.
local Bench = {}
Bench.__index = Bench

local function bench(quant, name, options, shape)
  local b = setmetatable({ q = quant.create(name, options), name = name, shape = shape }, Bench)
  local draw = { seed = SEED, mean = MEAN, std = DEVIATION }
  b.w = numbers(core.randn(shape, draw))
  b.g = numbers(core.randn(shape, { seed = SEED + 1, mean = 0.1 }))
  b.n = #b.w
  b.label = tostring(b.q) .. " on [" .. table.concat(shape, ",") .. "]"
  return b
end

function Bench:fail(...) core.raise(("%s: %s"):format(self.label, string.format(...))) end

function Bench:tensor(list)
  local t = core.tensor(nest(list, self.shape))
  return core.zeros(self.shape, { layout = "hwio" }):copy(t)
end

--- Quantize `list` (default: the weights); with `fresh`, parameters are reset from it.  Returns a
-- record of flat results.
function Bench:run(list, fresh)
  local w = self:tensor(list or self.w)
  local old = core.grad_enabled(false)
  local ok, r = pcall(function()
    if fresh then self.q:reset(w) end
    local wq = self.q(w)
    self.last = w
    local levels = {}
    for k = 1, (self.q.handle:codes():numel()) // self.n do
      for i = 1, self.n do levels[#levels + 1] = self.q.handle:level(i, k) end
    end
    return { levels = levels, wq = numbers(wq),
      codes = numbers(self.q:codes()), scale = numbers(self.q:scale()),
      scale_neg = numbers(self.q:scale_neg()) }
  end)
  core.grad_enabled(old)
  if not ok then error(r, 0) end
  self.terms, self.rows = #r.codes // self.n, nil
  self.rows = #r.scale // self.terms
  return r
end

--- Row (from 0) of element i.
function Bench:row(i) return (i - 1) // (self.n // self.rows) end

--- Index of the scale of element i, term k (from 1).
function Bench:at(i, k) return self:row(i) * self.terms + k end

function Bench:value(code, r, at)
  return code > 0 and r.scale[at] or code < 0 and -r.scale_neg[at] or 0
end

--- Gradients with dL/dw' = g: { w = list, learn = name -> list }.
function Bench:gradients(fresh)
  local w = self:tensor(self.w):requires_grad(true)
  if fresh then self.q:reset(w) end
  for _, p in pairs(self.q:parameters()) do p:zero_grad() end
  self.q(w):backward(self:tensor(self.g))
  local learn = {}
  for name, p in pairs(self.q:parameters()) do learn[name] = numbers(p.grad) end
  return { w = numbers(w.grad), learn = learn }
end

local function map(list, f)
  local out = {}
  for i, v in ipairs(list) do out[i] = f(v) end
  return out
end

local function largest(list)
  local top = 0
  for _, v in ipairs(list) do top = math.max(top, math.abs(v)) end
  return top
end

local FLOAT = 1e-6 -- relative: results that differ by the order of float additions

------------------------------------------------------------------ properties

local properties = {}

function properties.coded(b)
  local r = b:run(nil, true)
  for i = 1, b.n do
    local sum = 0
    for k = 1, b.terms do sum = sum + r.levels[(k - 1) * b.n + i] end
    if math.abs(sum - r.wq[i]) > FLOAT * math.max(1, largest(r.wq)) then
      b:fail("codes times scales give %g at element %d, but w' is %g", sum, i, r.wq[i])
    end
  end
end

local function odd(b, field)
  local plus = b:run(nil, true)
  local minus = b:run(map(b.w, function(v) return -v end), true)
  local tolerance = FLOAT * largest(plus[field])
  for i, v in ipairs(plus[field]) do
    if math.abs(minus[field][i] + v) > tolerance then
      b:fail("not odd: %s at element %d is %g for w and %g for -w", field, i, v, minus[field][i])
    end
  end
end

function properties.odd(b) odd(b, "wq") end
function properties.odd_codes(b) odd(b, "codes") end

function properties.scale(b)
  local once = b:run(nil, true)
  local twice = b:run(map(b.w, function(v) return 2 * v end), true)
  for i, v in ipairs(once.wq) do
    if math.abs(twice.wq[i] - 2 * v) > FLOAT * largest(twice.wq) then
      b:fail("does not scale: w' of element %d is %g for w and %g for 2w", i, v, twice.wq[i])
    end
  end
end

function properties.permute(b)
  local straight = b:run(nil, true)
  local reversed, len = {}, b.n // b.rows
  for i = 1, b.n do reversed[i] = b.w[b:row(i) * len + len - (i - 1) % len] end
  local r = b:run(reversed, true)
  for k = 0, b.terms - 1 do
    for i = 1, b.n do
      local from = k * b.n + b:row(i) * len + len - (i - 1) % len
      if r.codes[k * b.n + i] ~= straight.codes[from] then
        b:fail("reversing the weights changes the code of %g from %d to %d", reversed[i],
          straight.codes[from], r.codes[k * b.n + i])
      end
    end
  end
end

function properties.monotone(b)
  local r = b:run(nil, true)
  local order = {}
  for i = 1, b.n do order[i] = i end
  table.sort(order, function(x, y)
    if b:row(x) ~= b:row(y) then return b:row(x) < b:row(y) end
    return b.w[x] < b.w[y]
  end)
  for k = 0, b.terms - 1 do
    for j = 2, b.n do
      local x, y = order[j - 1], order[j]
      if b:row(x) == b:row(y) and r.codes[k * b.n + x] > r.codes[k * b.n + y] then
        b:fail("codes fall: %d for weight %g, %d for %g", r.codes[k * b.n + x], b.w[x],
          r.codes[k * b.n + y], b.w[y])
      end
    end
  end
end

--------------------------------------------------------------- special weights

local function all_finite(b, list, what, value)
  for i, v in ipairs(list) do
    if v ~= v or math.abs(v) == math.huge then
      b:fail("weights that are all %g give %s %g at element %d", value, what, v, i)
    end
  end
end

local function special(b)
  for _, value in ipairs { 0, 0.3, -0.3 } do
    local c = setmetatable({ w = map(b.w, function() return value end) }, { __index = b })
    all_finite(c, c:run(nil, true).wq, "w'", value)
    local g = c:gradients(true)
    all_finite(c, g.w, "dL/dw", value)
    for name, list in pairs(g.learn) do all_finite(c, list, "dL/d" .. name, value) end
  end
end

local function rejects(b)
  b:run(nil, true)
  for _, bad in ipairs { 0 / 0, math.huge, -math.huge } do
    local list = map(b.w, function(v) return v end)
    list[b.n // 2] = bad
    local ok, message = pcall(b.run, b, list)
    if ok then b:fail("takes a weight that is %g without a word", bad) end
    if not tostring(message):find(b.name, 1, true) then
      b:fail("the error about a weight that is %g does not name the quantizer: %s", bad, tostring(message))
    end
  end
end

-------------------------------------------------------------------- gradients

-- Sum over terms and elements of g times the value of the code, codes held.
local function held_loss(b, r, codes)
  local sum = 0
  for k = 1, b.terms do
    for i = 1, b.n do sum = sum + b.g[i] * b:value(codes[(k - 1) * b.n + i], r, b:at(i, k)) end
  end
  return sum
end

local STEP, KINK = 1e-4, 1e-3 -- of surrogates; distance kept from |w| = 1, where clipped ones bend

local function surrogate_slope(b, integral, r, i)
  local sum = 0
  for k = 1, b.terms do
    sum = sum + integral(r, i, k, b.w[i] + STEP) - integral(r, i, k, b.w[i] - STEP)
  end
  return sum / (2 * STEP) * b.g[i]
end

-- Of a row's whole surrogate: the slope of its loss as weight e (1..len), or, e being nil, trained
-- number k moves.
local function row_slope(b, row, learn, e, k)
  local len, list, numbers_ = b.n // b.rows, {}, { table.unpack(learn) }
  local first = (row - 1) * len
  for i = 1, len do list[i] = b.w[first + i] end
  local function loss(by)
    if e then list[e] = b.w[first + e] + by else numbers_[k] = learn[k] + by end
    local sum = 0
    local out = b.q.handle:surrogate(b.last, row, list, numbers_)
    for i, v in ipairs(out) do sum = sum + b.g[first + i] * v end
    return sum
  end
  return (loss(STEP) - loss(-STEP)) / (2 * STEP)
end

local MOVE = 0.02 -- of one weight, to see the scale follow

local function attached_slope(b, codes, i)
  local list = map(b.w, function(v) return v end)
  list[i] = b.w[i] + MOVE
  local up = held_loss(b, b:run(list), codes)
  list[i] = b.w[i] - MOVE
  local slope = (up - held_loss(b, b:run(list), codes)) / (2 * MOVE)
  b:run() -- the surrogate of the next element is taken at the weights as they are
  return slope
end

local WEIGHTS = 5e-4 -- of the largest gradient: float scales over MOVE

-- The declared surrogate as function(r, element, term, w) -> value, nil where none is declared so.
local function integral_of(b, definition)
  local own = b.q.options.ste == "own"
  local lua_integral = own and definition and definition.ste_integral
  if lua_integral then
    return function(r, i, k, w)
      local at = b:at(i, k)
      return lua_integral(w, math.tointeger(r.codes[(k - 1) * b.n + i]), r.scale[at], r.scale_neg[at])
    end
  end
  if b.q.handle:integral(1, 1, 0) then
    return function(_, i, k, w) return b.q.handle:integral(i, k, w) end
  end
end

-- Trained numbers do not change with other choices of `ste`; weights do, each in the same way.
local SPARSE = 7

local function check_slope(b, got, want, i, largest_)
  if not (math.abs(got - want) <= WEIGHTS * largest_) then
    b:fail("dL/dw at element %d (w = %g) is %g, but the surrogate's derivative is %g", i, b.w[i], got, want)
  end
end

-- Trained numbers of a row as the surrogate takes them, by position; 0 for tensors of another kind.
local function learn_of(b, row)
  local list = {}
  for k, p in ipairs(b.q.learn) do
    list[k] = not (p.state or p.per_weight) and numbers(b.q:parameters()[p.name])[row] or 0
  end
  return list
end

local function row_gradients(b)
  local g = b:gradients(true)
  b:run()
  local len, top = b.n // b.rows, largest(g.w)
  for i = 1, b.n, 3 do
    local row = b:row(i) + 1
    if math.abs(math.abs(b.w[i]) - 1) > KINK then
      check_slope(b, g.w[i], row_slope(b, row, learn_of(b, row), (i - 1) % len + 1), i, top)
    end
  end
  for k, p in ipairs(b.q.learn) do
    for row = 1, g.learn[p.name] and not p.per_weight and b.rows or 0 do
      local want, got = row_slope(b, row, learn_of(b, row), nil, k), g.learn[p.name][row]
      if not (math.abs(got - want) <= WEIGHTS * math.max(1e-3, largest(g.learn[p.name]))) then
        b:fail("dL/d%s of row %d is %g, but the surrogate's derivative is %g", p.name, row, got, want)
      end
    end
  end
end

local function weight_gradients(b, definition, every)
  local attached, whole = b.q.handle:attached()
  if whole then return row_gradients(b) end
  local got = b:gradients(true).w
  local r = b:run()
  local integral = integral_of(b, definition)
  if not integral then return end
  for i = 1, b.n, every or attached and 5 or 1 do
    local bends = attached and math.abs(b.w[i]) <= MOVE -- |w| at 0
    if math.abs(math.abs(b.w[i]) - 1) > KINK and not bends then
      local want = surrogate_slope(b, integral, r, i) + (attached and attached_slope(b, r.codes, i) or 0)
      check_slope(b, got[i], want, i, largest(got))
    end
  end
end

local LEARN = 1e-3 -- float scales over a step of about 1e-3

local function learn_gradient(b, name, got, codes)
  local p = b.q:parameters()[name]
  local values, shape = numbers(p), p:shape()
  local function loss(j, v)
    local list = map(values, function(x) return x end)
    list[j] = v
    p:copy(core.tensor(nest(list, shape)))
    return held_loss(b, b:run(), codes)
  end
  for j, v in ipairs(values) do
    local h = 0.01 * math.abs(v) + 1e-3
    local want = (loss(j, v + h) - loss(j, v - h)) / (2 * h)
    loss(j, v)
    if not (math.abs(got[j] - want) <= LEARN * math.max(1, largest(got))) then
      b:fail("dL/d%s of row %d is %g, but moving it changes the loss by %g", name, j, got[j], want)
    end
  end
end

local function learn_gradients(b)
  if b.q.options.scale == "sample_mean" then return end -- TGA: declared to give thresholds no gradient
  if select(2, b.q.handle:attached()) then return end -- with the weights: row_gradients
  local g = b:gradients(true)
  local r = b:run()
  for name, got in pairs(g.learn) do learn_gradient(b, name, got, r.codes) end
end

------------------------------------------------------------------------ driver

local function parse(case)
  local shape, options = {}, {}
  for d in case.shapes:gmatch("%d+") do shape[#shape + 1] = math.tointeger(tonumber(d)) end
  for name, value in case.options:gmatch("([%w_]+)=([^,]+)") do
    options[name] = tonumber(value) or value
    if value == "true" or value == "false" then options[name] = value == "true" end
  end
  return shape, options
end

-- The choices of `ste`, half-way through a training.
local function other_surrogates(quant, info, options, shape)
  if info.unrounded then return end -- has no others
  for _, kind in ipairs { "identity", "clipped", "scaled", "inv_scaled", "annealed" } do
    local given = { ste = kind }
    for name, value in pairs(options) do given[name] = value end
    local b = bench(quant, info.name, given, shape)
    b.q:set_progress(0.5)
    weight_gradients(b, nil, SPARSE)
  end
end

local function check_case(quant, info, definition, options, shape)
  local b = bench(quant, info.name, options, shape)
  local have = b.q.handle:properties()
  for _, name in ipairs { "coded", "odd", "odd_codes", "scale", "permute", "monotone" } do
    if have[name] then properties[name](b) end
  end
  special(b)
  rejects(b)
  weight_gradients(b, definition)
  if have.coded then learn_gradients(b) end
  other_surrogates(quant, info, options, shape)
  special(bench(quant, info.name, options, { 1 }))
end

function M.check(quant, name, options)
  local info = quant.info(name)
  local definition = require("trit.quant.define").definitions[name]
  local old = core.grad_enabled(true)
  local ok, message = pcall(function()
    for _, case in ipairs(info.cases) do
      local shape, given = parse(case)
      check_case(quant, info, definition, options or given, shape)
    end
  end)
  core.grad_enabled(old)
  if not ok then error(message, 0) end
  return true
end

return M
