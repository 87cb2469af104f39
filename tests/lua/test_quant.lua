-- tier: fast
-- trit.quant: every quantizer keeps what it declares; options, objects, rules, quantizers in Lua.
local trit = require "trit"
local core = trit.core

local function fails(fragment, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "no error; expected: " .. fragment)
  assert.is_truthy(tostring(message):find(fragment, 1, true), tostring(message))
  return message
end

local percentile = trit.quant.define {
  name = "percentile",
  doc = "cuts at a quantile of |w|; the scale is the mean of |w| beyond them",
  params = { q = { 0.5, min = 0, max = 1, doc = "share of zeros" } },
  fit = function(w, p) return { hi = w:abs():quantile { q = p.q } } end,
  ste = "clip1",
  cases = { { q = 0.1 }, { q = 0.9, granularity = "filter" } },
}

-- TTQ once more, in Lua: must be the built-in one.
local ttq_in_lua = trit.quant.define {
  name = "ttq_in_lua",
  params = { t = { 0.05, min = 0, max = 1, doc = "threshold, fraction of max|w|" } },
  learn = { wp = { 1, doc = "value of +1" }, wn = { 1, doc = "magnitude of -1" } },
  fit = function(w, p, learn) return { hi = p.t * w:abs():max():item(), pos = learn.wp, neg = learn.wn } end,
  ste = "scaled",
  grad = function(d) return { wp = d.pos, wn = d.neg } end,
}

-- The whole of it, and a surrogate of one's own.
local sign = trit.quant.define {
  name = "sign",
  learn = { a = { 0.5, doc = "scale" } },
  forward = function(w, _, learn) -- the sign, 0 where w is 0
    local codes = w:sign()
    return codes * trit.reshape(learn.a, { shape = { learn.a:numel(), 1 } }), codes
  end,
  backward = function(w, g) return g, { a = trit.sum(g * w:sign(), { axes = { 2 } }) } end,
  properties = { odd = true, permute = true, monotone = true },
}

trit.quant.define {
  name = "soft",
  fit = function(w) return { hi = w:abs():mean():item(), scale = 0.5 } end,
  ste = function(w) return 1 / (w * w + 1) end,
  ste_integral = function(w) return math.atan(w) end,
  properties = { scale = false },
}

