-- tier: fast
-- Statistics against independent reference values (stats.h5): all samples, histograms, Lloyd-Max.
local h5 = require "trit.h5"
local stats = require "trit.stats"

local shared = os.getenv("TRIT_SHARED") or (os.getenv("TRIT_SOURCE") or ".") .. "/../shared"
local path = shared .. "/golden/stats.h5"

local function close(name, got, want, rtol, scale)
  local ok = math.abs(got - want) <= rtol * scale
  assert(ok, ("%s: got %.17g, reference %.17g, tolerance %g of %g"):format(name, got, want, rtol, scale))
end

local checks = {}

function checks.sample(f, group)
  local x = f:read(group .. "/in/x")
  local m, s = stats.moments(x), stats.shapiro(x)
  local got = {
    mean = m.mean, std_unbiased = m.std, skew = m.skew, kurtosis_excess = m.kurtosis,
    ks_normal = stats.ks_normal(x),
    shapiro_w = s.w, shapiro_one_minus_w = s.one_minus_w, shapiro_p = s.p,
  }
  for _, name in ipairs(f:list(group .. "/out")) do
    local out = group .. "/out/" .. name
    close(out, assert(got[name], "no value for " .. name), f:read_numbers(out)[1],
      f:attr(out, "rtol"), f:attr(out, "scale"))
  end
end

