-- tier: fast
-- The weight quantizers of the literature against float64 references.
local trit = require "trit"
local golden = require "tests.lua.golden"

-- golden README: quantizer scalars 1e-6, gradients 1e-5, codes equal
local SCALAR, GRADIENT = 1e-6, 1e-5

local function weights(f, path, layout)
  local t = f:read(path)
  return trit.zeros(t:shape(), { layout = layout }):copy(t):requires_grad(true)
end

local check = golden.check

-- Forward, backward, and what every case has.
local function finish(f, case, q, w)
  local wq = q(w)
  check(f, case .. "/out/wq", wq, SCALAR)
  wq:backward(f:read(case .. "/in/g"))
  check(f, case .. "/out/grad_w", w.grad, GRADIENT)
end

local zoo = {}

function zoo.binaryconnect(f, case, a, layout)
  local q = trit.quant.binaryconnect { mode = a.mode }
  finish(f, case, q, weights(f, case .. "/in/w", layout))
  check(f, case .. "/out/codes", q:codes(), 0)
end

function zoo.bwn(f, case, a, layout)
  local q = trit.quant.bwn { bwn_grad = a.bwn_grad, granularity = a.granularity }
  finish(f, case, q, weights(f, case .. "/in/w", layout))
  check(f, case .. "/out/codes", q:codes(), 0)
  check(f, case .. "/out/alpha", q:scale(), SCALAR)
end

function zoo.abcnet_weights(f, case, a, layout)
  local q = trit.quant.abcnet { bases = a.bases, granularity = a.granularity }
  finish(f, case, q, weights(f, case .. "/in/w", layout))
  check(f, case .. "/out/B", q:codes(), 0)
  check(f, case .. "/out/alpha", q:scale(), SCALAR)
end

function zoo.admm_project(f, case, a, layout)
  if a.mode ~= "exact" then return end -- trit.methods.admm has the iteration
  local q = trit.quant.admm { codebook = a.codebook }
  local v = weights(f, case .. "/in/v", layout)
  local wq = q(v)
  check(f, case .. "/out/wq", wq, SCALAR)
  check(f, case .. "/out/codes", q:codes(), 0)
  check(f, case .. "/out/alpha", q:scale(), SCALAR)
  local d = wq:detach() - v:detach()
  check(f, case .. "/out/err2", trit.reshape((d * d):sum(), { shape = { 1 } }), GRADIENT)
end

function zoo.dorefa_weights(f, case, a, layout)
  local q = trit.quant.dorefa { bits = a.bits, max_grad = a.bits > 1 and a.max_grad or nil }
  finish(f, case, q, weights(f, case .. "/in/w", layout))
  if a.bits == 1 then check(f, case .. "/out/E", q:scale(), SCALAR) end
end

