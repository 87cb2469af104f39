-- tier: fast
-- What a script may do wrong must end in a sentence, never in a crash or in numbers made of nothing.
local trit = require "trit"
local nn = trit.nn

local function fails(pattern, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok, "expected: " .. pattern)
  assert.matches(pattern, message)
end

-- Blocks that the next allocations get, so that what nobody wrote is not zero by chance.
local function dirty_memory(numbers)
  local blocks = {}
  for i = 1, 20 do blocks[i] = trit.zeros({ numbers }):fill(-1e30) end
  for _, t in ipairs(blocks) do t:close() end
end

describe("a quantizer", function()
  it("has nothing to tell after a failed application", function()
    for _, name in ipairs { "twn", "tga", "ttq", "wacv" } do
      local q, w = trit.quant.create(name), trit.randn({ 16, 8, 3, 3 }, { seed = 1 })
      q(w) -- good, so the parameters are there
      w:set(1, 1, 1, 1, 0 / 0)
      dirty_memory(288)
      fails("must be finite", q, w)
      for _, method in ipairs { "stats", "codes", "scale", "scale_neg" } do
        fails(name .. ": has not been applied to weights yet", q[method], q)
      end
      w:set(1, 1, 1, 1, 0)
      q(w)
      assert.are.equal(16 * 8 * 9, q:codes():numel())
    end
  end)

  it("checks the parameters it resets", function()
    local q = trit.quant.tga { granularity = "filter" }
    q(trit.randn({ 8, 8 }, { seed = 1 }))
    fails("tga: parameter delta is f32%[8,1%] but weights f32%[40000,8%] need f32%[40000,1%]", q.handle.reset,
      q.handle, trit.randn({ 40000, 8 }), q.delta)
    local wide = trit.zeros { 8, 2 }
    local strided = wide:slice { start = { 0, 0 }, stop = { 8, 1 } }
    fails("tga: parameter delta", q.handle.reset, q.handle, trit.randn({ 8, 8 }), strided)
  end)

  it("written in Lua may not answer with a tensor that is gone", function()
    local cached, own = nil, true
    local make = trit.quant.define { name = "misuse_cached", doc = "keeps a tensor of a module's call",
      params = { q = { 0.5, doc = "d" } }, ste = "identity",
      fit = function(w)
        if own then return { hi = w:abs():mean() * 0.5 } end -- while define checks it
        cached = cached or w:abs():mean()
        return { hi = cached }
      end }
    own = false
    local N = nn.class("cached_cut")
    function N:init() self.fc = nn.linear { 4, 2, seed = 1 } end
    function N:forward(x) return self.fc(x) end
    local n = N {}
    trit.quantize(n, { { "fc", make {} } })
    local x = trit.randn({ 3, 4 }, { seed = 2 })
    n(x):sum():backward()
    fails("misuse_cached: fit must give hi as a number", n, x)
  end)
end)

describe("trit.fn", function()
  it("may not return a gradient that is gone", function()
    local gone
    local bad = trit.fn { name = "bad", forward = function(_, a) return a * 1 end,
      backward = function() return gone end }
    local N = nn.class("gone")
    function N:init() self.w = trit.randn({ 64, 64 }, { seed = 1 }):requires_grad(true) end
    function N:forward(x)
      gone = x * 2
      return bad(x:matmul(self.w))
    end
    local y = N {}(trit.randn { 64, 64 })
    fails("bad: the gradient for operand 1, .*, has been released", function() y:sum():backward() end)
    y = N {}(trit.randn { 64, 64 })
    gone:close()
    fails("bad: backward must return a tensor for operand 1", function() y:sum():backward() end)
  end)

  it("keeps what its forward saved, inside a module too", function()
    local relu2 = trit.fn { name = "relu2",
      forward = function(saved, x)
        saved.list = { x:gt(0) }
        return x * saved.list[1]
      end,
      backward = function(saved, g) return g * saved.list[1] end }
    local N = nn.class("relu2")
    function N:init() self.w = trit.randn({ 4, 4 }, { seed = 1 }):requires_grad(true) end
    function N:forward(x) return relu2(x:matmul(self.w)) end
    local n, x = N {}, trit.randn({ 2, 4 }, { seed = 2 })
    n(x):sum():backward()
    local w = n.w:clone():requires_grad(true)
    x:matmul(w):relu():sum():backward()
    assert.is_true(n.w.grad:equal(w.grad))
  end)

  it("makes a sentence of whatever its backward raises", function()
    local x = trit.tensor({ 1, 2 }):requires_grad(true)
    local raised = trit.fn { name = "raised", forward = function(_, a) return a * 2 end,
      backward = function() error(setmetatable({}, { __tostring = function() return "a table" end })) end }
    fails("raised: a table", function() raised(x):sum():backward() end)
    trit.sum(x * x):backward() -- the tape is whole
    assert.are.same({ 2, 4 }, x.grad:totable())
  end)
end)

describe("reshape", function()
  it("takes no shape whose count of elements overflows", function()
    local big = 2 ^ 44
    for _, shape in ipairs { { big, 2 ^ 20 }, { 2 ^ 32, 2 ^ 32 }, { big, 2 ^ 20, -1 }, { 0, big, big } } do
      fails("reshape: 0 elements do not fit",
        function() return trit.zeros { 0 }:reshape { shape = shape } end)
    end
    assert.are.same({ 0, 3 }, trit.zeros { 0 }:reshape({ shape = { 0, 3 } }):shape())
    assert.are.same({ 3, 2 }, trit.zeros { 6 }:reshape({ shape = { 3, -1 } }):shape())
  end)
end)

describe("max_difference", function()
  it("is NaN when one of the differences is", function()
    local a, b = trit.tensor { 0 / 0, 1, 2 }, trit.tensor { 0, 1, 2.5 }
    for _, pair in ipairs { { a, b }, { b, a }, { a, a } } do
      local e = pair[1]:max_difference(pair[2])
      assert.is_true(e ~= e)
    end
    local inf = trit.tensor { math.huge, 1 }
    assert.are.equal(0, inf:max_difference(inf))
    assert.are.equal(math.huge, inf:max_difference(trit.tensor { 1, 1 }))
    assert.are.equal(0.5, b:max_difference(trit.tensor { 0, 1, 2 }))
  end)
end)
