-- tier: fast
-- Quantizers of activations and gradients: float64 references, rules, state, errors.
local trit = require "trit"
local golden = require "tests.lua.golden"

-- golden README: scalars 1e-6, gradients 1e-5
local SCALAR, GRADIENT = 1e-6, 1e-5

local check = golden.check

local function fails(fragment, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "no error; expected: " .. fragment)
  assert.is_truthy(tostring(message):find(fragment, 1, true), tostring(message))
end

-- y and dL/dx of an activation quantizer.
local function both(f, case, a, y)
  local x = f:read(case .. "/in/x"):requires_grad(true)
  local got = a(x)
  check(f, case .. "/out/" .. (y or "y"), got, SCALAR)
  got:backward(f:read(case .. "/in/g"))
  check(f, case .. "/out/grad_x", x.grad, GRADIENT)
end

local zoo = {}

function zoo.bnn_activation(f, case) both(f, case, trit.act.bnn {}) end
function zoo.xnor_activation(f, case) both(f, case, trit.act.xnor {}) end
function zoo.dorefa_activation(f, case, a) both(f, case, trit.act.dorefa { bits = a.bits }) end
function zoo.sttn_activation(f, case, a) both(f, case, trit.act.sttn { delta = a.delta }, "codes") end

function zoo.dorefa_gradient(f, case, a)
  local got = trit.act.dorefa_gradient.quantize(f:read(case .. "/in/dr"), a.bits, f:read(case .. "/in/xi"))
  check(f, case .. "/out/f", got, SCALAR)
end

function zoo.lsq_activation(f, case, a)
  local q = trit.act.lsq { qn = a.qn, qp = a.qp }
  q.s:copy(f:read(case .. "/in/s"))
  q.started:fill(1)
  both(f, case, q)
  check(f, case .. "/out/grad_s", q.s.grad, GRADIENT)
end

function zoo.abcnet_activation(f, case, a)
  local q = trit.act.abcnet { bases = a.bases }
  q.v:copy(f:read(case .. "/in/v"))
  q.beta:copy(f:read(case .. "/in/beta"))
  both(f, case, q)
  check(f, case .. "/out/grad_v", q.v.grad, GRADIENT)
  check(f, case .. "/out/grad_beta", q.beta.grad, GRADIENT)
end

function zoo.lqnets_activation(f, case, a)
  local q = trit.act.lqnets { bits = a.bits, average = a.moving_average }
  q.basis:copy(f:read(case .. "/in/basis"))
  both(f, case, q)
  check(f, case .. "/out/basis", q.basis, GRADIENT)
end

function zoo.xnor_conv(f, case, a)
  local x, w = f:read(case .. "/in/x"), f:read(case .. "/in/w")
  local s = w:shape()
  local layer = trit.nn.conv2d { s[2], s[1], kernel = s[3], stride = a.stride, padding = a.padding }
  layer.weight:copy(w)
  layer:set_quantizer(trit.quant.bwn {})
  trit.act.quantize(layer, { { ".*", trit.act.xnor { input_scale = a.input_scale == 1 } } })
  check(f, case .. "/out/y", layer(x), GRADIENT)
end

function zoo.ste(f, case, a)
  local x = f:read(case .. "/in/x"):requires_grad(true)
  trit.act.ste(trit.sign, { mode = a.mode, scale = a.scale_factor })(x):backward(f:read(case .. "/in/g"))
  check(f, case .. "/out/grad_x", x.grad, GRADIENT)
end

