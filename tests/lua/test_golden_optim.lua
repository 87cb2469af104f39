-- tier: fast
-- Optimizer trajectories and gradient clipping against float64 references.
local trit = require "trit"
local golden = require "tests.lua.golden"

local TOLERANCE = 1e-5 -- golden README: optimizers at step 12

local rules = { -- golden attribute -> option
  sgd = { "momentum", "dampening", "weight_decay", "nesterov" },
  adam = { "beta1", "beta2", "eps", "weight_decay" },
  adamw = { "beta1", "beta2", "eps", "weight_decay" },
  rmsprop = { "alpha", "eps", "momentum", "centered", "weight_decay" },
}
local flags = { nesterov = true, centered = true }

local function options(a)
  local o = { lr = 0 }
  for _, name in ipairs(rules[a.optimizer]) do
    local v = a[name]
    if v ~= nil then o[name] = flags[name] and v ~= 0 or not flags[name] and v or false end
  end
  return o
end

local function row(t, i, width)
  local out = {}
  for k = 1, width do out[k] = t[(i - 1) * width + k] end
  return out
end

local function trajectory(f, case, a)
  local grads, lr = f:read_numbers(case .. "/in/grads"), f:read_numbers(case .. "/in/lr")
  local want, width = f:read_numbers(case .. "/out/p"), grads.shape[2]
  local p = f:read(case .. "/in/p0"):requires_grad(true)
  local clamp = a.grad_clamp and a.grad_clamp ~= math.huge and a.grad_clamp or nil
  local opt = trit.optim[a.optimizer]({ { params = { p }, grad_clamp = clamp } }, options(a))
  for i = 1, a.steps do
    opt:set_lr(lr[i])
    p.grad = trit.tensor(row(grads, i, width))
    opt:step()
    local e = golden.error(p, row(want, i, width))
    assert.is_true(e <= TOLERANCE, ("%s step %d is off by %.2g"):format(case, i, e))
  end
end

local function clipping(f, case, a)
  local params = {}
  for k = 0, a.inputs - 1 do
    local g = f:read(("%s/in/g%d"):format(case, k))
    params[k + 1] = g:clone():requires_grad(true)
    params[k + 1].grad = g
  end
  local norm = trit.optim.clip_grad_norm(params, a.max_norm)
  assert.is_true(golden.error({ norm }, f:read_numbers(case .. "/out/norm")) <= 1e-6)
  for k = 0, a.inputs - 1 do
    local want = f:read_numbers(("%s/out/g%d"):format(case, k))
    assert.is_true(golden.error(params[k + 1].grad, want) <= 1e-6)
  end
end

describe("optimizers", function()
  local f, why = golden.open("optim.h5")
  if not f then
    pending(why)
    return
  end
  for _, case in ipairs(f:list("")) do
    local a = f:attrs(case)
    if a.kind == "optimizer" then
      it("follow " .. case, function() trajectory(f, case, a) end)
    elseif a.kind == "clip_grad_norm" then
      it("clip as " .. case, function() clipping(f, case, a) end)
    end
  end
end)

describe("an optimizer", function()
  it("goes on exactly from its saved state", function()
    local function make()
      local p = trit.tensor { 1, 2, 3 }:requires_grad(true)
      return p, trit.optim.adam({ p }, { lr = 0.1 })
    end
    local function steps(p, opt, n)
      for _ = 1, n do
        p.grad = p:clone()
        opt:step()
      end
    end
    local p, opt = make()
    steps(p, opt, 5)
    local q, resumed = make()
    q:copy(p)
    resumed:load_state_dict(opt:state_dict())
    steps(p, opt, 5)
    steps(q, resumed, 5)
    assert.is_true(p:equal(q))
  end)

  it("keeps the ratio between groups when the rate is set", function()
    local a, b = trit.zeros { 1 }, trit.zeros { 1 }
    local opt = trit.optim.sgd({ { params = { a } }, { params = { b }, lr = 0.01, name = "slow" } },
      { lr = 0.1 })
    opt:set_lr(0.05)
    assert.are.equal(0.05, opt:lr())
    assert.is_true(math.abs(opt:lr("slow") - 0.005) < 1e-12)
  end)

  it("names an unknown option", function()
    local ok, message = pcall(trit.optim.sgd, { trit.zeros { 1 } }, { lr = 1, inertia = 0.9 })
    assert.is_false(ok)
    assert.is_truthy(message:find('sgd: unknown option "inertia"; known: lr, momentum', 1, true), message)
  end)
end)
