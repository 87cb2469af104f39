-- tier: fast
-- What a module's ops do together (described results, rows along convolutions) is what they do one
-- after the other; and nobody can see that a result was only described.
local trit = require "trit"
local core = require "trit.core"
local nn = trit.nn

local Net = nn.class("fusion_test")

-- A pooled rectifier; residual sums of every kind: plain and normed shortcuts, a result used twice, one
-- returned pending.
function Net:init()
  local function conv(i, o, s)
    return nn.conv2d { i, o, kernel = 3, stride = s, padding = 1, seed = i + o }
  end
  self.c1, self.b1 = conv(16, 16), nn.batch_norm { 16 }
  self.c2, self.b2 = conv(16, 16), nn.batch_norm { 16 }
  self.c3, self.b3 = conv(16, 32, 2), nn.batch_norm { 32 }
  self.c4, self.b4 = conv(32, 32), nn.batch_norm { 32 }
  self.cs, self.bs = nn.conv2d { 16, 32, kernel = 1, stride = 2, seed = 9 }, nn.batch_norm { 32 }
end

function Net:forward(x)
  local z = trit.max_pool(trit.relu(self.b1(self.c1(x))), { kernel = 3, stride = 2, padding = 1 })
  z = trit.relu(self.b2(self.c2(z)) + z)
  local y = self.b4(self.c4(trit.relu(self.b3(self.c3(z)))))
  return trit.relu(y + self.bs(self.cs(z)))
end

local function run(fused, training, bits)
  local was = core.fusion(fused)
  local net = Net()
  if bits then
    trit.quantize_activations(net, { { "c1", false }, { ".*", trit.act.dorefa { bits = bits } } })
  end
  if not training then net:eval() end
  local x = trit.randn({ 4, 16, 24, 24 }, { seed = 3 }):requires_grad(true)
  local y = net(x)
  y:backward(trit.randn(y:shape(), { seed = 4 }))
  core.fusion(was)
  return net, x, y
end

local function close(a, b, what)
  local size = trit.max(trit.abs(b)):item()
  assert.is_true(a:max_difference(b) <= 1e-5 * math.max(size, 1e-3),
    ("%s: %g of %g"):format(what, a:max_difference(b), size))
end