describe("activation quantizers", function()
  local f, why = golden.open("quant_zoo.h5")
  if not f then
    pending(why)
  else
    for _, case in ipairs(f:list("")) do
      local a = f:attrs(case)
      if zoo[a.method] then
        it("have " .. case, function() zoo[a.method](f, case, a) end)
      end
    end
  end

  for _, name in ipairs(trit.act.list()) do
    it("train, save and load with a network: " .. name, function()
      local function net()
        local m = trit.models.small { classes = 3, seed = 2 }
        return trit.quantize_activations(m, { { "^conv1%.", false }, { ".*", trit.act[name] {} } })
      end
      local a, b = net(), net()
      assert.is_truthy(trit.act[name].doc)
      local x = trit.randn({ 6, 3, 8, 8 }, { seed = 3 })
      local y = trit.tensor { 1, 2, 3, 1, 2, 3 }
      local opt = trit.optim.sgd(a:parameters(), { lr = 0.05 })
      for _ = 1, 3 do
        trit.cross_entropy(a(x), y):backward()
        opt:step()
        a:zero_grad()
      end
      b:load_state_dict(a:state_dict())
      a:eval()
      b:eval()
      assert.is_true(a(x):equal(b(x)))
      assert.is_false(a(x):equal(net():eval()(x)))
    end)
  end

  for _, name in ipairs { "bnn", "xnor", "abcnet", "sttn" } do
    it("see both signs behind a network's batch norms: " .. name, function()
      local net = trit.quantize_activations(trit.models.resnet8 { classes = 10, seed = 1 },
        { { "^conv1%.", false }, { ".*", trit.act[name] {} } })
      local layer, seen = net:find("layer2.0.conv2"), nil
      local quantizer = layer.input
      rawset(quantizer, "forward", function(self, x)
        seen = x:clone():keep()
        return getmetatable(quantizer).forward(self, x)
      end)
      local pooled
      rawset(net.layer3, "forward", function(self, x)
        pooled = getmetatable(self).forward(self, x)
        return pooled
      end)
      local x = trit.randn({ 4, 3, 16, 16 }, { seed = 5 })
      trit.quantize_activations(net, { { "^fc%.", trit.act.dorefa {} } }) -- takes no signs
      net(x)
      assert.is_true(pooled:min():item() >= 0)
      assert.is_true(seen:min():item() < -0.5 and seen:min():item() >= -1 and seen:max():item() <= 1)
      trit.quantize_activations(net, { { ".*", trit.act.dorefa {} } }) -- replaced: ReLUs again
      net(x)
      local relu = trit.models.resnet8 { classes = 10, seed = 1 }
      trit.quantize_activations(relu, { { ".*", trit.act.dorefa {} } })
      assert.is_true(relu(x):equal(net(x)))
      local plain = trit.models.resnet8 { classes = 10, seed = 1 } -- others keep their ReLUs
      assert.is_true(trit.no_grad(function() return plain.bn1(plain.conv1(x)):min():item() end) < 0)
      assert.is_true(trit.relu(x):equal(trit.nn.relu(x)))
    end)
  end

  it("see means of both signs where a pool lies between", function()
    local net = trit.quantize_activations(trit.models.resnet8 { classes = 10, seed = 1 },
      { { "^fc%.", trit.act.bnn {} } })
    local least
    rawset(net.fc.input, "forward", function(_, x)
      least = x:min():item()
      return x
    end)
    local stem, x = nil, trit.randn({ 4, 3, 16, 16 }, { seed = 5 })
    rawset(net.layer1, "forward", function(self, seen)
      stem = seen:min():item()
      return getmetatable(self).forward(self, seen)
    end)
    trit.no_grad(function() net(x) end)
    assert.is_true(least < 0 and stem >= 0) -- the stem's ReLU goes into float layers
  end)

  it("have PACT's clipping and its gradient", function()
    local q = trit.act.pact { bits = 2, alpha = 3 }
    local x = trit.tensor { { -1, 0.4, 1.6, 2.9, 3, 7 } }:requires_grad(true)
    local y = q(x)
    assert.are.same({ { 0, 0, 2, 3, 3, 3 } }, y:totable())
    y:backward(trit.tensor { { 1, 2, 3, 4, 5, 6 } })
    assert.are.same({ { 0, 2, 3, 4, 0, 0 } }, x.grad:totable())
    assert.are.same({ 11 }, q.alpha.grad:totable())
  end)

  it("quantize activations and gradients of one layer (DoReFa)", function()
    local function layer(quantizer)
      local net = trit.nn.linear { 4, 3, seed = 1, bias = false }
      trit.act.quantize(net, { { ".*", quantizer } })
      local x = trit.randn({ 5, 4 }, { seed = 3 }):requires_grad(true)
      local y = net(x)
      y:backward(trit.randn({ 5, 3 }, { seed = 4 }))
      return { y = y:clone(), dw = net.weight.grad:clone(), net = net, x = x.grad }
    end
    local all = layer(trit.act.dorefa { bits = 2, gradient_bits = 4 })
    local real = layer(trit.act.dorefa { bits = 2 })
    assert.is_true(all.y:equal(real.y))
    assert.is_true(all.dw:max_difference(real.dw) > 1e-3)
    assert.is_true(all.dw:equal(layer(trit.act.dorefa { bits = 2, gradient_bits = 4 }).dw))
    assert.is_false(all.dw:equal(layer(trit.act.dorefa { bits = 2, gradient_bits = 4, seed = 9 }).dw))
    assert.are.equal(1, all.net.input.draws:item())
    assert.is_nil(real.net:state_dict()["input.draws"]) -- runs without gradients look as they did
  end)

  it("only clip with 0 bits (DoReFa)", function()
    local x = trit.tensor { { -1, 0, 0.3, 0.8, 1, 2 } }:requires_grad(true)
    local y = trit.act.dorefa { bits = 0 }(x)
    assert.is_true(y:max_difference(trit.tensor { { 0, 0, 0.3, 0.8, 1, 1 } }) == 0)
    y:backward(trit.tensor { { 1, 2, 3, 4, 5, 6 } })
    assert.are.same({ { 0, 2, 3, 4, 5, 0 } }, x.grad:totable())
  end)

  it("come back from steps and clipping levels that are not positive", function()
    local cases = { { trit.act.lsq { qn = 0, qp = 3 }, "s" }, { trit.act.pact { bits = 2 }, "alpha" } }
    for _, case in ipairs(cases) do
      local q, name = table.unpack(case)
      if q.started then q.started:fill(1) end
      for _, value in ipairs { 0, -0.1 } do
        q[name]:fill(value)
        q[name]:zero_grad()
        local x = trit.tensor { { -1, 0.5, 2 } }:requires_grad(true)
        local y = q(x)
        y:backward(trit.tensor { { 1, 1, 1 } })
        for _, v in ipairs(y:totable()[1]) do assert.is_true(v >= 0 and v < 1e-6) end
        assert.are.same({ { 0, 0, 0 } }, x.grad:totable())
        assert.is_true(q[name].grad:item() > 0)
      end
    end
  end)

  it("draw gradients that are right on average and the same again", function()
    local x = trit.randn({ 2, 50 }, { seed = 1 })
    local g, sum, first = trit.randn({ 2, 50 }, { seed = 2 }), trit.zeros { 2, 50 }, nil
    for seed = 1, 400 do
      local net = trit.nn.linear { 50, 50, bias = false }
      net.weight:fill(0)
      for i = 1, 50 do net.weight:set(i, i, 1) end
      trit.act.quantize(net, { { ".*", trit.act.dorefa_gradient { bits = 3, seed = seed } } })
      local v = x:clone():requires_grad(true)
      net(v):backward(g)
      first = first or v.grad:clone()
      sum = sum + v.grad
    end
    local again = trit.nn.linear { 50, 50, bias = false }
    again.weight:fill(0)
    for i = 1, 50 do again.weight:set(i, i, 1) end
    trit.act.quantize(again, { { ".*", trit.act.dorefa_gradient { bits = 3, seed = 1 } } })
    local v = x:clone():requires_grad(true)
    again(v):backward(g)
    assert.is_true(v.grad:equal(first))
    local got, want = (sum / 400):totable(), g:totable()
    for n = 1, 2 do
      local top = 0
      for i = 1, 50 do top = math.max(top, math.abs(want[n][i])) end
      for i = 1, 50 do -- the quantizer holds gradients within 1/N of the largest at the ends
        if math.abs(want[n][i]) < top * (1 - 1 / 7) then
          assert.is_true(math.abs(got[n][i] - want[n][i]) < 0.08 * top)
        end
      end
    end
  end)

  it("say what is wrong", function()
    fails('act: no activation quantizer is called "nothing"; known: abcnet, bnn', function()
      return trit.act.nothing
    end)
    fails("act.dorefa: option bits is 40 but must lie in [0, 16]", trit.act.dorefa, { bits = 40 })
    fails('act.dorefa: unknown option "bit"; known: bits', trit.act.dorefa, { bit = 4 })
    local net = trit.models.small {}
    fails('no layer uses rule 2 ("layer9")', trit.quantize_activations, net,
      { { ".*", trit.act.bnn {} }, { "layer9", trit.act.bnn {} } })
    fails("rule 1 must be { pattern, trit.act.NAME {} or false }", trit.quantize_activations, net,
      { { ".*", trit.quant.tga {} } })
    fails("mode is \"none\" but must be identity, clip, tanh or scale", trit.act.ste, trit.sign,
      { mode = "none" })
  end)
end)
