-- tier: fast
-- What stands still while a network trains: settled layers, held weights, windows of blocks; and what a
-- choice of `ste` leaves alone.
local trit = require "trit"
local scratch = require "tests.lua.scratch"

local dir = scratch.dir "still"
local x, y = trit.randn({ 4, 3, 8, 8 }, { seed = 5 }), trit.tensor { 1, 2, 3, 4 }

teardown(function() scratch.remove(dir) end)

local function small(q)
  return trit.quantize(trit.models.small { classes = 10, seed = 1 }, { { ".*", q } })
end

local function data() return trit.data.open("shapes10:train=96,test=32,size=16", { batch = 32, seed = 1 }) end

local function fails(fragment, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "no error; expected: " .. fragment)
  assert.is_truthy(tostring(message):find(fragment, 1, true), tostring(message))
end

-- Steps with momentum and decay, on weights and thresholds.
local function trainer(m)
  local rule = { lr = 0.05, momentum = 0.9, weight_decay = 1e-2 }
  local thresholds = m:thresholds()
  local step = require("trit.steps").new { model = m,
    loss = function(logits, labels) return trit.cross_entropy(logits, labels) end,
    optimizer = trit.optim.sgd(m:parameters(), rule),
    threshold_optimizer = #thresholds > 0 and trit.optim.sgd(thresholds, rule) or nil }
  return function(n)
    for _ = 1, n do step(x, y) end
  end
end

-- All numbers of a tensor, to the bit; NAN equals NAN.
local function text(t)
  local list = {}
  local function walk(v)
    if type(v) ~= "table" then
      list[#list + 1] = ("%a"):format(v)
      return
    end
    for _, e in ipairs(v) do walk(e) end
  end
  walk(t:totable())
  return table.concat(list, " ")
end

local function used(layer)
  return trit.no_grad(function() return require("trit.nn.weight").effective(layer):clone() end)
end

describe("a settled layer", function()
  for _, name in ipairs(trit.quant.list()) do
    it("does not move: " .. name, function()
      local m = small(trit.quant[name] {}):train()
      local steps = trainer(m)
      steps(2)
      trit.schemes.freeze(m, "^conv2")
      local before, state = used(m.conv2), {}
      for k, v in pairs(m.conv2.quantizer:state_dict()) do state[k] = v:clone() end
      steps(3)
      assert.is_true(used(m.conv2):equal(before))
      for k, v in pairs(m.conv2.quantizer:state_dict()) do
        assert.are.equal(text(state[k]), text(v), k)
      end
    end)
  end
end)

describe("another ste", function()
  local w = trit.randn({ 6, 20 }, { seed = 3, std = 0.7 })
  local g = trit.randn({ 6, 20 }, { seed = 4 })
  local KINDS = { "identity", "clipped", "scaled", "inv_scaled", "annealed" }

  -- dL/dw, the quantizer, dL/dw2 of the method that has one.
  local function slope(name, o)
    local v = w:clone():requires_grad(true)
    local q = trit.quant[name](o):reset(v)
    q.training = true
    q(v):backward(g)
    return v.grad, q, q.w2 and q.w2.grad
  end

  local function inside(t) return trit.ones(t:shape()):gt(t:abs()) end

  local function near(a, b) assert.is_true(a:max_difference(b) < 1e-5 * a:abs():max():item()) end

  for _, name in ipairs { "admm", "bayes", "inq", "pruned", "rpr", "sca", "shared", "uniq" } do
    it("is refused where no weight that trains is rounded: " .. name, function()
      assert.has_no_error(function() trit.quant[name] { ste = "own" } end)
      for _, kind in ipairs(KINDS) do
        fails(("%s: ste is %q, but no weight that trains is rounded: the gradient is the method's own")
          :format(name, kind), trit.quant[name], { ste = kind })
      end
    end)
  end

  it("changes the factor on the rounding, not what goes through the scale (tga)", function()
    local own = slope("tga", {})
    near(own, (slope("tga", { ste = "identity" })))
    local scaled, q = slope("tga", { ste = "scaled" })
    near(scaled - own, g * (q:scale():item() - 1))
    assert.is_true(own:max_difference(g) > 1e-3)
    near(g, (slope("tga", { ste = "identity", stats_grad = "detached" })))
  end)

  it("leaves the second term of bwn", function()
    near(g * (1 + 1 / 20), (slope("bwn", { ste = "identity" })))
    local sign = w:sign()
    local through = sign * (g * sign):mean { axes = { 2 }, keepdims = true }
    near(g + through, (slope("bwn", { ste = "identity", bwn_grad = "exact" })))
  end)

  it("leaves what goes through sttn's scale, and is one for both latent tensors", function()
    local own, _, own2 = slope("sttn", {})
    local same, _, same2 = slope("sttn", { ste = "identity" })
    near(own, same)
    near(own2, same2)
    local clipped, q, clipped2 = slope("sttn", { ste = "clipped" })
    near(clipped - own, g * (inside(w) - 1))
    near(clipped2 - own2, g * (inside(q.w2:detach()) - 1))
  end)

  it("comes before dorefa's tanh", function()
    for _, max_grad in ipairs { "attached", "detached" } do
      local o = { max_grad = max_grad, ste = "identity" }
      near(slope("dorefa", { max_grad = max_grad }), (slope("dorefa", o)))
    end
    near(g, (slope("dorefa", { bits = 1, ste = "identity" })))
    local clipped = slope("dorefa", { ste = "clipped", max_grad = "detached" })
    near(slope("dorefa", { max_grad = "detached" }) * inside(w), clipped)
  end)
end)

describe("weights that rpr holds", function()
  local function flat(t) return trit.reshape(t, { shape = { t:numel() } }):totable() end

  local function partition(m, t)
    trit.schemes.set_progress(m, t)
    trit.no_grad(function() m(x) end)
    return m.conv2.quantizer.held
  end

  it("stay at the value of their draw until the next, whatever momentum and decay do", function()
    local m = small(trit.quant.rpr { start = 0.5, draws = 3 }):train()
    local steps = trainer(m)
    for _, t in ipairs { 0, 0.4, 0.7 } do
      local held = partition(m, t):clone()
      local is = held:eq(held)
      local before, latent = used(m.conv2), m.conv2.weight:detach():clone()
      steps(3)
      local keep, after, first = flat(held), flat(used(m.conv2)), flat(before)
      local moved = 0
      for i, v in ipairs(first) do
        if keep[i] == keep[i] then
          assert.are.same({ keep[i], keep[i] }, { v, after[i] })
        elseif after[i] ~= v then
          moved = moved + 1
        end
      end
      local share = is:mean():item()
      assert.is_true(moved >= 0.9 * (1 - share) * #first)
      assert.is_true(t == 0.7 and share == 1 or math.abs(share - (t == 0 and 0.5 or 0.75)) < 0.1)
      assert.is_true(m.conv2.weight:max_difference(latent) > 0) -- decay goes on in the latent weights
    end
  end)

  it("go on from their latent values once free, and all weights are on three levels at the end", function()
    local m = small(trit.quant.rpr { start = 0.5, draws = 3 }):train()
    local steps, q = trainer(m), m.conv2.quantizer
    local first = partition(m, 0):clone()
    steps(2)
    partition(m, 0.4)
    local was, now, w = flat(first), flat(q.held), flat(m.conv2.weight:detach())
    local freed = 0
    for i, v in ipairs(flat(used(m.conv2))) do
      local free = now[i] ~= now[i]
      assert.are.equal(free and w[i] or now[i], v)
      if free and was[i] == was[i] then freed = freed + 1 end
    end
    assert.is_true(freed > 0)
    partition(m, 0.9)
    steps(2)
    m:eval()
    local wq = used(m.conv2)
    assert.is_true(wq:max_difference(q:codes() * q:scale():item()) == 0)
    m:train()
    assert.is_true(used(m.conv2):equal(wq))
  end)

  it("are in checkpoints", function()
    local m = small(trit.quant.rpr { draws = 3 }):train()
    local steps = trainer(m)
    partition(m, 0.4)
    steps(2)
    local again = small(trit.quant.rpr { draws = 3 }):train()
    again:load_state_dict(m:state_dict())
    again:counters_dict(m:counters_dict())
    assert.is_true(used(again.conv2):equal(used(m.conv2)))
  end)
end)

describe("blocks in two passes", function()
  local function stepped()
    return trit.schemes.stepped(small(trit.quant.twn {}), { blocks = 4, passes = 2, by = 0.8, freeze = true })
  end

  -- What each of the four layers is: f(loat), t(rained with its quantizer), s(till).
  local function phases(m, t)
    local all = {}
    trit.schemes.set_progress(m, t)
    m:zero_grad()
    trit.cross_entropy(m(x), y):backward()
    for _, layer in m:quantizable() do
      local float = trit.no_grad(function() return require("trit.nn.weight").effective(layer) end)
      all[#all + 1] = not layer.weight.grad and "s" or float:equal(layer.weight) and "f" or "t"
    end
    return table.concat(all)
  end

  it("train one block at a time: first the others are float, then quantized and still", function()
    local m, seen = stepped():train(), {}
    for k = 0, 9 do seen[#seen + 1] = phases(m, k * 0.1 + 0.05) end
    assert.are.same({ "tfff", "stff", "sstf", "ssst", "tsss", "stss", "ssts", "ssst", "ssst", "ssst" }, seen)
  end)

  it("are kept where quantizers stand in their schedules", function()
    local m = stepped():train()
    phases(m, 0.45)
    local json = require "trit.json"
    local counters = assert(json.decode(json.encode(m:counters_dict())))
    local again = small(trit.quant.twn {}):train()
    again:counters_dict(counters)
    assert.are.equal("tsss", phases(again, 0.45))
    assert.are.equal("stss", phases(again, 0.55))
  end)

  it("are copied with the quantizer", function()
    local q = stepped().conv2.quantizer:clone()
    q:set_progress(0.35)
    assert.is_true(q:settled())
    q:set_progress(0.55)
    assert.is_false(q:settled())
  end)

  it("are what uniq's method takes, all still at the end", function()
    local _, m = trit.methods.train("uniq", { model = function() return trit.models.small { seed = 1 } end,
      data = data(), from = trit.models.small { seed = 1 }:state_dict(), epochs = 1, max_steps = 1,
      quiet = true, log = false, blocks = 2, passes = 2, share = 0.5, out = dir .. "/uniq" })
    local layers = {}
    for _, layer in m:quantizable() do layers[#layers + 1] = layer.quantizer end
    local function still(t)
      local all = {}
      trit.schemes.set_progress(m, t)
      for i, q in ipairs(layers) do all[i] = q.progress < q.start and "f" or q:settled() and "s" or "t" end
      return table.concat(all)
    end
    assert.are.same({ "ttff", "sstt", "ttss", "sstt", "ssss" },
      { still(0.1), still(0.2), still(0.3), still(0.4), still(0.6) })
  end)
end)

describe("admm's refresh", function()
  it("keeps the multiplier rho U when rho grows", function()
    local m = small(trit.quant.admm {})
    local dual = require("trit.methods.admm").dual(m, 0.5)
    local l, projection = dual.layers[2], trit.quant.admm {}
    local g = trit.no_grad(function() return projection(l.w):clone() end)
    l.w:copy(g) -- W is a codeword, and so is W + U with U small where W is 0: G = W
    l.q.dual:copy(g:eq(0) * (0.01 * projection:scale():item()))
    local before = l.q.dual:clone()
    assert.is_true(before:max():item() > 0)
    dual.refresh(2)
    assert.are.equal(1, l.q.rho:item())
    assert.is_true((l.q.dual * 2):max_difference(before) < 1e-8)
    assert.is_true(l.q.target:max_difference(g - l.q.dual) < 1e-8)
  end)
end)

describe("bits of shared weights", function()
  it("count the codebook of every row", function()
    local q = trit.quant.shared { clusters = 16 }
    local w = trit.randn({ 10, 10 }, { seed = 1 })
    q:reset(w)
    q(w)
    assert.is_true(math.abs(q:bits() - (5 + 16 * 32 / 100)) < 1e-9)
    q = trit.quant.shared { clusters = 2, granularity = "filter" }
    q:reset(w)
    q(w)
    assert.is_true(math.abs(q:bits() - (2 + 10 * 2 * 32 / 100)) < 1e-9)
  end)
end)

describe("the best epoch", function()
  local loop = require "trit.train"
  local evaluate = loop.evaluate
  before_each(function() -- the first epochs look best
    local n = 0
    loop.evaluate = function(...)
      local v = evaluate(...)
      n = n + 1
      v.top1 = 1 / n
      return v
    end
  end)
  after_each(function() loop.evaluate = evaluate end)

  local function train(share, epochs)
    local m = trit.schemes.delay(small(trit.quant.twn {}), { share = share, pattern = "^fc2" })
    local seen = {}
    local r = trit.train { model = m, data = data(), epochs = epochs, quiet = true, log = false,
      optimizer = trit.optim.sgd(m:parameters(), { lr = 0 }), out = dir .. "/best",
      schedule = trit.schemes.follow(m, trit.schedule.constant {}, epochs),
      hooks = { epoch = function(record) seen[#seen + 1] = record.test.top1 end } }
    return r, seen
  end

  it("is one in which all quantizers are awake", function()
    local r, seen = train(0.5, 4)
    assert.are.same({ 3, seen[3] }, { r.best_epoch, r.best_top1 })
  end)

  it("is the last where they never wake", function()
    local r, seen = train(1, 2)
    assert.are.same({ 2, seen[2] }, { r.best_epoch, r.best_top1 })
  end)
end)

describe("alarms", function()
  local function train(o)
    local job = { model = function() return trit.models.small { classes = 10, seed = 1 } end, data = data(),
      epochs = 2, pretrain = 1, quiet = true, log = false, out = dir .. "/alarms" }
    for k, v in pairs(o or {}) do job[k] = v end
    local d = { name = "nothing", doc = "all weights become 0", weights = trit.quant.twn { delta = 10 } }
    return trit.methods.train(d, job)
  end

  it("are on in methods.fit, and what they say is in the result", function()
    local r = train()
    assert.are.equal(4, #r.alarms)
    assert.are.same({ "conv1.weight", 1 }, { r.alarms[1].layer, r.alarms[1].epoch })
    assert.matches("collapse: 100.0 %% of the codes are 0", r.alarms[1].text)
    assert.are.same({}, train({ alarms = false }).alarms or {})
    require("lfs").mkdir(dir .. "/alarms")
    local file = assert(io.open(trit.methods.save(r, {})))
    local saved = assert(require("trit.json").decode(file:read("a")))
    file:close()
    assert.are.same(r.alarms[1], saved.alarms[1])
  end)

  it("say nothing of layers that sleep, nor of codes that have no sign", function()
    local m = trit.quantize(trit.models.small { classes = 10, seed = 1 },
      { { "^conv", trit.quant.shared {} }, { ".*", trit.quant.twn { delta = 10 } } })
    trit.schemes.delay(m, { pattern = "^fc", share = 0.5 })
    local watch = trit.schemes.alarms(m, { quiet = true })
    m(x)
    watch.hooks.epoch { epoch = 1 }
    assert.are.same({}, watch.messages)
  end)
end)

describe("bayes", function()
  it("shares the added loss evenly or by halves among the batches of an epoch", function()
    local w = trit.randn({ 40 }, { seed = 3 }):requires_grad(true)
    local function slopes(batches)
      local q, list = trit.quant.bayes { kl = 1, batches = batches, sigma1 = 1, sigma2 = 1 }:reset(w), {}
      q.training = true
      for i = 1, 7 do
        w:zero_grad()
        q.rho:zero_grad()
        local wq = q(w)
        wq:backward(trit.zeros { 40 })
        list[i] = (w.grad / wq:detach()):mean():item() -- of a prior N(0, 1): the weight of the added part
      end
      return list
    end
    for _, v in ipairs(slopes(0)) do assert.is_true(math.abs(v - 1) < 1e-5) end
    local list = slopes(3)
    for i = 1, 7 do -- M 2^(M-i)/(2^M - 1), anew every epoch
      local k = (i - 1) % 3 + 1
      assert.is_true(math.abs(list[i] - 3 * 2 ^ (3 - k) / 7) < 1e-5)
    end
  end)
end)
