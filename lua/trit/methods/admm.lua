--- Extremely low bit by ADMM (Leng et al. 2018, arXiv:1707.09870): the float loss, weights pulled to the
-- scaled codebook.
--
--   W   prediction W_p = W - beta_p d(W), correction W <- W - beta_c d(W_p),
--       d(V) = grad f(V) + rho (V - G + U)
--   G = projection(W + U)      U <- U + W - G      refreshed 20 times a training
-- With a refresh rho grows by `growth` and U, the multiplier in units of rho, is divided by it (Boyd et al.
-- 2011, 3.4.1).  The pull is part of the quantizer's gradient (trit.quant.admm); here are the dual update,
-- the extragradient step, and an iterative projection beside the exact one.  At the end G is deployed:
-- outside the training the quantizer is the projection of W itself.  rho, its growth and the refresh are
-- ours: job.rho, job.growth, job.refreshes.

local core = require "trit.core"
local quant = require "trit.quant"
local schemes = require "trit.schemes"

local M = {}

local RHO, GROWTH = 1e-3, 1.5 -- first strength of the pull; factor per refresh
local REFRESHES = 20 -- of a training: the pull ends at 3.3, where W has all but become G

--- One round on plain tensors: o = { W, G, U, rho, beta_p, beta_c, grad = function(V) -> grad f(V),
-- codebook } -> { predicted, W, G, U }.
function M.round(o)
  local function d(v) return o.grad(v) + (v - o.G + o.U) * o.rho end
  local predicted = o.W - d(o.W) * o.beta_p
  local w = o.W - d(predicted) * o.beta_c
  local g = quant.admm { codebook = o.codebook or "ternary" }(w + o.U)
  return { predicted = predicted, W = w, G = g, U = o.U + w - g }
end

--- Projection by iteration: q = nearest codeword of v/alpha, alpha = <v,q>/<q,q>, until q stays; may end in
-- a local optimum.  v: flat list; levels: magnitudes in ascending order.  Returns alpha, q.
function M.iterate(v, levels, alpha)
  local q
  repeat
    local moved, vq, qq = false, 0, 0
    q = q or {}
    for i, x in ipairs(v) do
      local k = 1
      while k < #levels and math.abs(x) > alpha * (levels[k] + levels[k + 1]) / 2 do k = k + 1 end
      local new = x < 0 and -levels[k] or levels[k]
      moved, q[i] = moved or q[i] ~= new, new
      vq, qq = vq + x * new, qq + new * new
    end
    if qq > 0 then alpha = vq / qq end
  until not moved
  return alpha, q
end

local function each(net)
  local list = {}
  for name, m in net:quantizable() do
    local q = rawget(m, "quantizer")
    if q and q.name == "admm" then list[#list + 1] = { name = name, w = m.weight, q = q } end
  end
  return list
end

--- Dual variables of a network: starts the pull with strength rho; { refresh = f(growth) } moves G, U and
-- rho of all its layers.  They are kept in the quantizers, so a resumed run has them.
function M.dual(net, rho)
  local layers = each(net)
  for _, l in ipairs(layers) do l.q.rho:fill(rho or RHO) end
  local function refresh(growth)
    local old = core.grad_enabled(false)
    for _, l in ipairs(layers) do
      local projection = quant.admm { codebook = l.q.options.codebook, granularity = l.q.options.granularity }
      local g = projection(l.w + l.q.dual)
      l.q.dual:copy((l.q.dual + l.w - g) / growth)
      l.q.target:copy(g - l.q.dual)
      l.q.rho:copy(l.q.rho * growth)
    end
    core.grad_enabled(old)
  end
  refresh(1)
  return { refresh = refresh, layers = layers }
end

local Extragradient = {}
Extragradient.__index = Extragradient

-- The optimizer's step as prediction, then a second gradient on the same batch as correction.
function Extragradient:step()
  local saved = {}
  local old = core.grad_enabled(false)
  for _, l in ipairs(self.layers) do
    saved[l] = l.w:clone()
    if l.w.grad then l.w:copy(l.w - l.w.grad * self:lr()) end
  end
  core.grad_enabled(old)
  self.net:zero_grad()
  self.again()
  old = core.grad_enabled(false)
  for _, l in ipairs(self.layers) do l.w:copy(saved[l]) end
  core.grad_enabled(old)
  self.inner:step()
end

for _, name in ipairs { "zero_grad", "set_lr", "lr", "describe", "state_dict", "load_state_dict" } do
  Extragradient[name] = function(self, ...) return self.inner[name](self.inner, ...) end
end

--- An optimizer that corrects with the gradient at the predicted weights.  `again` runs forward and backward
-- once more on the batch at hand.
function M.extragradient(net, inner, again)
  return setmetatable({ net = net, inner = inner, again = again, layers = each(net) }, Extragradient)
end

local FINE_TUNE = 0.2 -- of the learning rate

local function train(job, d)
  local methods = require "trit.methods"
  local net, epochs = methods.float_start(job)
  methods.wrap(d, net, job)
  local dual, batch = M.dual(net, job.rho), {}
  local lr = job.lr * FINE_TUNE
  local function loss(logits, y, x)
    batch.x, batch.y = x, y
    return core.ops.cross_entropy(logits, y)
  end
  local optimizer = M.extragradient(net, methods.sgd(net, job, lr), function()
    core.ops.cross_entropy(net(batch.x), batch.y):backward()
  end)
  local _, bits = require("trit.train").sparsity(net)
  local total = math.min(job.max_steps or math.huge, epochs * job.data.batches)
  local every = math.max(1, total // (job.refreshes or REFRESHES))
  local result = methods.fit(net, job, { epochs = epochs, label = d.name, optimizer = optimizer, loss = loss,
    hooks = { step = function(run) if run.step % every == 0 then dual.refresh(job.growth or GROWTH) end end },
    out = job.out,
    config = { method = d.name, bits = bits } })
  schemes.reestimate_bn(net, job.data) -- G takes the place of W
  local v = require("trit.train").evaluate(net, job.data:test())
  result.top1, result.best_top1 = v.top1, math.max(v.top1, result.best_top1)
  return result, net
end

return setmetatable({
  { name = "admm", doc = "float training pulled to the exact ternary projection (Leng et al. 2018)",
    ends = "float",
    weights = quant.admm {}, train = train,
    published = { { set = "ImageNet", network = "ResNet-18", degradation = 2.1, ends = "float",
      source = "1707.09870 (FP unverified)" } } },
}, { __index = M })