describe("every quantizer", function()
  local levels = { "generic", "avx2", "avx512" }
  local before = core.isa()
  teardown(function() core.isa_force(before) end)
  for _, level in ipairs(levels) do
    for _, name in ipairs(trit.quant.list()) do
      it(("keeps what it declares: %s on %s"):format(name, level), function()
        if pcall(core.isa_force, level) then assert.is_true(trit.quant.check(name)) end
      end)
    end
  end

  for _, name in ipairs(trit.quant.list()) do
    it("is documented and has options with defaults: " .. name, function()
      local info = trit.quant.info(name)
      assert.are.equal(name, info.name)
      assert.is_true(#info.doc > 10)
      local q = trit.quant.create(name)
      for _, p in ipairs(info.params) do
        assert.is_truthy(p.doc, p.name)
        assert.is_not_nil(q.options[p.name], p.name)
      end
      for _, p in ipairs(info.learn) do assert.is_true(#p.doc > 0) end
      assert.are.equal(name .. "{}", tostring(q))
      fails(("%s: unknown option \"nonsense\"; known: "):format(name), trit.quant[name], { nonsense = 1 })
    end)

    it("resets itself once, and not again: " .. name, function()
      local w = trit.randn({ 4, 3, 3, 3 }, { std = 0.1, seed = 2 })
      local q = trit.quant.create(name)
      q(w)
      local p = q:parameters()
      for _, t in pairs(p) do t:fill(0.07) end
      q(w)
      for k, t in pairs(q:parameters()) do
        assert.are.equal(p[k], t)
        assert.is_true(math.abs(t:min():item() - 0.07) < 1e-7)
        assert.is_true(t:requires_grad())
      end
    end)

    it("clones, saves and loads exactly: " .. name, function()
      local w = trit.randn({ 4, 3, 3, 3 }, { std = 0.1, seed = 3, layout = "hwio" })
      local q = trit.quant.create(name, { granularity = "filter" }):reset(w)
      for _, t in pairs(q:parameters()) do t:copy(t * 1.5) end
      local clone, loaded = q:clone(), trit.quant.create(name, { granularity = "filter" })
      loaded:load_state_dict(q:state_dict())
      assert.is_true(q(w):equal(clone(w)))
      assert.is_true(q(w):equal(loaded(w)))
      for k, t in pairs(q:parameters()) do
        assert.are_not.equal(t, clone:parameters()[k])
        assert.is_true(loaded:parameters()[k]:requires_grad())
      end
    end)
  end
end)

describe("a quantizer object", function()
  local w
  before_each(function() w = trit.randn({ 8, 4, 3, 3 }, { std = 0.1, seed = 5 }):requires_grad(true) end)

  it("keeps its tensors when reset, so that optimizers stay connected", function()
    local q = trit.quant.tga {}:reset(w)
    local delta = q.delta
    q:reset(w * 2)
    assert.are.equal(delta, q.delta)
    assert.is_true(math.abs(q.delta:item() - 0.1 * w:abs():max():item()) < 1e-6)
  end)

  it("tells its storage and statistics", function()
    local q = trit.quant.tga { granularity = "filter" }
    assert.are.equal(2, q:bits())
    local rows = q:stats(w)
    assert.are.equal(8, #rows)
    assert.are.equal(2 + 32 * 8 / 288, q:bits())
    local o = rows[1].occupancy
    assert.is_true(math.abs(o[1] + o[2] + o[3] - 1) < 1e-12)
    assert.is_true(rows[1].z > 0 and rows[1].sigma > 0 and not rows[1].clip_active)
    assert.is_nil(w.grad)
    local two = trit.quant.tga { n_thresholds = 2 }
    local r = two:stats(w)[1]
    assert.are.equal(2, #r.terms)
    assert.is_true(r.terms[2].delta > r.terms[1].delta and r.delta == r.terms[1].delta)
    assert.are.same({ 2, 8, 4, 3, 3 }, two:codes():shape())
    assert.are.same({ 1, 2 }, two:scale():shape())
    assert.is_nil(trit.quant.wacv {}:stats(w)[1].learned)
  end)

  it("trains thresholds through the scale alone where that is possible", function()
    assert.is_true(trit.quant.tga {}:scale_only())
    assert.is_false(trit.quant.tga { n_thresholds = 2 }:scale_only())
    assert.is_false(trit.quant.tga { scale = "sample_mean" }:scale_only())
    assert.is_false(trit.quant.ttq {}:scale_only())
    fails("do not act through one scale", function() trit.quant.ttq {}:scale_node(w) end)
  end)

  it("says where an option came from and what is wrong with it", function()
    local message = fails("tga: option init is 3 but must lie in [0, 1]", function()
      trit.quant.tga { init = 3 }
    end)
    assert.is_truthy(message:find("test_quant.lua:%d+: tga"), message)
    fails("tga: option n_thresholds is 3 but must be one of 1|2|4", trit.quant.tga, { n_thresholds = 3 })
    fails('tga: option scale is "half" but must be one of one_sided|two_sided_sigma', trit.quant.tga,
      { scale = "half" })
    fails("tga: init has 2 values but n_thresholds is 4", trit.quant.tga,
      { init = { 0.1, 0.2 }, n_thresholds = 4 })
    fails("wacv: betas has 2 values but t_ex is 1", trit.quant.wacv, { betas = { 0.1, 0.2 } })
    fails('quant: no quantizer is called "tgb"; known: ', trit.quant.create, "tgb")
    fails("has not been applied to weights yet", function() trit.quant.tga {}:codes() end)
  end)

  it("takes every initialisation and lists for several thresholds", function()
    local top, sigma = w:abs():max():item(), trit.quant.tga {}:stats(w)[1].sigma
    local function first(options) return trit.quant.tga(options):reset(w).delta:totable()[1] end
    local function near(want, got) assert.is_true(math.abs(want - got) < 1e-6 * want, got) end
    near(0.3 * top, first { init = 0.3 }[1])
    near(0.7 * w:abs():mean():item(), first { init = "twn" }[1])
    near(0.6120 * sigma, first { init = "lloyd_max" }[1])
    for k, v in ipairs(first { n_thresholds = 4 }) do near(0.05 * k * top, v) end
    near(0.4 * top, first { n_thresholds = 2, init = { 0.1, 0.4 } }[2])
    assert.are.equal("none", trit.quant.tga { clip_sigma = "none" }.options.clip_sigma)
    assert.are.equal("none", trit.quant.tga { clip_sigma = false }.options.clip_sigma)
  end)

  it("names parameters and weights that do not fit each other", function()
    local q = trit.quant.tga { granularity = "filter" }:reset(w)
    fails("tga: parameter delta is f32[8,1] but weights f32[5,4,3,3] need f32[5,1]", function()
      q(trit.zeros { 5, 4, 3, 3 })
    end)
  end)

  it("reports non-finite weights in one sentence", function()
    local bad = w:clone()
    bad:set(2, 1, 1, 1, 0 / 0)
    fails("tga: weights must be finite", function() trit.quant.tga {}:reset(w)(bad) end)
  end)

  it("takes statistics anew unless it is promised the same weights", function()
    local o = { granularity = "filter" }
    local q, other = trit.quant.tga(o):reset(w), trit.quant.tga(o):reset(w)
    -- Laid out as they are used: what is known goes with their place in memory, a copy's is anyone's.
    local function weights(std)
      return trit.randn({ 8, 4, 3, 3 }, { std = std, seed = 5, layout = "hwio" })
    end
    local v, doubled = weights(0.1), weights(0.2)
    local was = core.grad_enabled(false) -- else the tape still holds the last call, and a fresh one is made
    finally(function() core.grad_enabled(was) end)
    q(v, true) -- a promise about no call before
    assert.is_true(q:scale():equal(other(v) and other:scale()))
    q.delta:copy(q.delta * 1.5)
    other.delta:copy(q.delta)
    assert.is_true(q(v, true):equal(other(v)))
    assert.is_true(q:scale():equal(other:scale()))
    assert.is_true(q(doubled, true):equal(other(doubled))) -- other weights: it cannot be kept
    q(v)
    local before = q:stats()[1].sigma
    v:copy(doubled)
    q(v, true) -- a promise that is broken, and found out
    assert.is_true(math.abs(q:stats()[1].sigma / before - 2) < 1e-6)
    v:requires_grad(true).grad = weights(0.5)
    trit.optim.sgd({ v }, { lr = 1 }):step()
    q(v, true)
    assert.is_true(math.abs(q:stats()[1].sigma / before - 2) > 0.1)
    assert.is_true(q:scale():equal(other(v) and other:scale()))
  end)

  it("can be applied twice before backward", function()
    local q = trit.quant.tga {}:reset(w)
    local v = (w * -1):detach():requires_grad(true)
    local a, b = q(w), q(v)
    a:backward(trit.ones(w:shape()))
    local alone = w.grad:clone()
    w:zero_grad()
    q.delta:zero_grad()
    local c = q(w)
    c:backward(trit.ones(w:shape()))
    assert.is_true(w.grad:equal(alone))
    b:backward(trit.ones(w:shape()))
    assert.is_not_nil(v.grad)
  end)
end)

describe("optimizers and quantizers", function()
  local function delta_after(q, options, group)
    local p = { params = { q.delta } }
    for k, v in pairs(group or {}) do p[k] = v end
    q.delta.grad = trit.tensor { { 5 } }
    local before = q.delta:item()
    trit.optim.sgd({ p }, options):step()
    return before - q.delta:item()
  end
  local w = trit.randn({ 100 }, { seed = 1 })

  it("limit the threshold's gradient, which backward gives whole", function()
    local q = trit.quant.tga {}:reset(w)
    assert.is_true(math.abs(delta_after(q, { lr = 1 }) - 1e-3) < 1e-6)
    local free = trit.quant.tga { th_grad_clamp = "none" }:reset(w)
    assert.is_true(math.abs(delta_after(free, { lr = 0.01 }) - 0.05) < 1e-6)
    assert.is_true(math.abs(delta_after(q, { lr = 1 }, { grad_clamp = 0.5 }) - 0.5) < 1e-6)
  end)

  it("do not decay thresholds, unless the group says so", function()
    local q = trit.quant.tga { th_grad_clamp = 0 }:reset(w)
    assert.are.equal(0, delta_after(q, { lr = 1, weight_decay = 0.5 }))
    assert.is_true(delta_after(q, { lr = 1 }, { weight_decay = 0.5 }) > 0)
  end)

  it("give a trained number its own learning rate", function()
    local q = trit.quant.define { name = "slow", learn = { a = { 1, lr_scale = 0.1 } }, ste = "scaled",
      fit = function(v, _, l) return { hi = v:abs():mean():item(), scale = l.a } end,
      grad = function(d) return { a = d.pos + d.neg } end } {}
    q:reset(w)
    q.a.grad = trit.ones { 1 }
    local opt = trit.optim.sgd({ q.a }, { lr = 1 })
    opt:step()
    assert.is_true(math.abs(q.a:item() - 0.9) < 1e-6)
    assert.are.equal(1, opt:lr())
  end)

  it("decay TTQ's scales unless told otherwise", function()
    local function wp_after(options)
      local q = trit.quant.ttq(options):reset(w)
      q.wp.grad = trit.zeros { 1 }
      trit.optim.sgd({ q.wp }, { lr = 1, weight_decay = 0.5 }):step()
      return q.wp:item()
    end
    assert.are.equal(0.5, wp_after {})
    assert.are.equal(1, wp_after { scale_weight_decay = false })
  end)
end)

describe("trit.quantize", function()
  local function names(net)
    local out = {}
    for name, m in net:quantizable() do
      local q = rawget(m, "quantizer")
      out[name] = q and q.name or "float"
    end
    return out
  end

  it("takes all layers, first and last included", function()
    local net = trit.models.resnet20 {}
    assert.are.equal(net, trit.quantize(net, { { ".*", trit.quant.tga {} } }))
    for name, q in pairs(names(net)) do assert.are.equal("tga", q, name) end
    assert.are.equal(20, #net:thresholds())
  end)

  it("uses the first rule that matches, and one clone a layer", function()
    local net = trit.models.resnet20 {}
    local q = trit.quant.twn {}
    trit.quantize(net, { { "^conv1%.", false }, { "^fc%.", trit.quant.tga {} }, { "layer%d", q } })
    local got = names(net)
    assert.are.equal("float", got["conv1.weight"])
    assert.are.equal("tga", got["fc.weight"])
    assert.are.equal("twn", got["layer2.1.conv2.weight"])
    local seen = {}
    for _, m in net:quantizable() do
      local mine = rawget(m, "quantizer")
      assert.is_nil(mine and (seen[mine] or mine == q) or nil)
      if mine then seen[mine] = true end
    end
  end)

  it("initialises each layer from its own weights", function()
    local net = trit.models.resnet20 {}
    trit.quantize(net, { { ".*", trit.quant.tga { init = 0.1 } } })
    for name, m in net:quantizable() do
      local want = 0.1 * m.weight:abs():max():item()
      assert.is_true(math.abs(m.quantizer.delta:item() - want) < 1e-6, name)
    end
  end)

  it("names a rule that no layer uses, and rules that are none", function()
    local net = trit.models.resnet20 {}
    local q = trit.quant.twn {}
    fails('quantize: no layer uses rule 2 ("layer4")', trit.quantize, net, { { ".*", q }, { "layer4", q } })
    for name, was in pairs(names(net)) do assert.are.equal("float", was, name) end
    fails("quantize: rule 1 must be { pattern, quantizer }", trit.quantize, net, { q })
    fails("needs a quantizer or false", trit.quantize, net, { { ".*", "tga" } })
    fails("is not a Lua pattern", trit.quantize, net, { { "[", q } })
    fails("quantize: there is no rule", trit.quantize, net, {})
  end)
end)

describe("a quantizer in Lua", function()
  it("works like a built-in one", function()
    local w = trit.randn({ 6, 50 }, { seed = 4 }):requires_grad(true)
    local q = percentile { q = 0.8, granularity = "filter" }
    q(w):backward(trit.ones(w:shape()))
    for _, row in ipairs(q:stats()) do assert.is_true(math.abs(row.occupancy[2] - 0.8) < 0.03) end
    assert.are.equal("percentile{q=0.8, granularity=filter}", tostring(q))
    assert.is_truthy(table.concat(trit.quant.list(), " "):find("percentile", 1, true))
    fails("percentile: option q is 2 but must lie in [0, 1]", percentile, { q = 2 })
    local net = trit.models.resnet20 {}
    trit.quantize(net, { { ".*", percentile {} } })
    assert.are.same({ 2, 10 }, net(trit.zeros { 2, 3, 32, 32 }):shape())
  end)

  it("equals the built-in quantizer it restates", function()
    local w = trit.randn({ 6, 4, 3, 3 }, { seed = 9, layout = "hwio" }):requires_grad(true)
    local v = w:clone():requires_grad(true)
    local g = trit.randn({ 6, 4, 3, 3 }, { seed = 10 })
    local mine, theirs = ttq_in_lua { t = 0.2, granularity = "filter" },
      trit.quant.ttq { t = 0.2, granularity = "filter" }
    local a, b = mine(w), theirs(v)
    assert.is_true(a:equal(b))
    a:backward(g)
    b:backward(g)
    assert.is_true(w.grad:equal(v.grad))
    assert.is_true(mine.wp.grad:max_difference(theirs.wp.grad) < 1e-6)
    assert.is_true(mine.wn.grad:max_difference(theirs.wn.grad) < 1e-6)
  end)

  it("may compute forward and backward itself", function()
    local w = trit.tensor { { 1, -2, 0, 3 }, { -1, -1, -1, 5 } }:requires_grad(true)
    local q = sign {}
    local wq = q(w)
    assert.are.same({ { 0.5, -0.5, 0, 0.5 }, { -0.5, -0.5, -0.5, 0.5 } }, wq:totable())
    wq:backward(trit.tensor { { 1, 2, 3, 4 }, { 1, 1, 1, 1 } })
    assert.are.same({ 1 }, q.a.grad:totable())
    assert.are.same({ { 1, 2, 3, 4 }, { 1, 1, 1, 1 } }, w.grad:totable())
  end)

  it("is checked when it is defined", function()
    local function broken(change)
      local d = { name = "broken", fit = function(w) return { hi = w:abs():mean():item() } end }
      for k, v in pairs(change) do d[k] = v end
      return function() trit.quant.define(d) end
    end
    fails("not odd", broken { fit = function() return { hi = 0.3, lo = -0.1 } end })
    fails("does not scale", broken { fit = function() return { hi = 0.3, scale = 1 } end })
    fails("reversing the weights changes",
      broken { fit = function(w) return { hi = math.abs(w:get(1)) } end })
    fails("the surrogate's derivative is", broken { ste = function(w) return w * w end,
      ste_integral = function(w) return w end })
    fails("dL/da of row 1 is", broken { learn = { a = { 1 } }, grad = function(d) return { a = d.pos } end,
      fit = function(w, _, l) return { hi = w:abs():mean():item(), scale = l.a } end })
    fails("broken: fit: ", broken { fit = function(w) return { hi = w.nothing } end })
    fails("broken: fit must give hi as a number", broken { fit = function() return { hi = "high" } end })
    fails("broken: fit must return a table, not a nil", broken { fit = function() end })
    fails("the cuts of row 1 are lo 1, hi -1", broken { fit = function() return { hi = -1 } end })
  end)

  it("is refused with a reason when the definition is wrong", function()
    local function define(d) return function() trit.quant.define(d) end end
    local fit = function() return { hi = 1 } end
    fails("define x: unknown field \"fti\"; known: name, doc, params", define { name = "x", fti = fit })
    fails("define x: give either fit or forward and backward", define { name = "x" })
    fails("define tga: a quantizer of that name is built in", define { name = "tga", fit = fit })
    fails("define x: ste is \"none\" but must be identity, clip1, scaled or a function",
      define { name = "x", fit = fit, ste = "none" })
    fails("define x: the default of t is 2 but must lie in [0, 1]",
      define { name = "x", fit = fit, params = { t = { 2, min = 0, max = 1 } } })
    fails("define x: learn needs grad", define { name = "x", fit = fit, learn = { a = { 1 } } })
    fails("define x: learn.scale: quantizers have a field of that name",
      define { name = "x", fit = fit, learn = { scale = { 1 } }, grad = fit })
    fails("define x: forward needs a backward", define { name = "x", forward = fit })
    fails("define x: there is no property \"even\"",
      define { name = "x", fit = fit, properties = { even = true } })
  end)
end)
