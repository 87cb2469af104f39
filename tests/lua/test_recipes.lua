-- tier: full
-- experiments/methods/recipes: every method has one, every one trains; options reach the training.
local trit = require "trit"
local context = require "trit.context"
local recipe = require "trit.methods_recipe"
local json = require "trit.json"
local lfs = require "lfs"
local scratch = require "tests.lua.scratch"

local dir = scratch.dir "recipes"

local HERE = "experiments/methods/recipes"
local NETWORK = { -- small ones of the same kind, where the recipe's own is large
  resnet18 = "resnet8", resnet56 = "resnet8", resnet20 = "resnet8", alexnet_bn = "vgg_small",
  vgg7 = "vgg_small", vgg9 = "vgg_small", lenet5 = "lenet5" }

-- Run a recipe as `trit run` does; returns the result it left, its declared options, its directory.
local function run(name, given)
  local out = ("%s/%s"):format(dir, name)
  for k in pairs(context) do context[k] = nil end
  context.script, context.argv, context.quiet, context.out = name, {}, true, out
  for k, v in pairs(given) do context.argv[k] = tostring(v) end
  dofile(("%s/%s.lua"):format(HERE, name))
  local file <close> = assert(io.open(out .. "/result.json")) -- luacheck: ignore
  return assert(json.decode(file:read("a"))), context.declared, out
end

local function network_of(name)
  for line in io.lines(("%s/%s.lua"):format(HERE, name)) do
    local model = line:match('model = "([%w_]+)"')
    if model then return NETWORK[model] end
  end
end

local function smoke(name, more)
  local given = { data = "shapes10:train=32,test=16,size=16", model = network_of(name), batch = 16,
    max_steps = 2, epochs = 2, pretrain = 1 }
  for k, v in pairs(more or {}) do given[k] = v end
  return run(name, given)
end

teardown(function()
  for k in pairs(context) do context[k] = nil end
  scratch.remove(dir)
end)

