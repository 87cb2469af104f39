-- tier: fast
-- ONNX export as far as it can be looked at without ONNX: errors, bytes of codes, supported ops.  Values
-- are compared in test_onnx_peer.lua.
local trit = require "trit"
local core = require "trit.core"

local path = os.tmpname()

local function raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(pattern, 1, true), tostring(err))
  assert.is_truthy(tostring(err):find("test_onnx.lua:", 1, true), tostring(err))
end

describe("onnx", function()
  teardown(function() os.remove(path) end)

  it("packs codes four in a byte from the low bits", function()
    local codes = trit.tensor { 1, 0, -1, 1, -1, -2 }
    assert.are.equal(string.char(0x1 | 0x3 << 4 | 0x1 << 6, 0x3 | 0x2 << 2), core.to_bytes(codes, "i2"))
    raises("number 1 is 2, not one of -2, -1, 0, 1", core.to_bytes, trit.tensor { 0, 2 }, "i2")
    assert.are.equal("\127\128\2\254", core.to_bytes(trit.tensor { 300, -300, 2.5, -2 }, "i8"))
    raises("written as f32, f16, bf16 or i8", core.to_bytes, codes, "u8")
  end)

  it("says what it cannot write, and where options are wrong", function()
    local net = trit.models.small { size = 8 }
    raises('option weights is "int4" but must be', trit.onnx.save, path, net, { weights = "int4" })
    raises('unknown option "weight"; known: input, weights', trit.onnx.save, path, net, { weight = "int8" })
    raises("the network has no input_shape", trit.onnx.save, path, trit.nn.linear { 2, 2 })
    local Odd = trit.nn.class("odd")
    function Odd:forward(x) return trit.argmax(x, { axis = 2 }) end -- luacheck: ignore self
    local ok, why = trit.onnx.save(path, Odd(), { input = { 3, 2, 2 } })
    assert.is_nil(ok)
    assert.is_truthy(why:find("onnx: ", 1, true), why)
  end)

  if not core.onnx_model(8, 17, "x") then
    pending(select(2, core.onnx_model(8, 17, "x")))
    return
  end

  it("writes no codes of weights that have others than -1, 0, 1", function()
    local net = trit.models.small { size = 8 }
    trit.quantize(net, { { ".*", trit.quant.inq {} } })
    local ok, why = trit.onnx.encode(net, { weights = "int8" })
    assert.is_nil(ok)
    assert.is_truthy(why:find("^onnx: conv1.weight: the weights of inq{} are not sums of .*float"), why)
    assert.is_truthy(trit.onnx.encode(net))
  end)

  it("writes a file that holds the names of the network", function()
    local net = trit.models.resnet8 { size = 16 }
    trit.quantize(net, { { ".*", trit.quant.twn {} } })
    local float, int8 = assert(trit.onnx.encode(net)), assert(trit.onnx.encode(net, { weights = "int8" }))
    local int2 = assert(trit.onnx.encode(net, { weights = "int2" }))
    for _, name in ipairs { "layer1.0.conv1.weight", "bn1.running_var", "fc.bias", "input", "logits" } do
      assert.is_truthy(float:find(name, 1, true) and int2:find(name, 1, true), name)
    end
    assert.is_truthy(int2:find("layer1.0.conv1.weight.codes", 1, true))
    local weights = 0
    for _, m in net:quantizable() do weights = weights + m.weight:numel() end
    -- four bytes a weight, one, a quarter, but for scales, names and what the forms share
    assert.is_true(math.abs((#float - #int8) - 3 * weights) < 2500)
    assert.is_true(math.abs((#int8 - #int2) - 0.75 * weights) < 100)
    assert.is_true(trit.onnx.save(path, net, { weights = "int2" }))
    local f = assert(io.open(path, "rb"))
    assert.are.equal(int2, f:read("a"))
    f:close()
    local ok, why = trit.onnx.save(path .. "/none", net)
    assert.is_nil(ok)
    assert.is_truthy(why:find("onnx: cannot write", 1, true), why)
  end)
end)
