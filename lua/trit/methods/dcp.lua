--- Discrimination-aware channel pruning (Zhuang et al., NeurIPS 2018, arXiv:1810.11809).
--
-- P losses L_S^p along the network, cross-entropy behind BN, ReLU, average pooling and a linear layer on O_p,
-- part it into P + 1 stages; the last one's loss is the network's own, L_f.  Stage by stage: fine-tune with
-- L_S^p + L_f; then in every layer of the stage, front to back, take up input channels one by one,
--   L = L_M + lambda L_S^p      L_M = 1/(2Q) |O^b - O|^2, O^b the original network's output of this layer
--   A <- A + argmax_{j not in A} |dL/dW_j|_F, then steps of SGD on the weights of A
-- until ceil(keep c) are kept or |L_{t-1} - L_t| / L_0 <= epsilon.  L_S^p sees the network from the layer to
-- O_p.
--
-- Ours: batch norms use their running statistics while channels are chosen; a channel taken up starts from
-- its trained weights; O_p is the block's output in residual networks; size of the steps, epochs a stage.

local core = require "trit.core"
local channels = require "trit.channels"
local mode = require "trit.nn.mode"

local ops = core.ops
local M = {}

local KEEP, IMAGES, TUNE = 0.5, 32, 0.2 -- share of channels; sampled; learning rate of the fine-tuning
local LAMBDA, STEP, STEPS = 1, 0.01, 2 -- the paper's best; of SGD on the kept weights, after each channel
local MANY, STAGE = 16, 0.1 -- layers from which there are 3 losses, not 2; share of the epochs, a stage

local function head(width, classes, seed)
  local nn = require "trit.nn"
  return nn.sequential { nn.batch_norm { width }, nn.lambda(ops.relu), nn.lambda(ops.global_avg_pool),
    nn.linear { width, classes, seed = seed } }
end