describe("experiments/methods/recipes", function()
  local files = {}
  for file in lfs.dir(HERE) do files[#files + 1] = file:match("^([%w_]+)%.lua$") end
  table.sort(files)

  for _, name in ipairs(files) do
    it("trains " .. name, function()
      local result, declared, out = smoke(name)
      assert.is_true(result.top1 >= 0 and result.loss == result.loss)
      assert.is_truthy(trit.checkpoint.load(out).tensors)
      for option, row in pairs(declared) do
        assert.is_truthy(row.doc, option .. " has no doc")
      end
    end)
  end

  it("has one for every family of methods", function()
    for file in lfs.dir("lua/trit/methods") do
      local name = file:match("^([%w_]+)%.lua$")
      if name and name ~= "init" then
        assert.is_truthy(lfs.attributes(("%s/%s.lua"):format(HERE, name)), "no recipe for " .. name)
      end
    end
  end)

  for name, variants in pairs { apprentice = { "apprentice_a", "apprentice_b" }, xnor = { "xnor" },
    dorefa = { "dorefa_w1a2" }, deep_compression = { "magnitude" } } do
    for _, variant in ipairs(variants) do
      it("trains the variant " .. variant, function()
        assert.are.equal(variant, smoke(name, { method = variant,
          start = variant == "apprentice_b" and "float" or nil }).method)
      end)
    end
  end
end)

describe("options of recipes", function()
  -- The layers of the run's configuration, without first and last.
  local function layers(name, more)
    local _, _, out = smoke(name, more)
    local log <close> = assert(trit.h5.open(out .. "/run.h5")) -- luacheck: ignore
    local list = assert(json.decode(log:read_strings("config")[1])).layers
    return list[2], list[#list]
  end
  local function activation(name, more)
    local inner = layers(name, more).activation
    return inner and inner.name or "none", inner and inner.options or {}
  end

  it("choose DoReFa's bits of activations and gradients", function()
    local kind, o = activation("dorefa", { activation_bits = 3, gradient_bits = 5 })
    assert.are.same({ "dorefa", 3, 5 }, { kind, o.bits, o.gradient_bits })
    kind, o = activation("dorefa", { method = "dorefa_w1a2g6" })
    assert.are.same({ "dorefa", 2, 6 }, { kind, o.bits, o.gradient_bits })
    local _, last = layers("dorefa", { method = "dorefa_w1a2", gradient_bits = 4 })
    assert.are.equal(0, last.activation.options.bits)
    assert.are.equal("none", (activation "dorefa"))
  end)

  it("choose the input scale, LQ-Nets' basis, LSQ's and PACT's activations", function()
    local kind, o = activation("xnor", { method = "xnor", input_scale = true })
    assert.are.same({ "xnor", true }, { kind, o.input_scale })
    assert.are.equal("none", (activation("xnor", { method = "bwn", input_scale = true })))
    kind, o = activation("lqnets", { activation_bits = 3 })
    assert.are.same({ "lqnets", 3 }, { kind, o.bits })
    kind, o = activation("lsq", { activations = "lsq" })
    assert.are.same({ "lsq", 3 }, { kind, o.qp })
    kind, o = activation("lsq", { activations = "pact", activation_bits = 4 })
    assert.are.same({ "pact", 4 }, { kind, o.bits })
    assert.are.equal("none", (activation "lsq"))
  end)

  it("start LQ-Nets' average without memory, as its code does", function()
    assert.is_true(layers("lqnets").options.zero_debias)
    local tied = layers("lqnets", { method = "lqnets_ternary", zero_debias = false }).options
    assert.are.same({ true, false }, { tied.ternary, tied.zero_debias })
  end)
end)

describe("trit.methods.recipe", function()
  it("reads schedules, and moves published epochs with the length of the training", function()
    local s = recipe.schedule("0.1@80+0.5@160", 1, 200, 200)
    assert.are.same({ 1, 0.1, 0.05 }, { s:rate(1, 79.9), s:rate(1, 80), s:rate(1, 160) })
    s = recipe.schedule("0.1@80+0.5@160", 1, 20, 200)
    assert.are.same({ 1, 0.1, 0.05 }, { s:rate(1, 7.9), s:rate(1, 8), s:rate(1, 16) })
    s = recipe.schedule("to:2e-6", 3e-3, 500, 500)
    assert.is_true(math.abs(s:rate(3e-3, 500) - 2e-6) < 1e-12)
    assert.are.equal(3e-3, recipe.schedule("constant", 3e-3, 5, 5):rate(3e-3, 4))
    assert.is_true(recipe.schedule("cosine", 1, 10, 10):rate(1, 10) < 1e-12)
    local ok, why = pcall(recipe.schedule, "0.1at80", 1, 10, 10)
    assert.is_false(ok)
    assert.matches('option %-%-schedule: "0.1at80" is no FACTOR@EPOCH', why)
  end)

  it("ends the weight decay where the source does", function()
    local seen = {}
    local define = trit.methods.define
    define { name = "watched", doc = "float, watched", start = "scratch", hooks = function()
      return { step = function(r) seen[#seen + 1] = r.optimizer.groups[1].options.weight_decay end }
    end }
    for k in pairs(context) do context[k] = nil end
    context.argv, context.quiet, context.out = {}, true, dir .. "/watched"
    trit.methods.recipe { method = "watched", data = "shapes10:train=32,test=16,size=16", model = "resnet8",
      augment = "", schedule = "cosine", epochs = 3, batch = 16, weight_decay = 0.5, decay_epochs = 2 }
    assert.are.same({ 0.5, 0.5, 0.5, 0.5, 0, 0 }, seen)
  end)

  it("hands the numbers of a method to it", function()
    local given = { deep_compression = { "quality", "clusters_conv", "clusters_fc", "rounds", "distance_conv",
      "distance_fc" }, uniq = { "blocks", "passes", "share" }, admm = { "rho", "growth", "refreshes" },
      thinet = { "filters", "places" }, channel_pruning = { "filters", "places", "fit_places" },
      bayes = { "kl_share" } }
    local train, seen = trit.methods.train, nil
    trit.methods.train = function(_, job)
      seen = job
      error "seen"
    end
    for name, options in pairs(given) do
      pcall(smoke, name)
      for _, option in ipairs(options) do
        assert.is_not_nil(seen[option], ("%s does not get %s"):format(name, option))
      end
    end
    trit.methods.train = train
  end)

  it("takes the loss of the option where the recipe names one, over the method's own", function()
    local seen
    trit.methods.define { name = "own_loss", doc = "float, with a loss", start = "scratch",
      loss = function() return function(logits, y)
        seen = true
        return trit.core.ops.squared_hinge(logits, y)
      end end }
    local function trained(loss)
      seen = nil
      for k in pairs(context) do context[k] = nil end
      context.argv, context.quiet, context.out = {}, true, dir .. "/own_loss"
      trit.methods.recipe { method = "own_loss", data = "shapes10:train=32,test=16,size=16",
        model = "resnet8", augment = "", epochs = 1, batch = 16, loss = loss, max_steps = 1 }
      return seen
    end
    assert.is_true(trained())
    assert.is_nil(trained "cross_entropy")
    assert.is_nil(trained "squared_hinge")
  end)

  it("says which field it does not know", function()
    local ok, why = pcall(trit.methods.recipe, { method = "twn", rate = 1 })
    assert.is_false(ok)
    assert.matches('methods.recipe: unknown field "rate"', why)
  end)

  it("hands its options to the training", function()
    local _, _, out = smoke("ttq", { lr = 0.25, weight_decay = 0.003 })
    local log <close> = assert(trit.h5.open(out .. "/run.h5")) -- luacheck: ignore
    local config = assert(json.decode(log:read_strings("config")[1]))
    local rule = config.optimizer.groups[1].options
    assert.are.equal(0.25, rule.lr)
    assert.are.equal(0.003, rule.weight_decay)
    assert.is_false(rule.nesterov)
    assert.are.same({ 82 * 2 / 400, 123 * 2 / 400, 300 * 2 / 400 }, config.schedule.options.milestones)
    assert.are.equal("float", config.layers[1].quantizer)
    assert.are.equal("ttq", config.layers[#config.layers].quantizer)
    assert.are.equal(1, config.layers[2].options.scale_init)
    local _, _, other = smoke("tga", { lr_th = 0.5 })
    local run_file <close> = assert(trit.h5.open(other .. "/run.h5")) -- luacheck: ignore
    config = assert(json.decode(run_file:read_strings("config")[1]))
    assert.are.equal("adam", config.optimizer.name)
    assert.are.equal(5e-5, config.threshold_optimizer.groups[1].options.lr)
    local _, _, third = smoke("apprentice", { lr = 0.25, weight_decay = 0.003 }) -- has its own training
    local apprentice <close> = assert(trit.h5.open(third .. "/run.h5")) -- luacheck: ignore
    config = assert(json.decode(apprentice:read_strings("config")[1]))
    assert.are.equal("sgd", config.optimizer.name)
    assert.are.equal(0.25, config.optimizer.groups[1].options.lr)
    assert.are.equal(0.003, config.optimizer.groups[1].options.weight_decay)
  end)
end)
