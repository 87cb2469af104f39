-- tier: fast
-- The tape: sums over paths, leaves, release, module temporaries, functions written in Lua, sentences.
local trit = require "trit"
local nn = require "trit.nn"

local function leaf(t) return trit.tensor(t):requires_grad(true) end

local function raises(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "nothing was raised")
  assert.is_truthy(tostring(message):find(pattern, 1, true),
    ("%q does not hold %q"):format(tostring(message), pattern))
end

describe("backward", function()
  it("adds what comes along every path", function()
    local x = leaf { 2, 3 }
    local y = x * x + x
    trit.sum(y):backward()
    assert.are.same({ 5, 7 }, x.grad:totable())
  end)

  it("does not let one path's gradient change another's", function()
    local a, b = leaf { 1 }, leaf { 1 }
    local s = a + b -- both operands get the same gradient tensor
    local y = s + a -- and a gets a second one
    trit.sum(y):backward()
    assert.are.same({ 2 }, a.grad:totable())
    assert.are.same({ 1 }, b.grad:totable())
  end)

  it("adds to a leaf's gradient until it is zeroed", function()
    local x = leaf { 1, 2 }
    trit.sum(x * 3):backward()
    trit.sum(x * 3):backward()
    assert.are.same({ 6, 6 }, x.grad:totable())
    x:zero_grad()
    assert.is_nil(x.grad)
  end)

  it("takes the gradient of a result that is not a scalar", function()
    local x = leaf { 1, -2 }
    trit.relu(x):backward(trit.tensor { 5, 7 })
    assert.are.same({ 5, 0 }, x.grad:totable())
    raises("more than one element", function() trit.relu(leaf { 1, 2 }):backward() end)
    raises("gradient f32[3] for a result of shape f32[2]", function()
      trit.relu(leaf { 1, 2 }):backward(trit.tensor { 1, 2, 3 })
    end)
  end)

  it("says so when the graph is gone or was never there", function()
    local x = leaf { 1 }
    local y = trit.sum(x * x)
    y:backward()
    raises("released by an earlier backward", function() y:backward() end)
    raises("does not depend on anything that requires a gradient", function()
      trit.tensor { 1 }:backward()
    end)
  end)

  it("stops at detach and inside no_grad", function()
    local x = leaf { 3 }
    trit.sum(x:detach() * x):backward()
    assert.are.same({ 3 }, x.grad:totable())
    assert.is_false(trit.no_grad(function() return x * x end):requires_grad())
    assert.is_true(trit.core.grad_enabled())
  end)

  it("restores recording after an error inside no_grad", function()
    pcall(trit.no_grad, function() error("stop") end)
    assert.is_true(trit.core.grad_enabled())
  end)
end)

