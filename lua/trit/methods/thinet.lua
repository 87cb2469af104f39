--- ThiNet (Luo, Wu & Lin, ICCV 2017, arXiv:1707.06342): input channels whose contributions the next layer
-- misses least are removed greedily, the others rescaled by least squares, then everything is fine-tuned.

local core = require "trit.core"
local channels = require "trit.channels"

local M = {}

local KEEP, IMAGES, TUNE = 0.5, 16, 0.2 -- share of channels; sampled; learning rate of the fine-tuning

--- Prune the inputs of every target of a network; o: keep, and what channels.contributions takes.  Returns
-- the shares kept, by name.
function M.prune(net, x, o)
  local report = {}
  for _, target in ipairs(channels.targets(net)) do
    local w = target.layer.weight
    local c = w:shape()[2]
    local X, y = channels.contributions(target.layer, channels.input_of(net, target.layer, x), w:detach(), o)
    local keep = math.max(1, math.floor(c * (o.keep or KEEP) + 0.5))
    local _, kept = channels.greedy(X, c - keep)
    local scales = channels.scales(X, y, kept)
    local old, factor = core.grad_enabled(false), core.ones { c }
    for i, k in ipairs(kept) do factor:set(k, scales[i]) end
    w:copy(w * core.ops.reshape(factor, { shape = { 1, c, 1, 1 } }))
    core.grad_enabled(old)
    channels.keep(target, kept)
    report[target.name] = #kept / c
  end
  return report
end

local function train(job, d)
  local methods = require "trit.methods"
  local net, epochs = methods.float_start(job)
  M.prune(net, channels.batch(job.data, job.images or IMAGES), { seed = job.seed, keep = job.keep,
    filters = job.filters, places = job.places })
  local _, bits = require("trit.train").sparsity(net)
  return methods.fit(net, job, { epochs = epochs, lr = job.lr * TUNE, label = d.name, out = job.out,
    config = { method = d.name, bits = bits } }), net
end

return setmetatable({ { name = "thinet",
  doc = "half of the inner channels removed greedily (Luo et al. 2017)",
  train = train, published = { { set = "CIFAR-10", network = "ResNet-56", degradation = 0.82,
    source = "DCP, table 1" } } } },
  { __index = M })
