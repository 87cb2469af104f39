-- tier: full
-- trit.methods and trit.schemes: methods train by name, schedules follow the progress, state survives.
local trit = require "trit"
local golden = require "tests.lua.golden"
local lfs = require "lfs"
local uv = require "luv"

local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/trit-methods-XXXXXX"))
uv.os_setenv("TRIT_CACHE", dir .. "/cache")
local SPEC = "shapes10:train=96,test=32,size=16"

local function data() return trit.data.open(SPEC, { batch = 32, seed = 1 }) end

local function fails(fragment, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "no error; expected: " .. fragment)
  assert.is_truthy(tostring(message):find(fragment, 1, true), tostring(message))
end

local function remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then remove(path .. "/" .. name) end
    end
  end
  os.remove(path)
end

local function net() return trit.models.small { classes = 10, seed = 1 } end

describe("trit.methods", function()
  teardown(function() remove(dir) end)

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

  it("count no epoch of a partly float network as the best", function()
    for _, name in ipairs { "inq", "uniq" } do
      local result = trit.methods.train(name, { model = net, data = data(), epochs = 3, pretrain = 1,
        quiet = true, log = false, out = dir .. "/best_" .. name })
      assert.are.equal(result.top1, result.best_top1)
    end
  end)

  it("say what is wrong", function()
    fails('methods: none is called "none"; known: float, ', trit.methods.train, "none", {})
    fails("methods.train: the job needs model", trit.methods.train, "twn", {})
    fails("pretrain is 3 of 3 epochs and leaves none", trit.methods.train, "twn",
      { model = net, data = data(), epochs = 3, pretrain = 3 })
    fails('unknown field "wights"', trit.methods.define, { name = "x", doc = "d", wights = 1 })
  end)

  -- A method of one's own, as in the README.
  it("take one more in under twenty lines", function()
    local quant = trit.quant
    local percentile = quant.define {
      name = "percentile_method", doc = "the smallest half of |w| becomes 0",
      params = { q = { 0.5, min = 0, max = 1, doc = "share of zeros" } },
      fit = function(w, p) return { hi = w:abs():quantile { q = p.q } } end,
      ste = "clip1",
    }
    trit.methods.define { name = "half_zeros", doc = "half of the weights are 0, float for the first half",
      weights = percentile { q = 0.5 }, start = "scratch",
      prepare = function(model) trit.schemes.delay(model, { share = 0.5 }) end,
      published = { { set = "none", network = "none", degradation = 0, source = "ours" } },
    }
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
  local function check(path, got, tolerance)
    local e = golden.error(got, f:read_numbers(path))
    assert.is_true(e <= tolerance, ("%s is off by %.2g"):format(path, e))
  end
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
    check(case .. "/out/grad_w_sgd", m.release_gradient(w.grad, w:shape(), true), 1e-5)
    check(case .. "/out/grad_w_adam", m.release_gradient(w.grad, w:shape(), false), 1e-5)
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

describe("compression", function()
  local f, why = golden.open("quant_zoo.h5")
  if not f then
    pending(why)
    return
  end
  local channels, linear, huffman = require "trit.channels", require "trit.linear", require "trit.huffman"
  local function check(path, got, tolerance)
    local e = golden.error(got, f:read_numbers(path))
    assert.is_true(e <= tolerance, ("%s is off by %.2g"):format(path, e))
  end
  local function weights(path)
    local t = f:read(path)
    return trit.zeros(t:shape(), { layout = "hwio" }):copy(t):requires_grad(true)
  end
  local zoo = {}

  function zoo.prune_magnitude(case, a)
    local q, w = trit.quant.pruned { quality = a.quality }, weights(case .. "/in/w")
    q(w):backward(f:read(case .. "/in/g"))
    check(case .. "/out/mask", q.mask, 0)
    check(case .. "/out/grad_w", w.grad, 1e-6)
    check(case .. "/out/threshold", { q:stats()[1].delta }, 1e-6)
  end

  function zoo.kmeans_share(case, a)
    local w = weights(case .. "/in/w")
    w:copy(w:detach() * f:read(case .. "/in/mask"))
    local one = trit.quant.shared { clusters = a.clusters, rounds = 1 }:reset(w)
    check(case .. "/out/centroids_1", one.centroids, 1e-6)
    local q = trit.quant.shared { clusters = a.clusters, rounds = a.rounds }
    local wq = q(w)
    check(case .. "/out/centroids", q.centroids, 1e-6)
    check(case .. "/out/wq", wq, 1e-6)
    wq:backward(f:read(case .. "/in/g"))
    check(case .. "/out/grad_centroids", q.centroids.grad, 1e-5)
  end

  function zoo.bayes_by_backprop(case, a)
    local mu = weights(case .. "/in/mu")
    local q = trit.quant.bayes { kl = 1, pi = a.prior_pi, sigma1 = a.prior_sigma1,
      sigma2 = a.prior_sigma2 }
    q:reset(mu).rho:copy(f:read(case .. "/in/rho"))
    q.handle:phase(true, 0, 0)
    local eps = f:read(case .. "/in/eps")
    local w = q.handle:apply_noise(eps, mu, q.rho, q.draws)
    check(case .. "/out/w", w, 1e-6)
    w:backward(f:read(case .. "/in/g_data"))
    check(case .. "/out/grad_mu", mu.grad, 1e-5)
    check(case .. "/out/grad_rho", q.rho.grad, 1e-5)
  end

  function zoo.huffman(case)
    local symbols = {}
    for i, v in ipairs(f:read_numbers(case .. "/in/data")) do symbols[i] = math.tointeger(v) end
    local counts = huffman.count(symbols)
    local code = huffman.build(counts)
    check(case .. "/out/total_bits", { huffman.bits(code.lengths, counts) }, 0)
    local bytes = huffman.encode(code, symbols)
    assert.are.equal((huffman.bits(code.lengths, counts) + 7) // 8, #bytes)
    assert.are.same(symbols, huffman.decode(code, bytes, #symbols))
    local _, reason = huffman.decode(code, bytes:sub(1, 3), #symbols)
    assert.are.equal("huffman: the bits end early", reason)
  end

  function zoo.lasso(case, a)
    local beta = linear.lasso(f:read(case .. "/in/Z"):totable(), f:read_numbers(case .. "/in/y"), a.lam)
    check(case .. "/out/beta", beta, 1e-6)
  end

  function zoo.thinet_greedy(case, a)
    local X = f:read(case .. "/in/x"):totable()
    local y = {}
    for r, row in ipairs(X) do
      y[r] = 0
      for _, v in ipairs(row) do y[r] = y[r] + v end
    end
    local removed, kept = channels.greedy(X, a.remove)
    local function from_zero(list) for i, v in ipairs(list) do list[i] = v - 1 end return list end
    check(case .. "/out/scales", channels.scales(X, y, kept), 1e-5)
    check(case .. "/out/removed", from_zero(removed), 0)
    check(case .. "/out/kept", from_zero(kept), 0)
  end

  for _, case in ipairs(f:list("")) do
    local a = f:attrs(case)
    if zoo[a.method] then
      it("has " .. case, function() zoo[a.method](case, a) end)
    end
  end
end)

describe("deep compression's file", function()
  local deep = require "trit.methods.deep_compression"

  it("bridges long distances and reads back what was written", function()
    local index = {}
    for i = 1, 1000 do index[i] = 0 end
    index[3], index[600], index[601], index[1000] = 2, 1, 2, 1
    local gaps, numbers = deep.relative(index, 8)
    assert.are.same({ 3, 255, 255, 87, 1, 255, 144 }, gaps)
    assert.are.same({ 2, 0, 0, 1, 2, 0, 1 }, numbers)
    local text = deep.encode_layer(index, { { 0.5, -0.25 } }, 1000)
    local w = deep.decode_layer(text, 1)
    for i = 1, 1000 do
      local want = index[i] == 0 and 0 or ({ 0.5, -0.25 })[index[i]]
      assert.are.equal(want, w[i])
    end
  end)

  it("holds the network it was made of", function()
    local m = trit.quantize(trit.models.small { classes = 4, seed = 1 }, { { ".*", trit.quant.pruned {} } })
    for _, layer in m:quantizable() do layer.weight:copy(layer.weight * layer.quantizer.mask) end
    trit.quantize(m, { { ".*", trit.quant.shared { clusters = 7 } } })
    local path = os.tmpname()
    local bytes, plain = deep.save(m, path)
    assert.are.equal(lfs.attributes(path, "size"), bytes)
    assert.is_true(bytes < plain / 4)
    local back = assert(deep.load(path))
    for name, layer in m:quantizable() do
      local flat = trit.reshape(layer.quantizer(layer.weight):detach(), { shape = { layer.weight:numel() } })
      assert.are.same(flat:totable(), trit.tensor(back[name]):totable())
    end
    os.remove(path)
    assert.is_nil((deep.load(path)))
  end)
end)

describe("choosing channels", function()
  local d = trit.data.open(SPEC, { batch = 32, seed = 1 })
  local x, y = require("trit.channels").batch(d, 8)

  local function pruned(name, f)
    it(("leaves half of the inner channels and a working network: %s"):format(name), function()
      local m = trit.models.resnet8 { classes = 10, seed = 1 }
      f(m)
      local q = m:find("layer2.0.conv2").quantizer
      local mask = q.mask:totable()
      local kept = 0
      for c = 1, 32 do
        kept = kept + mask[1][c][1][1]
        for k = 1, 32 do assert.are.equal(mask[1][c][1][1], mask[k][c][3][2]) end
      end
      assert.are.equal(16, kept)
      assert.are.equal(0.5, select(1, q:stats(m:find("layer2.0.conv2").weight)[1].occupancy[2]))
      local maker = m:find("layer2.0.conv1").quantizer.mask:totable()
      for c = 1, 32 do assert.are.equal(mask[1][c][1][1], maker[c][1][1][1]) end
      assert.are.same({ 8, 10 }, m:eval()(x):shape())
    end)
  end

  pruned("thinet", function(m) require("trit.methods.thinet").prune(m, x, { filters = 4, places = 4 }) end)
  pruned("channel_pruning", function(m)
    local original = trit.models.resnet8 { classes = 10, seed = 1 }
    require("trit.methods.channel_pruning").prune(m, original, x, { filters = 4, places = 4 })
  end)
  pruned("dcp", function(m)
    local original = trit.models.resnet8 { classes = 10, seed = 1 }
    require("trit.methods.dcp").prune(m, original, x, y, { classes = 10 })
  end)

  describe("by LASSO", function()
    local channels, prune = require "trit.channels", require("trit.methods.channel_pruning").prune
    local images = require("trit.channels").batch(d, 16)

    -- A network with statistics of its own, and a copy.
    local function pair()
      local a, b = trit.models.resnet14 { classes = 10, seed = 1 }, trit.models.resnet14 { classes = 10 }
      a:train()
      trit.no_grad(function()
        for name, m in a:named_modules() do
          if m.kind == "batch_norm" then
            m.weight:copy(trit.rand(m.weight:shape(), { seed = #name }) + 0.5)
            m.bias:copy(trit.randn(m.bias:shape(), { seed = #name + 7 }) * 0.3)
            m.momentum = 0.5
          end
        end
        for _ = 1, 8 do a(images) end
      end)
      b:load_state_dict(a:state_dict())
      return a:eval(), b:eval()
    end

    -- Mean square of what a module gives more in one network than in the other, and its mean's.
    local function off(a, b, name)
      local e = channels.output_of(a, a:find(name), images) - channels.output_of(b, b:find(name), images)
      local mean = e:mean { axes = { 1, 3, 4 } }
      return (e * e):mean():item(), (mean * mean):mean():item()
    end

    it("mends the shortcut's error with the end of the branch", function()
      local function error_of(mended)
        local original, m = pair()
        trit.no_grad(function()
          m.conv1.weight:copy(m.conv1.weight + trit.randn(m.conv1.weight:shape(), { seed = 9 }) * 0.05)
        end)
        local block_of = channels.block_of
        if not mended then channels.block_of = function() end end
        prune(m, original, images, { keep = 1, filters = 4, places = 4 })
        channels.block_of = block_of
        return (off(m, original, "layer1.1"))
      end
      assert.is_true(error_of(true) < 0.85 * error_of(false)) -- the branch cannot give all of it
      local original, m = pair()
      assert.are.equal(m:find("layer1.1"), channels.block_of(m, "layer1.1.conv2.weight"))
      assert.is_nil(channels.block_of(m, "layer1.1.conv1.weight"))
      assert.is_nil(channels.block_of(original, "fc.weight"))
    end)

    it("fits a bias, which the batch norm takes", function()
      local original, m = pair()
      local mean = m:find("layer1.0.bn2").running_mean:clone()
      prune(m, original, images, { keep = 0.5, filters = 4, places = 4 })
      assert.is_true(m:find("layer1.0.bn2").running_mean:max_difference(mean) > 1e-3)
      local all, of_mean = off(m, original, "layer1.0.bn2")
      assert.is_true(all > 0 and of_mean < 0.02 * all, of_mean .. " of " .. all)
    end)

    it("finds the batch norm behind a layer", function()
      local vgg = trit.models.vgg_small {}
      assert.are.equal(vgg:find("features.4"), channels.norm_of(vgg, "features.3.weight"))
      assert.is_nil(channels.norm_of(vgg, "classifier.0.weight"))
      assert.is_nil(channels.norm_of(net(), "conv2.weight"))
    end)
  end)

  it("parts a network into stages with losses along it (DCP)", function()
    local dcp = require "trit.methods.dcp"
    local m = trit.models.resnet20 { classes = 10, seed = 1 }
    local stages = dcp.stages(m, x, { classes = 10, losses = 2 })
    local counts = {}
    for p, stage in ipairs(stages) do counts[p] = #stage.targets end
    assert.are.same({ 3, 3, 3 }, counts)
    assert.are.equal(m:find("layer1.2"), stages[1].module)
    assert.are.equal(m:find("layer2.2"), stages[2].module)
    assert.is_nil(stages[3].head)
    assert.are.equal(32, stages[2].head["0"].weight:numel())
    assert.are.equal(3, #dcp.stages(trit.models.resnet56 {}, x, { classes = 10 }) - 1)
    assert.are.equal(2, #dcp.stages(trit.models.resnet8 {}, x, { classes = 10 }) - 1)
  end)

  it("weighs a layer by its own error and by the stage's loss through the network (DCP)", function()
    local dcp, channels = require "trit.methods.dcp", require "trit.channels"
    local m = trit.models.resnet8 { classes = 10, seed = 1 }
    m:eval()
    local stage = dcp.stages(m, x, { classes = 10 })[2]
    stage.head:eval()
    local layer = m:find("layer2.0.conv2")
    local want = channels.output_of(m, layer, x)
    local logits = trit.no_grad(function()
      return stage.head(channels.output_of(m, stage.module, x)):keep()
    end)
    local function near(a, b) assert.is_true(math.abs(a - b) < 1e-4 * (1 + math.abs(b)), a .. " " .. b) end
    local loss = trit.cross_entropy(logits, y):item()
    near(dcp.objective(m, layer, stage, x, y, want, 1):item(), loss) -- no error of its own
    near(dcp.objective(m, layer, stage, x, y, want * 0, 0):item(), (want * want):mean():item() / 2)
    -- an earlier layer of the stage reaches the head through what is between
    local first = m:find("layer2.0.conv1").weight
    first:zero_grad()
    dcp.objective(m, m:find("layer2.0.conv1"), stage, x, y, want * 0, 1):backward()
    assert.is_true(first.grad:abs():sum():item() > 0)
    local later = m:find("layer3.0.conv1").weight.grad
    assert.is_true(later == nil or later:abs():sum():item() == 0)
  end)

  it("takes up channels greedily and moves only those taken (DCP)", function()
    local dcp = require "trit.methods.dcp"
    local want = trit.randn({ 1, 6, 1, 1 }, { seed = 3 }) -- L = |w - want|^2 / 2: dL/dw = w - want at 0
    local start = trit.randn({ 1, 6, 1, 1 }, { seed = 4 })
    local w = start:clone():requires_grad(true)
    local function objective()
      local off = w - want
      return (off * off):sum() * 0.5
    end
    local order, target = {}, want:totable()[1]
    for j = 1, 6 do order[j] = j end
    table.sort(order, function(a, b) return math.abs(target[a][1][1]) > math.abs(target[b][1][1]) end)
    local kept = dcp.select(w, objective, { keep = 3, step = 0.5, steps = 2 })
    assert.are.same({ order[1], order[2], order[3] }, kept)
    for j = 1, 6 do -- the first taken made 6 steps of half the way, the last 2
      local at = 0
      for k, i in ipairs(kept) do at = i == j and k or at end
      local left = at > 0 and 0.5 ^ (2 * (4 - at)) or 1
      local from, goal = start:totable()[1][j][1][1], at > 0 and target[j][1][1] or nil
      goal = goal or from
      assert.is_true(math.abs(w:detach():totable()[1][j][1][1] - (goal + (from - goal) * left)) < 1e-5)
    end
    -- each channel must lower L by the share epsilon of the first
    w:copy(start)
    assert.is_true(#dcp.select(w, objective, { keep = 6, step = 1, steps = 1, epsilon = 0.2 }) < 6)
  end)

  it("sees a layer's outputs as sums over its inputs", function()
    local channels = require "trit.channels"
    local m = trit.models.resnet8 { classes = 10, seed = 1 }
    local layer = m:find("layer1.0.conv2")
    local input = channels.input_of(m, layer, x)
    assert.are.same({ 8, 16, 16, 16 }, input:shape())
    assert.is_true(input:min():item() >= 0) -- behind a ReLU
    local X, sums = channels.contributions(layer, input, layer.weight:detach(), { filters = 3, places = 5 })
    assert.are.equal(3 * 5 * 8, #X)
    local out = trit.no_grad(function() return layer(input):keep() end)
    local found, all = 0, {}
    for _, image in ipairs(out:totable()) do
      for _, map in ipairs(image) do
        for _, row in ipairs(map) do for _, v in ipairs(row) do all[#all + 1] = v end end
      end
    end
    table.sort(all)
    for _, s in ipairs(sums) do -- every sampled sum is one of the layer's outputs
      local lo, hi = 1, #all
      while lo < hi do
        local mid = (lo + hi) // 2
        if all[mid] < s - 1e-4 then lo = mid + 1 else hi = mid end
      end
      if math.abs(all[lo] - s) < 1e-4 then found = found + 1 end
    end
    assert.are.equal(#sums, found)
  end)
end)