describe("fusion", function()
  for _, training in ipairs { true, false } do
    it("gives the results and gradients of single ops, training " .. tostring(training), function()
      local net, x, y = run(true, training)
      local net2, x2, y2 = run(false, training)
      close(y, y2, "output")
      close(x.grad, x2.grad, "input gradient")
      local p, p2 = net:parameters(), net2:parameters()
      assert.is_true(#p >= 15)
      for i, t in ipairs(p) do close(t.grad, p2[i].grad, p.names[i]) end
      for name, t in pairs(net:state_dict()) do close(t, net2:state_dict()[name], name) end
    end)
  end

  -- Whole levels differ where a value lies next to a half, and batch statistics from other sums can move one
  -- there.  No value of this network stands so near with exact convolutions, whose own sums are the same.
  it("gives the results and gradients of single ops with quantized activations", function()
    local mode = core.conv_mode("exact")
    local net, x, y = run(true, true, 4)
    local net2, x2, y2 = run(false, true, 4)
    core.conv_mode(mode)
    close(y, y2, "output")
    close(x.grad, x2.grad, "input gradient")
    local p, p2 = net:parameters(), net2:parameters()
    for i, t in ipairs(p) do close(t.grad, p2[i].grad, p.names[i]) end
  end)

  it("quantizes activations by the levels of their definition", function()
    local Levels = nn.class("levels")
    function Levels:init() self.act = trit.act.dorefa { bits = 2 } end
    function Levels:forward(x) return self.act(x) end
    local x = trit.tensor { -0.2, 0, 0.1, 0.17, 0.5, 0.84, 1, 1.01 }:requires_grad(true)
    local y = Levels()(x)
    for i, k in ipairs { 0, 0, 0, 1, 2, 3, 3, 3 } do assert.near(k / 3, y:get(i), 1e-6) end
    y:sum():backward()
    assert.are.same({ 0, 1, 1, 1, 1, 1, 1, 0 }, x.grad:totable())
  end)

  it("settles what a script reads inside a module", function()
    local seen
    local Peek = nn.class("peek")
    function Peek:init() self.bn = nn.batch_norm { 2 } end
    function Peek:forward(x)
      local y = self.bn(x)
      seen = y:totable()
      return trit.relu(y)
    end
    local x = trit.randn({ 2, 2, 3, 3 }, { seed = 1 })
    local y = Peek()(x)
    local plain = nn.batch_norm { 2 }(x)
    assert.are.same(plain:totable(), seen)
    assert.is_true(y:max_difference(trit.relu(plain)) == 0)
  end)

  it("keeps what a described result was made of when that changes in place", function()
    local Change = nn.class("change")
    function Change:init() self.bn = nn.batch_norm { 2 } end
    function Change:forward(x)
      local y = self.bn(x)
      x:fill(0)
      return trit.relu(y)
    end
    local x = trit.randn({ 2, 2, 3, 3 }, { seed = 1 })
    local want = trit.relu(nn.batch_norm { 2 }(x:clone()))
    assert.is_true(Change()(x):max_difference(want) == 0)
  end)

  -- Both norms read the same y; sums left for one of them are not the other's.
  local Two = nn.class("two_norms")
  function Two:init()
    self.c1 = nn.conv2d { 16, 16, kernel = 3, padding = 1, seed = 1 }
    self.b1, self.b2 = nn.batch_norm { 16 }, nn.batch_norm { 16 }
    self.c2 = nn.conv2d { 16, 16, kernel = 3, padding = 1, seed = 2 }
    self.b1.running_mean:copy(trit.randn({ 16 }, { seed = 5 }))
    self.b2.running_mean:copy(trit.randn({ 16 }, { seed = 6 }))
  end
  function Two:forward(x)
    local y = self.c1(x)
    return self.c2(trit.relu(trit.add(self.b1(y), self.b2(y))))
  end

  local function two(fused, frozen)
    local net, x = Two(), trit.randn({ 2, 16, 8, 8 }, { seed = 3 }):requires_grad(true)
    for _, name in ipairs(frozen) do net[name]:eval() end
    local old = core.fusion(fused)
    local y = net(x)
    y:backward(trit.randn(y:shape(), { seed = 4 }))
    core.fusion(old)
    return net, x
  end

  for what, frozen in pairs { ["both norms"] = { "b1", "b2" }, ["the first norm"] = { "b1" },
    ["the second norm"] = { "b2" }, ["no norm"] = {} } do
    it(("gives two norms of one convolution their own gradients, %s frozen"):format(what), function()
      local net, x = two(true, frozen)
      local net2, x2 = two(false, frozen)
      close(x.grad, x2.grad, "input gradient")
      local p, p2 = net:parameters(), net2:parameters()
      for i, t in ipairs(p) do close(t.grad, p2[i].grad, p.names[i]) end
    end)
  end

  it("forgets sums of a result that changed through another handle", function()
    local x, w = trit.randn({ 4, 16, 8, 8 }, { seed = 1 }), trit.randn({ 16, 16, 3, 3 }, { seed = 2 })
    w:requires_grad(true)
    local function norm(y) return trit.batch_norm(y, nil, nil, nil, nil, { training = true }) end
    for _, view in ipairs { function(y) return y end, function(y) return y:detach() end,
      function(y) return trit.slice(y, { start = { 1, 1, 1, 1 }, stop = { 2, 16, 8, 8 } }) end } do
      local y = trit.conv2d(x, w, { padding = 1 })
      view(y):fill(3)
      assert.is_true(norm(y):max_difference(norm(y:clone())) == 0)
    end
  end)

  it("survives a result kept beyond the module and after backward", function()
    local kept
    local Keep = nn.class("keep")
    function Keep:init()
      self.conv, self.bn = nn.conv2d { 16, 16, kernel = 3, padding = 1 }, nn.batch_norm { 16 }
    end
    function Keep:forward(x)
      kept = trit.relu(self.bn(self.conv(x))):keep()
      return self.conv(kept)
    end
    local y = Keep()(trit.randn({ 2, 16, 8, 8 }, { seed = 1 }))
    local before = kept:totable()
    y:sum():backward()
    assert.are.same(before, kept:totable())
  end)

  it("leaves a mean far from zero its variance", function()
    local x = trit.randn({ 8, 16, 8, 8 }, { seed = 1 })
    local w = trit.zeros { 16, 16, 3, 3 }
    for k = 0, 15 do w:set(k + 1, k + 1, 2, 2, 1) end
    local Far = nn.class("far")
    function Far:init()
      self.weight = w:requires_grad(true)
      self.bn = nn.batch_norm { 16 }
    end
    function Far:forward(v) return self.bn(trit.conv2d(v, self.weight, { padding = 1 })) end
    local far = x + 3000
    local y = Far()(far)
    local want = nn.batch_norm { 16 }(far)
    assert.is_true(y:max_difference(want) < 5e-3) -- of the convolution's own rounding
  end)
end)
