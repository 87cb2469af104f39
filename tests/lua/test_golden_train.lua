-- tier: full
-- Whole training trajectories against float64 references: float, TGA sequential and joint, TWN, TTQ.
local trit = require "trit"
local golden = require "tests.lua.golden"
local steps = require "trit.steps"

-- Relative to the largest expected magnitude.  Losses as the golden README suggests; weights move by
-- lr x gradient, so their relative error is below the loss's.  Threshold gradients inside a
-- trajectory cancel heavily: their effect after the clamp is what is compared, loosely.  Gradients
-- of one step by fast convolutions against exact ones: Winograd's rounding, measured 4e-6 to 6.5e-6 of each
-- parameter's largest with every instruction set.
local TOLERANCE = { first_loss = 1e-4, last_loss = 1e-3, weights = 1e-3, logits = 5e-3, delta = 0.02,
  gradients = 3e-5 }

local function attributes(f, case) return f:attrs(case) end

local function batch(f, case, name, labels, i)
  local x = f:read(case .. "/in/" .. name)
  if not i then return x end
  local s = x:shape()
  local start, stop = { i - 1 }, { i }
  for d = 2, #s do
    start[d], stop[d] = 0, s[d]
  end
  local shape = {}
  for d = 2, #s do shape[d - 1] = s[d] end
  local y = trit.reshape(trit.slice(x, { start = start, stop = stop }), { shape = shape })
  return y, labels
end

local function quantizer(a)
  if a.method == "float" then return nil end
  local o = {}
  if a.method == "tga" then
    o.th_grad_clamp = a.th_grad_clamp == math.huge and "none" or a.th_grad_clamp
    o.init, o.center, o.scale, o.stats_grad = a.init_factor, a.center, a.scale, a.stats_grad
    o.grad_correct, o.clip_sigma = a.grad_correct, a.clip_sigma
  elseif a.method == "ttq" then
    o.t = a.t
  end
  return trit.quant.create(a.method, o)
end

local function optimizers(net, a)
  local o = { lr = a.lr, weight_decay = a.weight_decay }
  local weights
  if a.optimizer == "adam" then
    o.beta1, o.beta2, o.eps = a.beta1, a.beta2, a.eps
    weights = trit.optim.adam(net:parameters(), o)
  else
    o.momentum, o.nesterov = a.momentum, a.nesterov ~= 0
    weights = trit.optim.sgd(net:parameters(), o)
  end
  local thresholds = net:thresholds()
  if #thresholds == 0 then return weights end
  local clamp = a.th_grad_clamp
  local limit = clamp ~= math.huge and clamp or nil
  return weights, trit.optim.sgd({ { params = thresholds, grad_clamp = limit } },
    { lr = a.lr_th, momentum = a.momentum, nesterov = a.nesterov ~= 0, weight_decay = 0 })
end

-- TTQ trajectories start from given scales, one pair a layer.
local function start_scales(f, case, net)
  local wp, wn = f:read_numbers(case .. "/in/wp"), f:read_numbers(case .. "/in/wn")
  local i = 0
  for _, m in net:quantizable() do
    i = i + 1
    m.quantizer.wp:fill(wp[i])
    m.quantizer.wn:fill(wn[i])
  end
end

local function model(f, case, a)
  local net = trit.models.create(a.net, { classes = a.classes, seed = 3 })
  local state = {}
  for _, name in ipairs(f:list(case .. "/in/state")) do state[name] = f:read(case .. "/in/state/" .. name) end
  net:load_state_dict(state)
  local q = quantizer(a)
  if q then trit.quantize(net, { { ".*", q } }) end
  if a.method == "ttq" then start_scales(f, case, net) end
  return net
end

local function row(t, i, width)
  local out = {}
  for k = 1, width do out[k] = t[(i - 1) * width + k] end
  return out
end