--- The stages of a network, front to back: { targets =, module = whose result is O_p, head = }; the last has
-- the network's own loss.  x: a batch; o = { classes, losses, seed }.
function M.stages(net, x, o)
  local targets, stages = channels.targets(net), {}
  local losses = math.min(o.losses or #targets >= MANY and 3 or 2, #targets - 1)
  for i, target in ipairs(targets) do
    local p = (i - 1) * (losses + 1) // #targets + 1
    stages[p] = stages[p] or { targets = {} }
    table.insert(stages[p].targets, target)
    stages[p].last = target
  end
  for p = 1, losses do
    local stage = stages[p]
    local block = stage.last.name:match("^(.+)%.conv%d%.weight$")
    stage.module = block and net:find(block) or stage.last.layer
    stage.head = head(channels.output_of(net, stage.module, x):shape()[2], o.classes, (o.seed or 1) + p)
  end
  return stages
end

--- The network's answer on x while f sees a stage's logits of it: logits, stage's logits.
local function answers(net, stage, x)
  local seen
  local guard <close> = stage.head and channels.watch(stage.module, -- luacheck: ignore guard
    function(out) seen = stage.head(out) end)
  local logits = net(x)
  return logits, seen or logits
end

--- L_M + lambda L_S^p of a layer on a batch, target the output it should have.
function M.objective(net, layer, stage, x, y, target, lambda)
  local distance
  local guard <close> = channels.watch(layer, function(out) -- luacheck: ignore guard
    local d = out - target
    distance = (d * d):sum() * (0.5 / out:numel())
  end)
  local _, logits = answers(net, stage, x)
  return distance + ops.cross_entropy(logits, y) * (lambda or LAMBDA)
end

local function strongest(g, taken)
  local norms, best = ops.sqrt((g * g):sum { axes = { 1, 3, 4 } }):totable(), nil
  for j, norm in ipairs(norms) do
    if not taken[j] and (not best or norm > norms[best]) then best = j end
  end
  return best
end

-- All that trains in a network and a head, but one tensor.
local function others(net, stage, w)
  local list = {}
  for _, m in ipairs { net, stage.head } do
    for _, t in ipairs(m:parameters()) do
      if t ~= w then list[#list + 1] = t end
    end
  end
  return list
end

--- The kept input channels of a layer in the order chosen; its weights move.  objective() is L with the
-- layer's weight as it stands; o = { keep = how many, epsilon, step, steps }.
function M.select(w, objective, o)
  local c, kept, taken = w:shape()[2], {}, {}
  local mask, all = core.zeros { 1, c, 1, 1 }, w:detach():clone()
  local function write(value)
    local old = core.grad_enabled(false)
    w:copy(value)
    core.grad_enabled(old)
  end
  local function gradient()
    write(all:detach() * mask)
    w:zero_grad()
    local loss = objective()
    loss:backward()
    return w.grad, loss:item()
  end
  local g, first = gradient()
  local last, gain = first, math.huge
  while #kept < math.min(o.keep, c) and gain > (o.epsilon or -1) do
    local best = strongest(g, taken)
    taken[best], kept[#kept + 1] = true, best
    mask:set(1, best, 1, 1, 1)
    for _ = 1, o.steps or STEPS do
      all:copy(all - gradient() * mask * (o.step or STEP))
    end
    local loss
    g, loss = gradient()
    last, gain = loss, math.abs(last - loss) / first
  end
  w:zero_grad()
  write(all)
  return kept
end

local function prune_layer(net, original, target, stage, x, y, o)
  local w = target.layer.weight
  local want = channels.output_of(original, original:find(target.name:match("^(.+)%.weight$")), x)
  net:eval()
  if stage.head then stage.head:eval() end
  local guard <close> = mode.frozen(others(net, stage, w)) -- luacheck: ignore guard
  local kept = M.select(w, function()
    return M.objective(net, target.layer, stage, x, y, want, o.lambda)
  end, { keep = math.ceil(w:shape()[2] * (o.keep or KEEP)), epsilon = o.epsilon })
  channels.keep(target, kept)
end

--- Prune `net` on a batch x, y; `original` is a copy that stays as it is.  o = { classes, losses, keep,
-- epsilon, lambda, tune = function(stage) that fine-tunes before a stage's layers are pruned, seed }.
function M.prune(net, original, x, y, o)
  for _, stage in ipairs(M.stages(net, x, o)) do
    if o.tune then o.tune(stage) end
    for _, target in ipairs(stage.targets) do prune_layer(net, original, target, stage, x, y, o) end
  end
  net:train()
end

-- Epochs of L_S^p + L_f.
local function tune_stage(net, job, stage, epochs, lr)
  local methods = require "trit.methods"
  local both, seen = { parameters = function() return others(net, stage) end }, nil
  if stage.head then stage.head:train() end
  local guard <close> = stage.head and channels.watch(stage.module, -- luacheck: ignore guard
    function(out) seen = stage.head(out) end)
  methods.fit(net, job, { epochs = epochs, label = "dcp stage", log = false,
    optimizer = methods.sgd(both, job, lr), loss = function(logits, y)
      local loss = ops.cross_entropy(logits, y)
      return stage.head and loss + ops.cross_entropy(seen, y) or loss
    end })
end

local function train(job, d)
  local methods = require "trit.methods"
  local net, epochs = methods.float_start(job)
  local original = job.model()
  original:load_state_dict(net:state_dict())
  local x, y = channels.batch(job.data, job.images or IMAGES)
  local lr, each = job.lr * TUNE, math.max(1, math.floor(epochs * STAGE))
  M.prune(net, original, x, y, { classes = job.data.classes, keep = job.keep, epsilon = job.epsilon,
    seed = job.seed, tune = function(stage)
      tune_stage(net, job, stage, each, lr)
      epochs = math.max(1, epochs - each)
    end })
  local _, bits = require("trit.train").sparsity(net)
  return methods.fit(net, job, { epochs = epochs, lr = lr, label = d.name, out = job.out,
    config = { method = d.name, bits = bits } }), net
end

return setmetatable({ { name = "dcp",
  doc = "half of the inner channels kept for what they tell apart (Zhuang et al. 2018)",
  train = train, published = { { set = "CIFAR-10", network = "ResNet-56", degradation = 0.31,
    source = "1810.11809" } } } },
  { __index = M })
