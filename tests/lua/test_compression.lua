-- tier: full
-- Pruning and compression: golden vectors, the file of Deep Compression, choosing channels.
local trit = require "trit"
local golden = require "tests.lua.golden"
local lfs = require "lfs"
local scratch = require "tests.lua.scratch"

local dir = scratch.dir "compression"
local SPEC = "shapes10:train=96,test=32,size=16"

describe("compression", function()
  local f, why = golden.open("quant_zoo.h5")
  if not f then
    pending(why)
    return
  end
  local channels, linear, huffman = require "trit.channels", require "trit.linear", require "trit.huffman"
  local function check(path, got, tolerance) golden.check(f, path, got, tolerance) end
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

  it("bridges distances at the width of the layer's kind", function()
    local index, n = {}, 200
    for i = 1, n do index[i] = i == n and 1 or 0 end
    local short = deep.encode_layer(index, { { 0.5 } }, n, 8)
    local long = deep.encode_layer(index, { { 0.5 } }, n, 5)
    assert.is_true(#long > #short) -- six fillers
    assert.are.equal(0.5, (deep.decode_layer(long, 1))[n])
  end)

  it("takes its numbers from the job", function()
    local net = function() return trit.models.small { classes = 10, seed = 1 } end
    local function train(o)
      local job = { model = net, data = trit.data.open(SPEC, { batch = 32, seed = 1 }), max_steps = 1,
        epochs = 2, from = net():state_dict(), quiet = true, out = dir .. "/deep" .. (o.rounds or "") }
      for k, v in pairs(o) do job[k] = v end
      local r, m = trit.methods.train("deep_compression", job)
      return m, r
    end
    local m = train {}
    local function clusters(layer) return layer.quantizer.centroids:shape()[2] end
    assert.are.same({ 255, 32 }, { clusters(m.conv1), clusters(m.fc1) }) -- 8 bits and 5
    local zeros = require("trit.train").sparsity(m)
    m = train { clusters_conv = 6, clusters_fc = 3, quality = 0.2, rounds = 2, distance_conv = 3,
      distance_fc = 2 }
    assert.are.same({ 6, 3 }, { clusters(m.conv2), clusters(m.fc2) })
    assert.is_true(require("trit.train").sparsity(m) < zeros - 0.2)
    local back = assert(deep.load(dir .. "/deep2/weights.dc"))
    assert.are.equal(m.conv1.weight:numel(), #back["conv1.weight"])
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
  teardown(function() scratch.remove(dir) end)
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
  it("samples as many places and filters as the job says", function()
    local channels = require "trit.channels"
    local contributions, seen = channels.contributions, nil
    channels.contributions = function(layer, input, weight, o, more)
      seen = { o.filters, o.places, o.fit_places }
      return contributions(layer, input, weight, o, more)
    end
    local function net() return trit.models.resnet8 { classes = 10, seed = 1 } end
    for _, name in ipairs { "thinet", "channel_pruning" } do
      trit.methods.train(name, { model = net, data = d, epochs = 1, from = net():state_dict(), max_steps = 1,
        images = 2, filters = 3, places = 5, fit_places = 70, quiet = true, log = false,
        out = dir .. "/" .. name })
      assert.are.same({ 3, 5, name == "channel_pruning" and 70 or nil }, seen)
    end
    channels.contributions = contributions
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
      assert.is_nil(channels.norm_of(trit.models.small {}, "conv2.weight"))
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