local function deltas(net)
  local out = {}
  for _, t in ipairs(net:thresholds()) do out[#out + 1] = trit.reshape(t, { shape = { 1 } }):item() end
  return out
end

local function check_step(f, case, a, net, i, loss)
  local want = f:read_numbers(case .. "/out/loss")[i]
  local tolerance = TOLERANCE.first_loss + (TOLERANCE.last_loss - TOLERANCE.first_loss) * (i - 1)
    / math.max(a.steps - 1, 1)
  assert.is_true(math.abs(loss - want) <= tolerance * math.max(1, math.abs(want)),
    ("%s step %d: loss %.7g, expected %.7g"):format(case, i, loss, want))
  if a.method ~= "tga" then return end
  local all = f:read_numbers(case .. "/out/delta")
  local width = all.shape[2]
  assert.is_true(golden.error(deltas(net), row(all, i, width)) <= TOLERANCE.delta,
    ("%s step %d: thresholds"):format(case, i))
end

local function check_end(f, case, net)
  for _, name in ipairs(f:list(case .. "/out/final")) do
    local e = golden.error(net:state_dict()[name], f:read_numbers(case .. "/out/final/" .. name))
    assert.is_true(e <= TOLERANCE.weights, ("%s: %s is off by %.2g"):format(case, name, e))
  end
  net:eval()
  local logits = trit.no_grad(function() return net(f:read(case .. "/in/x_eval")) end)
  local e = golden.error(logits, f:read_numbers(case .. "/out/eval_logits"))
  assert.is_true(e <= TOLERANCE.logits, ("%s: evaluation logits are off by %.2g"):format(case, e))
end

local function run_case(f, case)
  local a = attributes(f, case)
  local net = model(f, case, a):train()
  local weights, thresholds = optimizers(net, a)
  local step = steps.new { model = net, loss = function(z, y) return trit.cross_entropy(z, y) end,
    optimizer = weights, threshold_optimizer = thresholds, bn_first_pass = a.bn_first_pass,
    mode = a.schedule_mode ~= "none" and a.schedule_mode or nil }
  local labels = f:read_numbers(case .. "/in/y")
  for i = 1, a.steps do
    local y = {}
    for k = 1, a.batch do y[k] = labels[(i - 1) * a.batch + k] + 1 end
    local loss, _, first = step(batch(f, case, "x", nil, i), trit.tensor(y))
    check_step(f, case, a, net, i, loss)
    if first then
      local want = f:read_numbers(case .. "/out/loss_first")[i]
      assert.is_true(math.abs(first - want) <= TOLERANCE.last_loss * math.max(1, want),
        ("%s step %d: loss of the threshold pass %.7g, expected %.7g"):format(case, i, first, want))
    end
  end
  check_end(f, case, net)
end

-- Of this trajectory the third step, four images with an activation within rounding of 0, is a fork: whether
-- a rectifier opens there decides the fifth loss by 1 %.  Which way the fast convolutions go changes with
-- their order of summation, so the whole path is walked with exact ones, and the fast ones take each of its
-- steps from where the exact ones stand: loss and every gradient.
local FORKED = "train_resnet20.h5/000_float"

local function copy_of(net)
  local copy = {}
  for key, t in pairs(net:state_dict()) do copy[key] = t:clone() end
  return copy
end

--- Loss and gradients, by name, of a copy of `net` in a convolution mode.
local function gradients(f, case, a, net, mode, x, t)
  local other, out = model(f, case, a):train(), {}
  other:load_state_dict(copy_of(net))
  local old = trit.core.conv_mode(mode)
  local ok, loss = pcall(function()
    local loss = trit.cross_entropy(other(x), t)
    loss:backward()
    return loss:item()
  end)
  trit.core.conv_mode(old)
  if not ok then error(loss, 0) end
  local list = other:parameters()
  for i, p in ipairs(list) do out[list.names[i]] = p.grad end
  return loss, out
end

local function check_gradients(what, fast, exact)
  for name, g in pairs(exact) do
    local e = fast[name]:max_difference(g) / trit.max(trit.abs(g)):item()
    assert.is_true(e <= TOLERANCE.gradients, ("%s: the gradient of %s is off by %.2g"):format(what, name, e))
  end
end

local function each_step_alone(f, case)
  local a = attributes(f, case)
  local net = model(f, case, a):train()
  local step = steps.new { model = net, loss = function(z, y) return trit.cross_entropy(z, y) end,
    optimizer = (optimizers(net, a)) }
  local labels = f:read_numbers(case .. "/in/y")
  for i = 1, a.steps do
    local y = {}
    for k = 1, a.batch do y[k] = labels[(i - 1) * a.batch + k] + 1 end
    local x, t = batch(f, case, "x", nil, i), trit.tensor(y)
    local fast, fast_gradients = gradients(f, case, a, net, "auto", x, t)
    local exact, exact_gradients = gradients(f, case, a, net, "exact", x, t)
    local want = f:read_numbers(case .. "/out/loss")[i]
    for _, loss in ipairs { fast, exact } do
      assert.is_true(math.abs(loss - want) <= TOLERANCE.first_loss * want,
        ("%s step %d: loss %.7g, expected %.7g"):format(case, i, loss, want))
    end
    check_gradients(("%s step %d"):format(case, i), fast_gradients, exact_gradients)
    local old = trit.core.conv_mode("exact")
    local ok, message = pcall(step, x, t)
    trit.core.conv_mode(old)
    if not ok then error(message, 0) end
  end
end

for _, name in ipairs { "train_small.h5", "train_resnet8.h5", "train_resnet20.h5" } do
  describe("trajectories of " .. name, function()
    local f, why = golden.open(name)
    if not f then
      pending(why)
      return
    end
    for _, case in ipairs(f:list("")) do
      if name .. "/" .. case == FORKED then
        it("follows " .. case .. " with exact convolutions", function()
          local old = trit.core.conv_mode("exact")
          local ok, message = pcall(run_case, f, case)
          trit.core.conv_mode(old)
          if not ok then error(message, 0) end
        end)
        it("takes the steps of " .. case .. " with fast ones", function() each_step_alone(f, case) end)
      else
        it("follows " .. case, function() run_case(f, case) end)
      end
    end
  end)
end
