--- Discrimination-aware channel pruning (Zhuang et al., NeurIPS 2018, arXiv:1810.11809): channels are added
-- one by one where the gradient of L = L_M + lambda L_S is largest, L_M the distance from the original
-- layer's output, L_S a classification loss on this layer's output; after each, the kept weights take a
-- gradient step.
--
-- Here L_S looks through average pooling and a linear classifier fitted to the layer's output before the
-- selection (the paper trains an auxiliary head with batch norm along the network, stage by stage).

local core = require "trit.core"
local channels = require "trit.channels"

local ops = core.ops
local M = {}

local KEEP, IMAGES, TUNE = 0.5, 32, 0.2 -- share of channels; sampled; learning rate of the fine-tuning
local LAMBDA, STEP, FIT = 1, 0.01, 30 -- the paper's best; of the weights; steps of the classifier's fit

local function head_of(out, y, classes)
  local fc = require("trit.nn").linear { out:shape()[2], classes, seed = 1 }
  local opt = require("trit.optim").adam(fc:parameters(), { lr = 0.05 })
  local pooled = ops.global_avg_pool(ops.relu(out))
  for _ = 1, FIT do
    ops.cross_entropy(fc(pooled), y):backward()
    opt:step()
    fc:zero_grad()
  end
  return fc
end

-- Frobenius norm of the gradient per input channel.
local function channel_norms(g)
  return ops.sqrt((g * g):sum { axes = { 1, 3, 4 } }):totable()
end

--- The kept input channels of a layer, in the order chosen.  w: its weight (a leaf; kept channels move).
function M.select(o)
  local w0 = o.weight:detach()
  local old = core.grad_enabled(false)
  local target = ops.conv2d(o.input, w0, nil, nil, o.options)
  core.grad_enabled(true)
  local head, c = head_of(target, o.labels, o.classes), w0:shape()[2]
  local mask, w, kept, taken = core.zeros { 1, c, 1, 1 }, w0:clone(), {}, {}
  for _ = 1, o.keep do
    local used = (w * mask):detach():requires_grad(true)
    local out = ops.conv2d(o.input, used, nil, nil, o.options)
    local d = out - target
    local loss = (d * d):sum() * (0.5 / out:numel())
      + ops.cross_entropy(head(ops.global_avg_pool(ops.relu(out))), o.labels) * (o.lambda or LAMBDA)
    loss:backward()
    local best
    for j, norm in ipairs(channel_norms(used.grad)) do
      if not taken[j] and (not best or norm > best.norm) then best = { j = j, norm = norm } end
    end
    taken[best.j] = true
    kept[#kept + 1] = best.j
    mask:set(1, best.j, 1, 1, 1)
    core.grad_enabled(false)
    w:copy(w - used.grad * mask * (o.step or STEP))
    core.grad_enabled(true)
    head:zero_grad()
  end
  core.grad_enabled(old)
  return kept, w
end

--- Prune every target of a network on a batch x, labels y.
function M.prune(net, x, y, o)
  for _, target in ipairs(channels.targets(net)) do
    local weight = target.layer.weight
    local keep = math.max(1, math.floor(weight:shape()[2] * (o.keep or KEEP) + 0.5))
    local kept, w = M.select { input = channels.input_of(net, target.layer, x), weight = weight, labels = y,
      options = target.layer.options, classes = o.classes, keep = keep }
    weight:copy(w)
    channels.keep(target, kept)
  end
end

local function train(job, d)
  local methods = require "trit.methods"
  local net, epochs = methods.float_start(job)
  local x, y = channels.batch(job.data, IMAGES)
  M.prune(net, x, y, { classes = job.data.classes })
  local _, bits = require("trit.train").sparsity(net)
  return methods.fit(net, job, { epochs = epochs, lr = job.lr * TUNE, label = d.name, out = job.out,
    config = { method = d.name, bits = bits } }), net
end

return setmetatable({ { name = "dcp",
  doc = "half of the inner channels kept for what they tell apart (Zhuang et al. 2018)",
  train = train, published = { { set = "CIFAR-10", network = "ResNet-56", degradation = 0.31,
    source = "1810.11809" } } } },
  { __index = M })
