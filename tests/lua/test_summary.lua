-- tier: fast
-- trit.summary and `trit summary`: counts that can be checked by hand.
local trit = require "trit"
local json = require "trit.json"

local source = os.getenv("TRIT_SOURCE") or "."

--- Output and exit status of the command.
local function run(words)
  local pipe = assert(io.popen(("%s/trit summary %s 2>&1; echo $?"):format(source, words)))
  local text = pipe:read("a")
  pipe:close()
  local body, status = text:match("^(.*)%f[%d](%d+)\n$")
  return body, tonumber(status)
end

local function layer(s, name)
  for _, l in ipairs(s.layers) do
    if l.name == name then return l end
  end
end

describe("trit.summary", function()
  it("counts a float network", function()
    local s = trit.summary(trit.models.resnet20 {})
    assert.are.equal("resnet20", s.model)
    assert.are.equal(269722, s.total.parameters)
    -- conv1 3*16*9*1024, stages of 6 3x3 layers, the first of stage 2 and 3 from half the channels, fc
    local macs = 1024 * 9 * (3 * 16 + 6 * 16 * 16) + 256 * 9 * (16 * 32 + 5 * 32 * 32)
      + 64 * 9 * (32 * 64 + 5 * 64 * 64) + 640
    assert.are.same({ float = macs, ternary = 0 }, s.total.macs)
    assert.are.equal(32, s.total.bits)
    local conv = layer(s, "layer2.0.conv1")
    assert.are.same({ 16, 32, 32 }, conv.input)
    assert.are.same({ 32, 16, 16 }, conv.output)
    assert.are.equal(4608, conv.parameters)
    assert.are.equal(4 * 4608, conv.bytes.packed)
    -- 269722 parameters and two running statistics for each of 688 channels
    assert.are.equal(4 * (269722 + 2 * 688), s.total.bytes.float)
  end)

  it("counts ternary layers, their terms and scales", function()
    local net = trit.models.resnet20 { channels = 1 }
    trit.quantize(net, { { "^fc", false }, { ".*", trit.quant.twn { granularity = "filter" } } })
    local s = trit.summary(net)
    local conv = layer(s, "conv1") -- 16 rows of 9 weights
    assert.are.equal("ternary", conv.weights)
    assert.are.equal(16 * 3 + 4 * 16, conv.bytes.packed)
    assert.are.equal(16 * 2 + 4 * 16, conv.bytes.archive)
    assert.are.equal("float", layer(s, "fc").weights)
    assert.are.equal(640, s.total.macs.float)
    assert.are.equal(640, s.total.weights.float)
    local expanded = trit.models.resnet8 {}
    trit.quantize(expanded, { { ".*", trit.quant.wacv { t_ex = 2 } } })
    local plain = trit.summary(trit.models.resnet8 {})
    assert.are.equal(2 * plain.total.macs.float, trit.summary(expanded).total.macs.ternary)
  end)

  it("leaves the quantizers of activations where they are", function()
    local net = trit.models.resnet8 { size = 16, seed = 1 }
    trit.quantize_activations(net, { { "^conv1%.", false }, { ".*", trit.act.dorefa { bits = 1 } } })
    local x = trit.randn({ 2, 3, 16, 16 }, { seed = 1 })
    net:eval()
    local before = trit.no_grad(function() return net(x) end)
    trit.summary(net)
    assert.is_true(before:equal(trit.no_grad(function() return net(x) end)))
  end)

  it("counts groups, and leaves the network as it was", function()
    local net = trit.models.mobilenet_v2 { classes = 10, size = 32 }:train()
    local before = net.features["0"]["1"].running_mean:clone()
    local s = trit.summary(net)
    local depthwise = layer(s, "features.2.conv.1.0")
    assert.are.equal(96 * 9 * 8 * 8, depthwise.macs)
    assert.is_true(net.training)
    assert.is_true(before:equal(net.features["0"]["1"].running_mean))
    assert.is_nil(rawget(net.features["0"]["1"], "forward"))
    assert.is_true(trit.core.grad_enabled())
    -- other sizes on request
    local twice = trit.summary(net, { input = { 3, 64, 64 } })
    assert.are.equal(4 * depthwise.macs, layer(twice, "features.2.conv.1.0").macs)
  end)

  it("marks what evaluation passes by", function()
    local Net = trit.nn.class("two_heads")
    function Net:init() self.a, self.b = trit.nn.linear { 3, 4 }, trit.nn.linear { 3, 5 } end
    function Net:forward(x) return self.a(x), self.training and self.b(x) or nil end
    local ok, err = pcall(trit.summary, Net())
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("test_summary.lua:%d+: summary: the model has no input_shape"))
    local s = trit.summary(Net(), { input = { 3 } })
    assert.are.equal(12, s.total.macs.float)
    assert.is_nil(layer(s, "b").output)
    assert.are.equal(36, s.total.parameters)
  end)
end)

describe("trit summary", function()
  it("prints a table and a total", function()
    local text, status = run "lenet5 --quant tga"
    assert.are.equal(0, status)
    assert.is_truthy(text:find("lenet5, input 1x28x28, weights tga", 1, true), text)
    assert.is_truthy(text:find("conv1 +conv2d +1x28x28 +32x24x24 +800 +460.80 k +ternary"), text)
    assert.is_truthy(text:find("parameters  582634", 1, true), text)
    assert.is_truthy(text:find("KiB archive (1/", 1, true), text)
  end)

  it("prints JSON", function()
    local text, status = run "resnet8 --json --size 16 --classes 4 --quant twn --float '^fc'"
    assert.are.equal(0, status)
    local s = assert(json.decode(text))
    assert.are.same({ 3, 16, 16 }, s.input)
    assert.are.equal("twn", s.quantizer)
    assert.are.equal(256, s.total.macs.float)
  end)

  it("explains mistakes", function()
    local cases = { { "", 2, "a network is needed" }, { "resnet19", 1, 'unknown model "resnet19"' },
      { "resnet8 --quant x", 1, 'unknown quantizer "x"; known: ' },
      { "resnet8 --size x", 2, "takes a whole number" },
      { "resnet8 --float a", 2, "--float needs --quant" },
      { "resnet8 --quant twn --float nothing", 1, 'no layer uses rule 1 ("nothing")' } }
    for _, c in ipairs(cases) do
      local text, status = run(c[1])
      assert.are.equal(c[2], status, text)
      assert.is_truthy(text:find(c[3], 1, true), text)
      assert.are.equal(1, select(2, text:gsub("\n", "")), text)
    end
    assert.is_truthy((run "--list"):find("resnet20 +ResNet"))
  end)
end)
