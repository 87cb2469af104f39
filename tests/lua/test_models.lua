-- tier: fast
-- Networks by name: options and their errors, torchvision's names, shapes, initial weights.  Counts of the
-- large ones and training are in test_models_train.lua, values in test_models_peer.lua.
local trit = require "trit"

local function raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(pattern, 1, true), tostring(err))
  assert.is_truthy(tostring(err):find("test_models.lua:", 1, true), "no line of ours: " .. tostring(err))
end

describe("trit.models", function()
  it("lists every network and tells about each", function()
    local list, seen = trit.models.list(), {}
    for _, name in ipairs(list) do
      seen[name] = true
      local info = trit.models.info(name)
      assert.are.equal(name, info.name)
      assert.is_true(#info.doc > 0 and info.doc:sub(-1) ~= ".", name)
      for option, row in pairs(info.options) do
        assert.is_true(row[1] ~= nil and row.doc ~= nil, ("%s: %s"):format(name, option))
      end
    end
    for _, name in ipairs { "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "vgg7", "lenet5",
      "resnet18", "resnet34", "resnet50", "resnet101", "resnext50_32x4d", "resnext29_8x64d",
      "densenet_bc_100_12", "densenet121", "inception_v3", "mobilenet_v2", "alexnet_bn" } do
      assert.is_true(seen[name], name)
    end
  end)

  it("know themselves", function()
    local net = trit.models.resnet8 { classes = 7, size = 24, channels = 1 }
    assert.are.equal("resnet8", net.model_name)
    assert.are.same({ 1, 24, 24 }, net.input_shape)
    assert.are.equal(7, net.model_options.classes)
    assert.are.equal(16, net.model_options.width)
    assert.are.same({ 2, 7 }, net:eval()(trit.zeros { 2, 1, 24, 24 }):shape())
  end)

  it("put a batch norm behind the last layer on request, once", function()
    local net = trit.models.resnet8 { classes = 7, output_norm = true }
    assert.are.equal(7, net.output_norm.weight:numel())
    local x = trit.randn({ 16, 3, 16, 16 }, { seed = 1 })
    local y = trit.no_grad(function() return net(x) end)
    assert.is_true(y:mean { axes = { 1 } }:abs():max():item() < 1e-5)
    assert.is_nil(rawget(trit.models.vgg9 { width = 2, output_norm = true }, "output_norm"))
    local later = trit.models.norm_output(trit.models.resnet8 { classes = 7 })
    assert.is_true(later.model_options.output_norm)
    later:load_state_dict(net:state_dict())
    assert.is_true(trit.no_grad(function() return later(x) end):equal(y))
    local aux = trit.models.norm_output(trit.models.inception_v3 { classes = 3 })
    assert.are.equal(3, aux.output_norm.weight:numel())
  end)

  it("refuse wrong options at the script's line", function()
    raises('unknown model "resnet19"; known: alexnet_bn, ', trit.models.create, "resnet19")
    raises('unknown model "resnet19"', function() return trit.models.resnet19 end)
    raises('resnet20: unknown option "clases"; known: channels, classes, output_norm, seed, size, width',
      function() trit.models.resnet20 { clases = 10 } end)
    raises("resnet20: option classes is 0 but must lie in [1, inf]",
      function() trit.models.resnet20 { classes = 0 } end)
    raises("vgg7: option width takes a whole number, not 1.5",
      function() trit.models.vgg7 { width = 1.5 } end)
    raises('lenet5: option size takes a whole number, not "28"',
      function() trit.models.lenet5 { size = "28" } end)
    raises("mobilenet_v2: option width takes a number, not true",
      function() trit.models.mobilenet_v2 { width = true } end)
    raises("inception_v3: option aux takes true or false, not 1",
      function() trit.models.inception_v3 { aux = 1 } end)
    raises("inception_v3: the auxiliary head needs images of 299 pixels or more, size is 75",
      function() trit.models.inception_v3 { size = 75 } end)
    raises("resnet20: options must be a table, got number", function() trit.models.create("resnet20", 10) end)
  end)

  it("draw other weights from another seed and the same from the same", function()
    local a, b = trit.models.lenet5 { seed = 1 }, trit.models.lenet5 { seed = 1 }
    local c = trit.models.lenet5 { seed = 2 }
    assert.is_true(a.conv1.weight:equal(b.conv1.weight))
    assert.is_false(a.conv1.weight:equal(c.conv1.weight))
  end)

  local counts = { small = 1478, resnet8 = 75290, resnet20 = 269722, resnet32 = 464154, resnet44 = 658586,
    resnet56 = 853018, resnet110 = 1727962, lenet5 = 582634, vgg7 = 12979082, vgg_small = 4660106,
    vgg9 = 14029716,
    densenet_bc_40_12 = 176122, densenet_bc_100_12 = 769162, mobilenet_v2 = 3504872 }
  for name, count in pairs(counts) do
    it(("have the parameter count of %s"):format(name), function()
      assert.are.equal(count, trit.models.create(name):parameter_count())
    end)
  end

  -- One name of each kind, as torchvision writes it.
  local names = {
    vgg7 = { "features.0.weight", "features.1.running_mean", "features.7.weight", "classifier.0.weight",
      "classifier.3.bias" },
    densenet_bc_40_12 = { "features.conv0.weight", "features.denseblock1.denselayer1.norm1.weight",
      "features.denseblock3.denselayer6.conv2.weight", "features.transition2.conv.weight",
      "features.norm5.bias", "classifier.weight" },
    mobilenet_v2 = { "features.0.0.weight", "features.0.1.running_var", "features.1.conv.0.0.weight",
      "features.1.conv.1.weight", "features.2.conv.1.0.weight", "features.17.conv.3.bias",
      "features.18.0.weight", "classifier.1.weight" },
    resnet56 = { "layer1.8.conv2.weight", "layer3.0.bn1.running_var", "fc.bias" },
  }
  for name, wanted in pairs(names) do
    it(("name the layers of %s as torchvision does"):format(name), function()
      local state = trit.models.create(name):state_dict()
      for _, key in ipairs(wanted) do assert.is_truthy(state[key], key) end
    end)
  end

  it("round MobileNetV2's widths to multiples of 8, never more than a tenth down", function()
    local net = trit.models.mobilenet_v2 { width = 0.35 }
    local state = net:state_dict()
    assert.are.same({ 16, 3, 3, 3 }, state["features.0.0.weight"]:shape())        -- 11.2
    assert.are.same({ 8, 16, 1, 1 }, state["features.1.conv.1.weight"]:shape())   -- 5.6
    assert.are.same({ 56, 192, 1, 1 }, state["features.14.conv.2.weight"]:shape()) -- 0.35 * 160
    assert.are.same({ 10, 1280 },
      trit.models.mobilenet_v2 { width = 0.35, classes = 10 }:state_dict()["classifier.1.weight"]:shape())
  end)

  it("cut initial weights where a layer says so", function()
    local w = trit.nn.conv2d { 64, 64, kernel = 3, std = 0.1, cut = 2, seed = 5 }.weight
    assert.is_true(w:abs():max():item() <= 0.2)
    -- The standard deviation of a normal cut at 2 sigma is 0.8796 sigma; 36864 draws: 0.4 % apart.
    assert.is_true(math.abs(trit.std(w):item() - 0.08796) < 0.0015)
    assert.is_true(math.abs(trit.mean(w):item()) < 0.002)
    raises("randn: cut is", trit.randn, { 3 }, { cut = 0 })
  end)

  it("drop out at the places of the papers, in training only", function()
    local net = trit.models.mobilenet_v2 { size = 32, classes = 5, width = 0.1 }:eval()
    assert.are.equal(0.2, net.classifier["0"].p)
    local x = trit.randn({ 2, 3, 32, 32 }, { seed = 1 })
    trit.no_grad(function()
      assert.is_true(net(x):equal(net(x)))
      net:train()
      net.freeze_statistics = true
      assert.is_false(net(x):equal(net(x)))
    end)
    local dense = trit.models.densenet_bc_40_12 { dropout = 0.2 }
    assert.are.equal(0.2, dense.features.denseblock2.denselayer1.drop.p)
    assert.is_nil(rawget(trit.models.densenet_bc_40_12 {}.features.denseblock2.denselayer1, "drop"))
  end)

  it("are explained by trit.help", function()
    local real, text = io.write, {}
    io.write = function(...) -- luacheck: ignore 122
      for _, s in ipairs { ... } do text[#text + 1] = s end
    end
    trit.help "mobilenet_v2"
    io.write = real -- luacheck: ignore 122
    local all = table.concat(text)
    assert.is_truthy(all:find("trit.models.mobilenet_v2", 1, true))
    assert.is_truthy(all:find("multiplier of all channel counts  (default 1.0)", 1, true))
  end)
end)
