-- tier: fast
-- Mistakes of a script are one sentence at the script's line, whatever they run into.
local trit = require "trit"

local function sentence(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.matches("test_sentences%.lua:%d+: ", message)
  return (tostring(message):gsub("^.-test_sentences%.lua:%d+: ", ""))
end

describe("a mistake is a sentence", function()
  it("about a graph that a function in Lua is part of, after backward", function()
    local square = trit.fn { name = "square",
      forward = function(s, x)
        s.x = x
        return x * x
      end,
      backward = function(s, g) return g * s.x * 2 end }
    local x = trit.tensor { 1, 2, 3 }:requires_grad(true)
    local y = square(x)
    y:sum():backward()
    collectgarbage()
    for i = 1, 1000 do local _ = ("x"):rep(i) end -- what was freed is written over
    assert.matches("^backward: the graph behind square %(f32%[3%]%) was released",
      sentence(function() y:sum():backward() end))
  end)

  it("about an operand that is closed or no tensor, with the op's name", function()
    local x, y = trit.zeros { 2 }, trit.zeros { 2 }
    y:close()
    assert.equal("add: operand 2 is a closed tensor", sentence(function() return x + y end))
    assert.equal("relu: operand 1 is a closed tensor", sentence(function() return trit.relu(y) end))
    assert.equal("mul: operand 2 must be a tensor or a number, got boolean",
      sentence(function() return trit.mul(x, true) end))
  end)

  it("about an optimizer's parameters", function()
    local w = trit.zeros({ 2 }):requires_grad(true)
    assert.equal("optim: group 1 must be { params = list of tensors, ... }, got a table without params",
      sentence(function() trit.optim.sgd({ { w } }, { lr = 0.1 }) end))
    assert.equal("optim: parameter 1 of group 1 is a string, not a tensor",
      sentence(function() trit.optim.sgd({ "a" }, { lr = 0.1 }) end))
  end)

  it("about what trit.train, trit.params and trit.safetensors are given", function()
    local net = trit.nn.linear { 2, 2 }
    local optimizer = trit.optim.sgd(net:parameters(), { lr = 0.1 })
    assert.equal("train: option data must be a data set of trit.data, got number",
      sentence(function() trit.train { model = net, data = 3, optimizer = optimizer, epochs = 1 } end))
    assert.equal("trit.params takes a table of options, got number",
      sentence(function() trit.params(3) end))
    assert.equal("safetensors: a file's path expected, got nil",
      sentence(function() trit.safetensors.load(nil) end))
  end)

  it("and help knows ops, optimizers, quantizers and networks", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write([[local trit = require "trit"
      for _, name in ipairs { "conv2d", "sgd", "tga", "resnet20" } do trit.help(name) end
      trit.help()]])
    file:close()
    local pipe = io.popen(("'%s/trit' lua %s 2>&1"):format(os.getenv("TRIT_SOURCE") or ".", path))
    local said = pipe:read("a")
    assert.is_true((pipe:close()), said)
    os.remove(path)
    for _, word in ipairs { "momentum", "optimizers: .*adamw", "type%-A shortcuts" } do
      assert.matches(word, said)
    end
  end)

  it("about a name that a part of trit has not, with those it has", function()
    for part, known in pairs { quant = "tga", optim = "sgd", schedule = "cosine", data = "open",
      methods = "train", schemes = "delay", infer = "export", checkpoint = "load", h5 = "open",
      safetensors = "save", act = "dorefa" } do
      local said = sentence(function() return trit[part].misspelt {} end)
      assert.matches("misspelt", said)
      assert.matches("[:,] " .. known .. "%f[^%w_]", said .. ",")
      assert.is_nil(said:find("\n"))
    end
    assert.matches('^trit%.quant has no "tgaa"; it has: ', sentence(function() return trit.quant.tgaa {} end))
    assert.matches('^trit%.data has no 1; it has: ', sentence(function() return trit.data[1] end))
  end)
end)