describe("modules", function()
  local Twice = nn.class("twice")
  function Twice:init()
    self.w = trit.tensor { 2, 2 }:requires_grad(true)
  end
  function Twice:forward(x)
    self.inner = x * self.w
    return self.inner * 3
  end

  it("return results that outlive backward, and release temporaries", function()
    local net = Twice()
    local y = net(trit.tensor { 1, 2 })
    trit.sum(y):backward()
    assert.are.same({ 6, 12 }, y:totable())
    assert.are.same({ 3, 6 }, net.w.grad:totable())
    raises("has been released", function() return net.inner:totable() end)
    raises("has been released", function() return net.inner + 1 end)
  end)

  it("release temporaries at once when no gradient will come", function()
    local net = Twice()
    local y = trit.no_grad(function() return net(trit.tensor { 1, 2 }) end)
    assert.are.same({ 6, 12 }, y:totable())
    raises("has been released", function() return net.inner:totable() end)
  end)

  it("keep a returned view of a temporary", function()
    local View = nn.class("view")
    function View:init() self.w = trit.tensor { 2, 2 }:requires_grad(true) end
    function View:forward(x) return trit.reshape(x * self.w, { shape = { 2, 1 } }) end
    local y = View()(trit.tensor { 1, 2 })
    trit.sum(y):backward()
    assert.are.same({ { 2 }, { 4 } }, y:totable())
  end)

  it("leave no open scope behind an error", function()
    local Bad = nn.class("bad")
    function Bad:forward() error("inside") end
    local bad = Bad()
    for _ = 1, 300 do pcall(bad) end -- deeper than the limit if scopes stayed open
    assert.are.same({ 6, 12 }, Twice()(trit.tensor { 1, 2 }):totable())
  end)

  it("name their parameters as torchvision does", function()
    local names = trit.models.resnet20 {}:parameters().names
    assert.are.equal("conv1.weight", names[1])
    assert.are.equal("layer1.0.conv1.weight", names[4])
    assert.are.equal("fc.bias", names[#names])
  end)

  it("have the published parameter counts", function()
    local counts = { resnet20 = 269722, resnet32 = 464154, resnet44 = 658586, resnet56 = 853018 }
    for name, count in pairs(counts) do
      assert.are.equal(count, trit.models.create(name):parameter_count())
    end
    assert.are.equal(11689512, trit.models.resnet18 {}:parameter_count())
  end)

  it("name the tensor that a state lacks or has too much", function()
    local state = trit.models.small {}:state_dict()
    state["fc2.bias"] = nil
    raises('"fc2.bias" is missing', function() trit.models.small {}:load_state_dict(state) end)
    state["fc2.bias"], state.extra = trit.zeros { 10 }, trit.zeros { 1 }
    raises('"extra" is not a tensor of this model', function()
      trit.models.small {}:load_state_dict(state)
    end)
  end)
end)

describe("trit.fn", function()
  local square = trit.fn { name = "square",
    forward = function(saved, x) saved.x = x; return x * x end,
    backward = function(saved, g) return g * saved.x * 2 end }

  it("gives a Lua function its gradient", function()
    local x = leaf { 3, -1 }
    trit.sum(square(x) * 2):backward()
    assert.are.same({ 12, -4 }, x.grad:totable())
  end)

  it("inside a module keeps its result until backward: the next layer's weights need it", function()
    local double = trit.fn { name = "double", forward = function(_, x) return x * 2 end,
      backward = function(_, g) return g * 2 end }
    local conv = nn.conv2d { 4, 4, kernel = 3, padding = 1, seed = 1 }
    local first = nn.conv2d { 4, 4, kernel = 3, padding = 1, seed = 3 }
    local x = trit.randn({ 4, 4, 16, 16 }, { seed = 2 })
    local function gradient(forward, w)
      w:zero_grad()
      local y = forward(x)
      local junk = {} -- takes the place of whatever was given back
      for k = 1, 20 do junk[k] = first(x) * k end
      y:sum():backward()
      assert.are.equal(20, #junk)
      return w.grad:clone()
    end
    local w = conv.weight:detach():clone():requires_grad(true)
    local want = gradient(function(v) return trit.conv2d(first(v) * 2, w, nil, nil, { padding = 1 }) end, w)
    local inner = nn.class("inner")
    function inner:init() self.conv = conv end
    function inner:forward(v) return self.conv(double(first(v))) end
    local got = gradient(nn.sequential { inner(), nn.lambda(function(v) return v * 1 end) }, conv.weight)
    assert.is_true(got:max_difference(want) < 1e-3)
  end)

  it("carries an error inside backward to the script", function()
    local bad = trit.fn { name = "bad", forward = function(_, x) return x * 1 end,
      backward = function() error("no way back") end }
    raises("no way back", function() trit.sum(bad(leaf { 1 })):backward() end)
  end)

  it("checks the shape of what backward returns", function()
    local bad = trit.fn { name = "bad", forward = function(_, x) return x * 1 end,
      backward = function() return trit.zeros { 7 } end }
    raises("backward gave a gradient f32[7]", function() trit.sum(bad(leaf { 1, 2 })):backward() end)
  end)
end)

describe("sentences", function()
  it("name the script's line", function()
    local ok, message = pcall(function() return trit.relu(nil) end)
    assert.is_false(ok)
    assert.is_truthy(message:find("test_autograd.lua:%d+: relu: operand x is missing"), message)
  end)

  it("tell of a closed tensor", function()
    local x = trit.zeros { 2 }
    x:close()
    x:close()
    raises("tensor is closed", function() return x:shape() end)
    assert.are.equal("tensor (closed)", tostring(x))
  end)

  it("tell of an unknown option and list the known ones", function()
    raises('hardtanh: unknown option "low"; known: ', function()
      trit.hardtanh(trit.zeros { 2 }, { low = 1 })
    end)
  end)

  it("tell of memory that ran out, and go on", function()
    local x = trit.zeros { 64 }
    trit.core.fail_after(0)
    raises("out of memory", function() return x:clone() end)
    trit.core.fail_after(-1)
    assert.are.equal(64, x:clone():numel())
  end)
end)