function zoo.lqnets_weights(f, case, a, layout)
  local q = trit.quant.lqnets { bits = a.bits, average = a.moving_average, zero_debias = a.zero_debias == 1 }
  local w = weights(f, case .. "/in/w", layout)
  q:reset(w).basis:copy(f:read(case .. "/in/basis"))
  q.training = true
  finish(f, case, q, w)
  local codes = q:codes():totable() -- terms come first here, last in the file
  if a.bits == 1 then codes = { codes } end
  local want, i = f:read_numbers(case .. "/out/codes"), 0
  local flat = {}
  for k = 1, a.bits do
    flat[k] = {}
    local function walk(t)
      if type(t) ~= "table" then flat[k][#flat[k] + 1] = t else for _, v in ipairs(t) do walk(v) end end
    end
    walk(codes[k])
  end
  for e = 1, #flat[1] do
    for k = 1, a.bits do
      i = i + 1
      assert.are.equal(want[i], flat[k][e])
    end
  end
  local basis, size = f:read_numbers(case .. "/out/basis"), q.basis:numel()
  for step = 1, #basis // size do
    if step > 1 then q(w) end
    local now = table.move(basis, (step - 1) * size + 1, step * size, 1, {})
    assert.is_true(golden.error(q.basis, now) <= GRADIENT, ("basis after update %d"):format(step))
  end
end

function zoo.lqnets_ternary(f, case, _, layout)
  local q = trit.quant.lqnets { ternary = true, average = 0 }
  local w = weights(f, case .. "/in/w", layout)
  q:reset(w).basis:copy(trit.reshape(f:read(case .. "/in/s"), { shape = q.basis:shape() }))
  q.training = true
  local s, rows = f:read_numbers(case .. "/out/s"), q.basis:numel()
  for step = 1, #s // rows do
    q(w)
    local now = table.move(s, (step - 1) * rows + 1, step * rows, 1, {})
    assert.is_true(golden.error(q.basis, now) <= SCALAR, ("s after update %d"):format(step))
  end
end

-- The file gives e; the quantizer takes the uniform draw u, e = (u - 1/2)/k.
function zoo.uniq_noise(f, case, a, layout)
  local q = trit.quant.uniq { k = a.k, epsilon = a.epsilon }
  local w = weights(f, case .. "/in/w", layout)
  local e = f:read(case .. "/in/e")
  local u = trit.zeros(e:shape(), { layout = "hwio" }):copy(e * a.k + 0.5)
  q:reset(w).handle:phase(true, 0, 0)
  local wq = q.handle:apply_noise(u, w, q.draws)
  -- u is a float: e is known to 6e-8/k, and the quantile's slope reaches 1/(phi(3.1)) = 300 at epsilon
  check(f, case .. "/out/wq", wq, 2e-5)
  wq:backward(f:read(case .. "/in/g"))
  check(f, case .. "/out/grad_w", w.grad, 1e-4)
end

function zoo.uniq_quantile(f, case, a, layout)
  local q = trit.quant.uniq { k = a.k }
  local wq = q(weights(f, case .. "/in/w", layout))
  check(f, case .. "/out/wq", wq, SCALAR)
  local bins = f:read(case .. "/out/bins") - a.k // 2
  local codes = bins:totable()
  local function around(t)
    for i, v in ipairs(t) do
      if type(v) == "table" then around(v) elseif a.k % 2 == 0 and v >= 0 then t[i] = v + 1 end
    end
  end
  around(codes)
  assert.are.same(codes, q:codes():totable())
end

function zoo.lsq_weights(f, case, a, layout)
  local q = trit.quant.lsq { qn = a.qn, qp = a.qp, granularity = a.granularity,
    grad_scale_n = a.grad_scale_n }
  local w = weights(f, case .. "/in/w", layout)
  check(f, case .. "/out/s_init", q:reset(w).s, SCALAR)
  q.s:copy(f:read(case .. "/in/s"))
  finish(f, case, q, w)
  check(f, case .. "/out/codes", q:codes(), 0)
  check(f, case .. "/out/grad_s", q.s.grad, GRADIENT)
end

function zoo.bitnet_absmean(f, case, a, layout)
  local q = trit.quant.bitnet { granularity = a.granularity }
  finish(f, case, q, weights(f, case .. "/in/w", layout))
  check(f, case .. "/out/codes", q:codes(), 0)
  check(f, case .. "/out/gamma", q:scale(), SCALAR)
end

function zoo.inq(f, case, a, layout)
  local w = weights(f, case .. "/in/w", layout)
  local q = trit.quant.inq { bits = a.bits, fraction = a.fraction }
  finish(f, case, q, w)
  check(f, case .. "/out/n1", q.top, 0)
  local held = q.held:eq(q.held) -- NaN where free
  check(f, case .. "/out/frozen", held, 0)
  check(f, case .. "/out/wq_full", trit.quant.inq { bits = a.bits, fraction = 1 }(w), 0)
end

function zoo.sttn_weights(f, case, a, layout)
  local w = weights(f, case .. "/in/w1", layout)
  local q = trit.quant.sttn { granularity = a.granularity }:reset(w)
  q.w2:copy(f:read(case .. "/in/w2"))
  local wq = q(w)
  check(f, case .. "/out/wq", wq, SCALAR)
  check(f, case .. "/out/codes", q:codes(), 0)
  check(f, case .. "/out/alpha", q:scale() / 2, SCALAR)
  wq:backward(f:read(case .. "/in/g"))
  check(f, case .. "/out/grad_w1", w.grad, GRADIENT)
  check(f, case .. "/out/grad_w2", q.w2.grad, GRADIENT)
end

function zoo.trq(f, case, _, layout)
  local w = weights(f, case .. "/in/w", layout)
  local q = trit.quant.trq {}:reset(w)
  q.alpha:copy(f:read(case .. "/in/alpha"))
  check(f, case .. "/out/wq", q(w), SCALAR)
  check(f, case .. "/out/codes", q:codes(), 0)
end

function zoo.sparsity_control(f, case, a, layout)
  local q = trit.quant.sca { a = a.a, b = a.b, gain = 1 }
  local w = weights(f, case .. "/in/w", layout)
  q.training = true
  q(w):backward(trit.zeros(w:shape()))
  check(f, case .. "/out/grad_w", w.grad, GRADIENT)
  q.training = false
  q(w)
  check(f, case .. "/out/codes", q:codes(), 0)
  local tau2 = trit.tanh(w:detach()) * trit.tanh(w:detach())
  check(f, case .. "/out/reg", { ((tau2 * -1 + a.a) * tau2):sum():item() * a.b }, GRADIENT)
end

describe("the zoo's weights", function()
  local f, why = golden.open("quant_zoo.h5")
  if not f then
    pending(why)
    return
  end
  local seen = {}
  for _, case in ipairs(f:list("")) do
    local a = f:attrs(case)
    local run = zoo[a.method]
    if run then
      seen[a.method] = true
      for _, layout in ipairs { "hwio", "row_major" } do
        it(("has %s, %s"):format(case, layout), function() run(f, case, a, layout) end)
      end
    end
  end
  it("are all here", function()
    if #f:list("") < 100 then return end -- the committed subset
    for method in pairs(zoo) do assert.is_true(seen[method] or false, method) end
  end)
end)
