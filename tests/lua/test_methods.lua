-- tier: full
-- trit.methods and trit.schemes: methods train by name, schedules follow the progress, state survives.
local trit = require "trit"
local golden = require "tests.lua.golden"
local scratch = require "tests.lua.scratch"

local dir = scratch.dir "methods"
local SPEC = "shapes10:train=96,test=32,size=16"

local function data() return trit.data.open(SPEC, { batch = 32, seed = 1 }) end

local function fails(fragment, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "no error; expected: " .. fragment)
  assert.is_truthy(tostring(message):find(fragment, 1, true), tostring(message))
end

local function net() return trit.models.small { classes = 10, seed = 1 } end

teardown(function() scratch.remove(dir) end)

describe("trit.methods", function()
  for _, name in ipairs(trit.methods.list()) do
    it("trains " .. name, function()
      local result = trit.methods.train(name, { model = net, data = data(), epochs = 2, pretrain = 1,
        quiet = true, out = dir .. "/" .. name })
      assert.are.equal(name, result.method)
      assert.is_true(result.top1 >= 0 and result.top1 <= 1 and result.best_top1 >= result.top1)
      assert.is_true(result.zeros >= 0 and result.zeros <= 1 and result.bits > 0 and result.bits <= 32)
      assert.is_true(result.epoch_seconds > 0 and result.loss == result.loss)
      assert.is_truthy(trit.methods.get(name).doc)
      trit.methods.save(result, { seed = 1 })
    end)
  end

  it("are compared in one table, float first", function()
    local rows = trit.methods.table(dir)
    assert.are.equal("float", rows[1].method)
    assert.are.equal(#trit.methods.list(), #rows)
    for _, r in ipairs(rows) do
      assert.are.equal(r.method == "float", r.degradation == nil)
      if r.method == "tga" then assert.matches("^3%.90 %(ImageNet ResNet%-18", r.published) end
    end
  end)

  it("fine-tune given float weights for the whole budget", function()
    local from = net():state_dict()
    local result, tuned = trit.methods.train("twn", { model = net, data = data(), epochs = 1, lr = 0,
      from = from,
      quiet = true, log = false, out = dir .. "/given" })
    assert.are.equal(1, result.epoch)
    assert.is_true(tuned.conv1.weight:equal(from["conv1.weight"]))
  end)

  it("clamp STTN's latent tensors, which leaves first and last layer float", function()
    local from = net():state_dict()
    for _, w in pairs(from) do w:copy(w * 20) end
    local result, m = trit.methods.train("sttn", { model = net, from = from, data = data(), epochs = 1,
      lr = 1e-6, quiet = true, log = false, max_steps = 2, out = dir .. "/sttn_big" })
    assert.is_true(result.bits > 2)
    assert.is_nil(rawget(m.conv1, "quantizer"))
    for _, w in ipairs { m.conv2.weight, m.conv2.quantizer.w2 } do
      assert.is_true(w:abs():max():item() <= 1)
    end
    assert.is_true(m.conv1.weight:abs():max():item() > 1)
  end)

  it("clip what goes into DoReFa's float classifier, and quantize gradients of the layers between", function()
    for name, bits in pairs { dorefa_w1a2 = 0, dorefa_w1a2g6 = 6, dorefa_w1a2g4 = 4 } do
      local m = net()
      trit.methods.wrap(trit.methods.get(name), m, {})
      assert.are.same({ 2, bits }, { m.conv2.input.options.bits, m.conv2.input.options.gradient_bits })
      assert.are.same({ 0, 0 }, { m.fc2.input.options.bits, m.fc2.input.options.gradient_bits })
      assert.is_nil(trit.act.of(m.conv1))
    end
    local m = net()
    local d = setmetatable({ ends = "quantized" }, { __index = trit.methods.get "dorefa_w1a2" })
    trit.methods.wrap(d, m, {})
    assert.are.equal(2, m.fc2.input.options.bits)
    m = trit.methods.wrap(trit.methods.get "dorefa_w1", net(), {})
    assert.is_nil(trit.act.of(m.fc2))
  end)

  it("take a recipe's optimizer, and scale XNOR-Net's gradients as the release does", function()
    local hints = require "trit.hints"
    local taken = {}
    local function job(rule)
      return { data = data(), model = net, seed = 1, epochs = 1, rule = rule, optimizer = function(m, lr)
        taken[#taken + 1] = lr
        return trit.optim.sgd(m:parameters(), { lr = lr, weight_decay = 0.5 })
      end }
    end
    local bc = trit.methods.get "binaryconnect"
    assert.are.equal("sgd", bc.optimizer(net(), job "sgd", 0.25).name)
    assert.are.same({ 0.25 }, taken)
    for rule, n in pairs { sgd = 72, nesterov = 72, adam = 1 } do -- conv2: 8 channels, 3x3
      local m = net()
      trit.methods.wrap(trit.methods.get "xnor", m, job(rule))
      assert.are.equal(n * (1 - 1 / 8), hints[m.conv2.weight].grad_scale)
      local opt, before = job(rule).optimizer(m, 0.1), m.conv2.weight:clone()
      m.conv2.weight.grad = before * 0 + 1
      opt:step()
      local want = before - (before * 0 + n * (1 - 1 / 8) + before * 0.5) * 0.1 -- decay is not scaled
      assert.is_true(m.conv2.weight:max_difference(want) < 1e-5)
    end
    assert.are.equal(9, require("trit.methods.xnor").release_factor({ 4, 1, 3, 3 }, true)) -- no mean is taken
  end)

  it("train BNN and drawn BinaryConnect on margins behind a batch norm, and load the result", function()
    for _, name in ipairs { "bnn", "binaryconnect_stochastic" } do
      local d, m = trit.methods.get(name), trit.models.resnet8 { classes = 10, size = 16, seed = 1 }
      trit.methods.wrap(d, m, { seed = 1 })
      assert.is_not_nil(rawget(m, "output_norm"), name)
      local logits, y = trit.randn({ 4, 10 }, { seed = 2 }), trit.tensor { 1, 2, 3, 4 }
      assert.are.equal(trit.core.ops.squared_hinge(logits, y):item(), d.loss(m, {})(logits, y):item())
      local result, tuned = trit.methods.train(name, { model = function()
        return trit.models.resnet8 { classes = 10, size = 16, seed = 1 }
      end, data = data(), epochs = 1, max_steps = 2, quiet = true, out = dir .. "/normed_" .. name })
      local loaded = assert(trit.trained.load(result.dir))
      local x = trit.randn({ 2, 3, 16, 16 }, { seed = 3 })
      assert.is_true(trit.no_grad(function() return loaded(x) end):equal(trit.no_grad(function()
        return tuned:eval()(x)
      end)))
    end
    local opt = trit.methods.get("bnn").optimizer(net(), {}, 0.1)
    assert.are.equal(1e-3, opt:lr()) -- the source's, at the usual rate of SGD
  end)

  it("count no epoch of a partly float network as the best", function()
    for _, name in ipairs { "inq", "inq_ternary" } do
      local told = trit.methods.get(name).finish(nil, nil, { top1 = 0.3, best_top1 = 0.9 })
      assert.are.equal(0.3, told.best_top1)
    end
  end)

  it("say what is wrong", function()
    fails('methods: none is called "none"; known: float, ', trit.methods.train, "none", {})
    fails("methods.train: the job needs model", trit.methods.train, "twn", {})
    fails("pretrain is 3 of 3 epochs and leaves none", trit.methods.train, "twn",
      { model = net, data = data(), epochs = 3, pretrain = 3 })
    fails('unknown field "wights"', trit.methods.define, { name = "x", doc = "d", wights = 1 })
  end)

  -- The README's own method, as it stands there.
  it("take one more in under twenty lines", function()
    local file = assert(io.open((os.getenv("TRIT_SOURCE") or ".") .. "/README.md"))
    local code = file:read("a"):match("```lua\n(%-%- half_zeros%.lua.-)```")
    file:close()
    local _, lines = code:gsub("\n", "")
    assert.is_true(lines < 20, lines .. " lines")
    trit.methods.define(assert(load(code, "=half_zeros.lua"))())
    local result = trit.methods.train("half_zeros", { model = net, data = data(), epochs = 2, quiet = true,
      out = dir .. "/half" })
    assert.is_true(math.abs(result.zeros - 0.5) < 0.02)
  end)
end)

describe("the methods' own steps", function()
  local f, why = golden.open("quant_zoo.h5")
  if not f then
    pending(why)
    return
  end
  local function check(path, got, tolerance) golden.check(f, path, got, tolerance) end
  local zoo = {}

  function zoo.binaryconnect_step(case)
    local m = require "trit.methods.binaryconnect"
    local w = f:read(case .. "/in/w")
    local scale = m.lr_scale(w:shape())
    check(case .. "/out/lr_scale", { scale }, 1e-6)
    check(case .. "/out/w_new", m.step(w, f:read(case .. "/in/w_opt"), scale), 1e-6)
  end

  function zoo.xnor_release_step(case)
    local m = require "trit.methods.xnor"
    local t = f:read(case .. "/in/w")
    local w = m.prepare(trit.zeros(t:shape(), { layout = "hwio" }):copy(t))
    check(case .. "/out/w_prepared", w, 1e-6)
    local q = trit.quant.bwn {}
    w:requires_grad(true)
    local wq = q(w)
    check(case .. "/out/wq", wq, 1e-6)
    wq:backward(f:read(case .. "/in/g"))
    check(case .. "/out/grad_w_sgd", w.grad * m.release_factor(w:shape(), true), 1e-5)
    check(case .. "/out/grad_w_adam", w.grad * m.release_factor(w:shape(), false), 1e-5)
  end

  function zoo.admm_round(case, a)
    local m = require "trit.methods.admm"
    local function read(name) return f:read(case .. "/in/" .. name) end
    local h, b = read "h", read "b"
    local r = m.round { W = read "W", G = read "G", U = read "U", rho = a.rho, beta_p = a.beta_p,
      beta_c = a.beta_c, grad = function(v) return h * v - b end }
    check(case .. "/out/W_pred", r.predicted, 1e-6)
    check(case .. "/out/W_new", r.W, 1e-6)
    check(case .. "/out/G_new", r.G, 1e-6)
    check(case .. "/out/U_new", r.U, 1e-5)
  end

  function zoo.admm_project(case, a)
    if a.mode ~= "iterate" then return end
    local m = require "trit.methods.admm"
    local alpha, q = m.iterate(f:read_numbers(case .. "/in/v"), a.levels, a.alpha0)
    check(case .. "/out/alpha", { alpha }, 1e-6)
    check(case .. "/out/codes", q, 0)
  end

  for _, case in ipairs(f:list("")) do
    local a = f:attrs(case)
    if zoo[a.method] then
      it("agree with " .. case, function() zoo[a.method](case, a) end)
    end
  end
end)

describe("trit.schemes", function()
  local function small(q)
    local m = net()
    return trit.quantize(m, { { ".*", q or trit.quant.tga {} } })
  end
  local x = trit.randn({ 4, 3, 8, 8 }, { seed = 5 })

  it("tell quantizers the progress before every step, as a function of time", function()
    local m = small(trit.quant.rpr {})
    local s = trit.schemes.follow(m, trit.schedule.cosine { epochs = 10 }, 10)
    assert.are.equal(trit.schedule.cosine { epochs = 10 }:rate(0.1, 4), s:rate(0.1, 4))
    assert.are.equal(0.4, m.conv1.quantizer.progress)
    fails("plateau has no end", trit.schemes.follow, m, trit.schedule.plateau {}, 3)
  end)

  it("delay quantizers, which wake with thresholds of that moment and stay awake when loaded", function()
    local m, float = small(), net()
    trit.schemes.delay(m, { share = 0.5 })
    m:eval()
    float:eval()
    assert.is_true(m(x):equal(float(x)))
    m.conv1.weight:copy(m.conv1.weight * 3)
    trit.schemes.set_progress(m, 0.5)
    assert.is_false(m(x):equal(float(x)))
    local want = 0.05 * m.conv1.weight:abs():max():item()
    assert.is_true(math.abs(m.conv1.quantizer.delta:item() - want) < 1e-6)
    m.conv1.quantizer.delta:fill(0.123)
    local again = trit.schemes.delay(small(), { share = 0.5 })
    again:load_state_dict(m:state_dict())
    trit.schemes.set_progress(again, 0.7)
    assert.is_true(again:eval()(x):equal(m(x)))
    assert.is_true(math.abs(again.conv1.quantizer.delta:item() - 0.123) < 1e-7)
  end)

  it("train with delayed thresholds, sequentially", function()
    local m = trit.schemes.delay(small(), { share = 0.5 })
    local d = data()
    local r = trit.train { model = m, data = d, epochs = 2, quiet = true, log = false,
      optimizer = trit.optim.sgd(m:parameters(), { lr = 0.01 }),
      schedule = trit.schemes.follow(m, trit.schedule.constant {}, 2) }
    assert.is_true(r.zeros > 0)
    assert.is_true(m.conv1.quantizer.woken)
  end)

  it("step through a network, each group frozen when the next starts", function()
    local m = trit.schemes.stepped(small(trit.quant.twn {}), { blocks = 4, by = 0.8, freeze = true })
    local starts = {}
    for _, layer in m:quantizable() do starts[#starts + 1] = layer.quantizer.start end
    assert.are.same({ 0, 0.2, 0.4, 0.6000000000000001 }, starts)
    assert.are.equal(0.2, m.conv1.quantizer.stop)
    trit.schemes.set_progress(m, 0.3)
    trit.cross_entropy(m(x), trit.tensor { 1, 2, 3, 4 }):backward()
    assert.is_nil(m.conv1.weight.grad)
    assert.is_not_nil(m.conv2.weight.grad)
    fails("schemes.stepped: passes must be a whole number >= 1, not 1.5", trit.schemes.stepped, m,
      { passes = 1.5 })
  end)

  it("count a layer that sleeps as float", function()
    local m = trit.schemes.delay(small(trit.quant.twn {}), { share = 0.5 })
    local sparsity = require("trit.train").sparsity
    local zeros, bits = sparsity(m)
    assert.are.same({ 0, 32 }, { zeros, bits })
    trit.schemes.set_progress(m, 0.6)
    m(x)
    zeros, bits = sparsity(m)
    assert.is_true(zeros > 0 and bits < 3)
  end)

  it("freeze weights and train them again", function()
    local m = small(trit.quant.twn {})
    local function trained()
      m:zero_grad()
      trit.cross_entropy(m(x), trit.tensor { 1, 2, 3, 4 }):backward()
      return m.conv1.weight.grad ~= nil
    end
    assert.is_true(trained())
    trit.schemes.freeze(m, "^conv1%.")
    assert.is_false(trained())
    trit.schemes.freeze(m, "^conv1%.", false)
    assert.is_true(trained())
    fails('no quantized layer matches "conv9"', trit.schemes.freeze, m, "conv9")
  end)

  it("re-estimate batch norms as the mean over batches", function()
    local m, d = trit.models.resnet8 { classes = 10, seed = 1 }, data()
    m.bn1.running_mean:fill(7)
    m:eval()
    assert.are.equal(3, trit.schemes.reestimate_bn(m, d, { batches = 50 }))
    local sum, n = 0, 0
    for batch in d:train(0) do
      trit.no_grad(function() sum = sum + m.conv1(batch):mean { axes = { 1, 3, 4 } } end)
      n = n + 1
    end
    assert.is_true(m.bn1.running_mean:max_difference(sum / n) < 1e-5)
    assert.is_false(m.training)
    assert.are.equal(0.1, m.bn1.momentum)
  end)

  it("raise alarms for layers that collapse or oscillate", function()
    local m = small(trit.quant.tga {})
    local watch = trit.schemes.alarms(m, { quiet = true, settle = 1, flips = 0.5 })
    watch.hooks.epoch { epoch = 1 }
    assert.are.same({}, watch.messages)
    m.fc1.weight:copy(m.fc1.weight * -1)
    m.conv2.quantizer.delta:fill(10)
    watch.hooks.epoch { epoch = 2 }
    watch.hooks.epoch { epoch = 3 }
    local text = {}
    for _, w in ipairs(watch.messages) do text[#text + 1] = w.layer .. " " .. w.text end
    text = table.concat(text, "\n")
    assert.matches("conv2%.weight collapse", text)
    assert.matches("conv2%.weight the threshold is at its upper limit", text)
    assert.matches("fc1%.weight oscillation", text)
    assert.are.equal(4, #watch.messages) -- conv2's codes changed as well
    assert.has_no_error(function() trit.schemes.hooks(watch.hooks,
      { epoch = function() end }).epoch { epoch = 4 } end)
  end)
end)

describe("draws of quantizers", function()
  it("are new at every training forward, of (seed, layer, draw, place), and continue when loaded", function()
    local w = trit.randn({ 8, 50 }, { seed = 3, std = 0.5 })
    local function maker(salt, seed)
      local q = trit.quant.binaryconnect { mode = "stochastic", seed = seed or 0 }:reset(w)
      q.training, q.salt = true, salt
      return q
    end
    local a, b = maker(1), maker(1)
    local first = a(w)
    assert.is_true(first:equal(b(w)))
    assert.is_false(first:equal(a(w)))
    assert.is_false(first:equal(maker(2)(w)))
    assert.is_false(first:equal(maker(1, 7)(w)))
    local c = maker(1):load_state_dict(a:state_dict()) -- two draws were made
    assert.is_true(c(w):equal(a(w)))
    local sum = trit.zeros { 8, 50 }
    for _ = 1, 400 do sum = sum + a(w) end
    assert.is_true((sum / 400):max_difference(w:clamp { min = -1, max = 1 }) < 0.25)
    a.training = false
    assert.is_true(a(w):equal(w))
  end)

  it("hold more weights as the training goes on (INQ), and release none", function()
    local w = trit.randn({ 200 }, { seed = 4 }):requires_grad(true)
    local q = trit.quant.inq { bits = 2 }:reset(w)
    q.training = true
    local before = 0
    for _, step in ipairs { { 0, 100 }, { 0.3, 150 }, { 0.6, 175 }, { 0.8, 200 }, { 1, 200 } } do
      q:set_progress(step[1])
      w:zero_grad()
      q(w):backward(trit.ones { 200 })
      local held = q.held:eq(q.held):sum():item()
      assert.are.equal(step[2], held)
      assert.are.equal(200 - held, w.grad:sum():item())
      assert.is_true(held >= before)
      before = held
    end
  end)

  it("quantize a growing random share (RPR)", function()
    local w = trit.randn({ 2000 }, { seed = 4 }):requires_grad(true)
    local q = trit.quant.rpr { start = 0.4, draws = 4 }:reset(w)
    q.training = true
    for _, step in ipairs { { 0, 0.4 }, { 0.25, 0.6 }, { 0.5, 0.8 }, { 0.75, 1 } } do
      q:set_progress(step[1])
      w:zero_grad()
      q(w):backward(trit.ones { 2000 })
      assert.is_true(math.abs(1 - w.grad:mean():item() - step[2]) < 0.05)
    end
  end)
end)