function checks.histogram(f, group)
  local h = stats.histogram(f:read(group .. "/in/x"), f:read_numbers(group .. "/in/edges"))
  local out = group .. "/out/"
  assert.same(f:read_numbers(out .. "counts").shape[1], #h.counts)
  local zeros_bins = 0
  local counts, nonzero = f:read_numbers(out .. "counts"), f:read_numbers(out .. "counts_nonzero")
  for i = 1, #h.counts do
    assert.equal(counts[i], h.counts[i])
    zeros_bins = zeros_bins + counts[i] - nonzero[i]
  end
  for _, name in ipairs { "zeros", "under", "over" } do
    assert.equal(f:read_numbers(out .. name)[1], h[name], group .. " " .. name)
  end
  assert.equal(zeros_bins, h.zeros)
end

function checks.lloyd_max(f, group)
  local levels = f:attr(group, "levels")
  local q = stats.lloyd_max(levels)
  for name, got in pairs { values = q.values, thresholds = q.thresholds, mse = { q.mse } } do
    local out = group .. "/out/" .. name
    local want = f:read_numbers(out)
    assert.equal(#want, #got)
    for i = 1, #want do
      close(out, got[i], want[i], f:attr(out, "rtol"), f:attr(out, "scale"))
    end
  end
end

function checks.inverse_mills(f, group)
  local out, got = group .. "/out/", { lambda = {}, d = {}, dS_dDelta = {}, dS_dsigma = {}, sparsity = {} }
  for i, z in ipairs(f:read_numbers(group .. "/in/z")) do
    local lambda, d = stats.mills(z)
    got.lambda[i], got.d[i] = lambda, d
    got.dS_dDelta[i], got.dS_dsigma[i] = lambda * d, lambda * (1 - z * d)
  end
  for _, name in ipairs(f:list(group .. "/out")) do
    local want = f:read_numbers(out .. name)
    for i = 1, name ~= "sparsity" and #want or 0 do
      close(out .. name, got[name][i], want[i], f:attr(out .. name, "rtol"), math.abs(want[i]))
    end
  end
end

describe("statistics agree with the reference values", function()
  local f = h5.open(path)
  if not f then
    pending("no reference values at " .. path .. "; set TRIT_SHARED")
    return
  end
  local count = {}
  for _, group in ipairs(f:list("")) do
    local kind = f:attr(group, "kind")
    if checks[kind] then
      count[kind] = (count[kind] or 0) + 1
      it(group, function() checks[kind](f, group) end)
    end
  end
  it("covers every kind that is computed here", function()
    assert.is_true((count.sample or 0) >= 100)
    assert.is_true((count.histogram or 0) >= 4)
    assert.is_true((count.lloyd_max or 0) >= 4)
    assert.is_true((count.inverse_mills or 0) >= 3)
  end)
end)

describe("a quantizer between the conditions of Lloyd and Max", function()
  local trit = require "trit"
  local w = trit.randn({ 60000 }, { seed = 3, std = 0.2 })
  local function fit(q) return stats.fit(w, q)[1] end

  it("TGA's scale is the centroid, its threshold is free", function()
    local f = fit(trit.quant.tga { init = "lloyd_max" })
    assert.is_true(math.abs(f.scale_ratio - 1) < 0.01)
    assert.is_true(math.abs(f.cut_ratio - 1) < 0.01)
    assert.is_true(math.abs(f.mse / f.normal.mse - 1) < 0.02)
    f = fit(trit.quant.tga { init = 0.05 })
    assert.is_true(math.abs(f.scale_ratio - 1) < 0.01)
    assert.is_true(f.cut_ratio < 0.5 and f.relative_mse > 0.25)
  end)

  it("the exact projection keeps both, TWN and LSQ one", function()
    local f = fit(trit.quant.admm {})
    assert.is_true(math.abs(f.scale_ratio - 1) < 1e-5 and math.abs(f.cut_ratio - 1) < 1e-5)
    f = fit(trit.quant.twn {})
    assert.is_true(math.abs(f.scale_ratio - 1) < 1e-5 and math.abs(f.cut_ratio - 1) > 0.01)
    f = fit(trit.quant.lsq {})
    assert.is_true(math.abs(f.cut_ratio - 1) < 1e-5 and math.abs(f.scale_ratio - 1) > 0.01)
  end)
end)

describe("statistics of special tensors", function()
  local trit_core = require "trit.core"
  local tensor = trit_core.tensor

  it("has no W for fewer than three or equal elements", function()
    assert.is_true(stats.shapiro(tensor { 1, 2 }).w ~= stats.shapiro(tensor { 1, 2 }).w)
    local same = stats.weights(tensor { 3, 3, 3, 3 }, { shapiro = true })
    assert.is_true(same.shapiro_w ~= same.shapiro_w)
    assert.equal(0.0, same.std)
  end)

  it("counts NaN and infinity outside the bins", function()
    local h = stats.histogram(tensor { 0 / 0, 1 / 0, -1 / 0, 0, 0.5, 1 }, { 0, 0.5, 1 })
    assert.same({ 1, 2 }, h.counts)
    assert.same({ 1, 1, 1, 1 }, { h.nan, h.under, h.over, h.zeros })
  end)

  it("names edges that do not ascend", function()
    assert.has_error(function() stats.histogram(tensor { 1 }, { 0, 1, 1 }) end)
    local ok, message = pcall(stats.histogram, tensor { 1 }, { 0, 1, 1 })
    assert.is_false(ok)
    assert.matches("edges must ascend", message)
  end)

  it("gives W of a large normal tensor near 1, and a p only from subsamples", function()
    local r = stats.weights(trit_core.randn({ 20000 }, { seed = 3 }),
      { shapiro = true, subsamples = 20, size = 5000, seed = 1 })
    assert.is_true(r.shapiro_w > 0.999 and r.shapiro_w < 1)
    assert.is_true(r.shapiro_p ~= r.shapiro_p)
    assert.is_true(r.sub_w > 0.999 and r.sub_w < 1)
    assert.is_true(r.sub_p > 0.05 and r.sub_p < 1)
    local u = stats.weights(trit_core.rand({ 20000 }, { seed = 3 }), { shapiro = true })
    assert.is_true(math.abs(u.shapiro_w - 0.955) < 0.003) -- uniform
  end)

  it("gives the same bits for 1, 2 and 3 threads", function()
    local w = trit_core.randn({ 200003 }, { seed = 5 })
    local edges, before = stats.edges(w, 101, 4), trit_core.threads()
    local results = {}
    for threads = 1, 3 do
      trit_core.threads(threads)
      results[threads] = stats.weights(w,
        { edges = edges, shapiro = true, subsamples = 5, size = 1000, seed = 2 })
    end
    trit_core.threads(before)
    results[1].shapiro_p, results[2].shapiro_p, results[3].shapiro_p = nil, nil, nil -- NaN
    assert.same(results[1], results[2])
    assert.same(results[1], results[3])
  end)

  it("follows codes from call to call", function()
    local first, packed = stats.codes(tensor { -1, 0, 1, 1, 0 })
    assert.same({ 0.2, 0.4, 0.4 }, first.share)
    assert.is_true(first.flips ~= first.flips)
    local second = stats.codes(tensor { -1, 1, 1, -1, 0 }, packed)
    assert.equal(0.4, second.flips)
  end)
end)
