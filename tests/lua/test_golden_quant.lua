-- tier: fast
-- TGA with every option, TWN, TTQ and WACV'19 against float64 references.
local trit = require "trit"
local golden = require "tests.lua.golden"

-- golden README: quantizer scalars 1e-6, gradients 1e-5, codes equal
local SCALAR, GRADIENT = 1e-6, 1e-5

-- In memory as layers keep them, and as a plain table would come in.
local layouts = { "hwio", "row_major" }

local function weights(f, case, layout)
  local t = f:read(case .. "/in/w")
  return trit.zeros(t:shape(), { layout = layout }):copy(t):requires_grad(true)
end

local function check(f, case, name, got, tolerance, scale)
  golden.check(f, ("%s/out/%s"):format(case, name), got, tolerance, scale)
end

-- Magnitude against which a gradient that is a cancelled sum is judged: the sum of its terms' magnitudes.
local function sum_of_magnitudes(f, case)
  local sum = 0
  for _, v in ipairs(f:read_numbers(case .. "/in/g")) do sum = sum + math.abs(v) end
  return sum
end

local function collect(stats, terms, field)
  local out = {}
  for _, row in ipairs(stats) do
    for k = 1, terms do out[#out + 1] = (terms > 1 and row.terms[k] or row)[field] end
  end
  return out
end

local function flags(list)
  local out = {}
  for i, v in ipairs(list) do out[i] = v and 1 or 0 end
  return out
end

local function zeros(stats, terms)
  local out = {}
  for _, row in ipairs(stats) do
    for k = 1, terms do
      local share = (terms > 1 and row.terms[k] or row).occupancy[2]
      out[#out + 1] = math.floor(share * row.count + 0.5)
    end
  end
  return out
end

local tga_options = { "center", "clip_sigma", "grad_correct", "granularity", "n_thresholds", "scale",
  "stats_grad", "th_grad_clamp" }

local function tga(f, case, a, layout)
  local options = {}
  for _, name in ipairs(tga_options) do options[name] = a[name] end
  local q, w = trit.quant.tga(options), weights(f, case, layout)
  local k = a.n_thresholds
  q:reset(w)
  if case:find("_init_") then
    assert.is_true(golden.error(q.delta, f:read_numbers(case .. "/in/delta")) <= SCALAR, "initial thresholds")
  end
  q.delta:copy(f:read(case .. "/in/delta"))
  local wq = q(w)
  check(f, case, "codes", q:codes(), 0)
  check(f, case, "wq", wq, SCALAR)
  check(f, case, "S", q:scale(), SCALAR)
  local stats = q:stats()
  -- A mean that cancels to nearly zero is judged by the deviation it is a mean of.
  local sigma = f:read_numbers(case .. "/out/sigma")[1]
  check(f, case, "mu", collect(stats, 1, "mu"), SCALAR, sigma > 0 and sigma or nil)
  check(f, case, "sigma", collect(stats, 1, "sigma"), SCALAR)
  check(f, case, "Delta", collect(stats, k, "delta"), SCALAR)
  check(f, case, "clip_active", flags(collect(stats, k, "clip_active")), 0)
  check(f, case, "zeros", zeros(stats, k), 0)
  wq:backward(f:read(case .. "/in/g"))
  check(f, case, "grad_w", w.grad, GRADIENT)
  check(f, case, "grad_delta", q.delta.grad, GRADIENT)
end

-- The same thresholds' gradient through the scale alone.
local function tga_scale(f, case, a)
  local options = {}
  for _, name in ipairs(tga_options) do options[name] = a[name] end
  local q, w = trit.quant.tga(options), weights(f, case, "hwio")
  if not q:scale_only() then return end
  q:reset(w).delta:copy(f:read(case .. "/in/delta"))
  local wq, s = q:scale_node(w)
  assert.is_false(wq:requires_grad())
  check(f, case, "wq", wq, SCALAR)
  check(f, case, "S", s, SCALAR)
  local G = f:read(case .. "/out/G")
  s:backward(trit.reshape(G, { shape = { G:numel() } }))
  check(f, case, "grad_delta", q.delta.grad, GRADIENT, sum_of_magnitudes(f, case))
  assert.is_nil(w.grad)
end

describe("TGA", function()
  local f, why = golden.open("quant_tga.h5")
  if not f then
    pending(why)
    return
  end
  local cases = f:list("")
  it("has its cases", function() assert.is_true(#cases >= (golden.whole("quant_tga.h5") and 131 or 1)) end)
  for _, case in ipairs(cases) do
    local a = f:attrs(case)
    for _, layout in ipairs(layouts) do
      it(("agrees in %s, %s"):format(case, layout), function() tga(f, case, a, layout) end)
    end
    it("trains its threshold through the scale alone in " .. case, function() tga_scale(f, case, a) end)
  end
end)

local function finish(f, case, q, w)
  local wq = q(w)
  check(f, case, "codes", q:codes(), 0)
  check(f, case, "wq", wq, SCALAR)
  wq:backward(f:read(case .. "/in/g"))
  check(f, case, "grad_w", w.grad, GRADIENT)
  return q:stats()
end

local zoo = {}

function zoo.twn(f, case, a, layout)
  local q = trit.quant.twn { delta = a.delta, granularity = a.granularity }
  local stats = finish(f, case, q, weights(f, case, layout))
  check(f, case, "alpha", q:scale(), SCALAR)
  if a.delta ~= "exact" then check(f, case, "Delta", collect(stats, 1, "delta"), SCALAR) end
end

function zoo.wacv(f, case, a, layout)
  local betas = type(a.betas) == "table" and a.betas or { a.betas }
  local q = trit.quant.wacv { t_ex = a.t_ex, betas = betas, granularity = a.granularity }
  local stats = finish(f, case, q, weights(f, case, layout))
  check(f, case, "alpha", q:scale(), SCALAR)
  check(f, case, "Delta", collect(stats, a.t_ex, "delta"), SCALAR)
  -- the default factors are the file's
  local plain = trit.quant.wacv { t_ex = a.t_ex, granularity = a.granularity }
  if a.betas[1] == 0.05 then
    assert.is_true(plain(weights(f, case, layout)):equal(q(weights(f, case, layout))))
  end
end

function zoo.ttq(f, case, a, layout)
  local q, w = trit.quant.ttq { t = a.t, granularity = a.granularity }, weights(f, case, layout)
  q:reset(w)
  assert.are.equal(1, q.wp:get(1))
  assert.are.equal(1, q.wn:get(1))
  q.wp:copy(f:read(case .. "/in/wp"))
  q.wn:copy(f:read(case .. "/in/wn"))
  local stats = finish(f, case, q, w)
  check(f, case, "Delta", collect(stats, 1, "delta"), SCALAR)
  check(f, case, "grad_wp", q.wp.grad, GRADIENT)
  check(f, case, "grad_wn", q.wn.grad, GRADIENT)
end

describe("the zoo", function()
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
      for _, layout in ipairs(layouts) do
        it(("has %s, %s"):format(case, layout), function() run(f, case, a, layout) end)
      end
    end
  end
  it("covers the first quantizers", function()
    assert.are.same({ twn = true, wacv = true, ttq = true }, seen)
  end)
end)
