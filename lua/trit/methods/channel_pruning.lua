--- Channel pruning by LASSO (He, Zhang & Sun, ICCV 2017, arXiv:1707.06168): for every layer, front to back,
-- the channels whose weighted contributions rebuild the original network's outputs, then least squares for
-- the weights that stay and for a bias.  Inputs come from the network pruned so far, outputs Y from the
-- original.  The last convolution of a residual branch is fitted to Y + Y1 - Y1', Y1 the shortcut's value in
-- the original network and Y1' in the pruned one, so that the sum is right.
--
-- A batch norm stands between the convolution and the sum: the shortcut's error is taken in units of its
-- input, times sqrt(var + eps)/gamma of each filter (0 where gamma is next to nothing).  The bias goes into
-- the convolution's own or, where it has none, into the batch norm's running mean.

local core = require "trit.core"
local channels = require "trit.channels"
local linear = require "trit.linear"
local mode = require "trit.nn.mode"

local M = {}

local KEEP, IMAGES, TUNE = 0.5, 16, 0.2 -- share of channels; sampled; learning rate of the fine-tuning
local PLACES, RIDGE = 60, 1e-4 -- per image for the weights' fit; of the diagonal's mean
local LEAST_GAMMA = 1e-2 -- of a filter whose branch can mend the shortcut

-- Input patches (kept channels, then 1 for the bias) and wanted outputs at sampled places: rows of P, Y.
-- sample: seed, fit_places.
local function patches(layer, x, out, kept, bias, sample)
  local o, shape = layer.options, layer.weight:shape()
  local stride = type(o.stride) == "table" and o.stride or { o.stride, o.stride }
  local padding = type(o.padding) == "table" and o.padding or { o.padding, o.padding }
  local xs, ys, size, P, Y = x:totable(), out:totable(), out:shape(), {}, {}
  local places = core.rand({ #xs, sample.fit_places or PLACES },
    { seed = sample.seed or 1, stream = 7 }):totable()
  for image = 1, #xs do
    for _, u in ipairs(places[image]) do
      local place = math.floor(u * size[3] * size[4])
      local row, column, p, y = place // size[4], place % size[4], {}, {}
      for _, c in ipairs(kept) do
        for a = 0, shape[3] - 1 do
          local line = xs[image][c][row * stride[1] + a - padding[1] + 1]
          for b = 0, shape[4] - 1 do
            p[#p + 1] = line and line[column * stride[2] + b - padding[2] + 1] or 0
          end
        end
      end
      if bias then p[#p + 1] = 1 end
      for f = 1, size[2] do y[f] = ys[image][f][row + 1][column + 1] end
      P[#P + 1], Y[#Y + 1] = p, y
    end
  end
  return P, Y
end

-- W of the kept channels with least |P W - Y|^2, written into the layer; returns the row of biases, if any.
local function refit(layer, kept, P, Y)
  local shape, p, y = layer.weight:shape(), core.tensor(P), core.tensor(Y)
  local A = core.ops.matmul(p, p, { transpose_a = true }):totable()
  local B = core.ops.matmul(p, y, { transpose_a = true }):totable()
  local W = linear.solve_many(A, B, RIDGE)
  if not W then return nil end
  for f = 1, shape[1] do
    local i = 0
    for _, c in ipairs(kept) do
      for a = 1, shape[3] do
        for b = 1, shape[4] do
          i = i + 1
          layer.weight:set(f, c, a, b, W[i][f])
        end
      end
    end
  end
  return W[#kept * shape[3] * shape[4] + 1]
end

local function take_bias(layer, norm, b)
  local bias, t = rawget(layer, "bias"), core.tensor(b)
  if bias then bias:copy(bias + t) else norm.running_mean:copy(norm.running_mean - t) end
end

-- What the branch's last convolution has to give besides, in units of its output; nil elsewhere.
local function shortcut_error(net, original, target, x)
  local block, before = channels.block_of(net, target.name), channels.block_of(original, target.name)
  if not block then return nil end
  local evaluation <close> = mode.evaluation(net) -- luacheck: ignore evaluation
  local unchanged <close> = mode.evaluation(original) -- luacheck: ignore unchanged
  local off = before:shortcut(channels.input_of(original, before, x))
    - block:shortcut(channels.input_of(net, block, x))
  local norm = channels.norm_of(net, target.name)
  if not norm then return off end
  local units, gamma = {}, norm.weight:detach():totable()
  for f, var in ipairs(norm.running_var:totable()) do
    units[f] = math.abs(gamma[f]) > LEAST_GAMMA and math.sqrt(var + norm.eps) / gamma[f] or 0
  end
  return off * core.ops.reshape(core.tensor(units), { shape = { 1, #units, 1, 1 } })
end

local function prune_layer(net, original, target, before, x, o)
  local layer, norm = target.layer, channels.norm_of(net, target.name)
  local c = layer.weight:shape()[2]
  local input, input0 = channels.input_of(net, layer, x), channels.input_of(original, before, x)
  local more = shortcut_error(net, original, target, x)
  local X = channels.contributions(layer, input, layer.weight:detach(), o)
  local _, y = channels.contributions(before, input0, before.weight:detach(), o, more)
  local kept = channels.lasso(X, y, math.max(1, math.floor(c * (o.keep or KEEP) + 0.5)))
  local old = core.grad_enabled(false)
  local out = core.ops.conv2d(input0, before.weight, nil, nil, before.options)
  if more then out = out + more end
  local biased = norm ~= nil or rawget(layer, "bias") ~= nil
  local b = refit(layer, kept, patches(layer, input, out, kept, biased, o))
  if b then take_bias(layer, norm, b) end
  core.grad_enabled(old)
  channels.keep(target, kept)
end

--- Prune `net`; `original` is a copy of it that stays as it is.  o: keep, fit_places, and what
-- channels.contributions takes.
function M.prune(net, original, x, o)
  local before = channels.targets(original)
  for i, target in ipairs(channels.targets(net)) do
    prune_layer(net, original, target, before[i].layer, x, o)
  end
end

local function train(job, d)
  local methods = require "trit.methods"
  local net, epochs = methods.float_start(job)
  local original = job.model()
  original:load_state_dict(net:state_dict())
  M.prune(net, original, channels.batch(job.data, job.images or IMAGES), { seed = job.seed,
    keep = job.keep, filters = job.filters, places = job.places, fit_places = job.fit_places })
  local _, bits = require("trit.train").sparsity(net)
  return methods.fit(net, job, { epochs = epochs, lr = job.lr * TUNE, label = d.name, out = job.out,
    config = { method = d.name, bits = bits } }), net
end

return setmetatable({ { name = "channel_pruning",
  doc = "half of the inner channels removed by LASSO (He et al. 2017)",
  train = train, published = { { set = "CIFAR-10", network = "ResNet-56", degradation = 1.0,
    source = "DCP, table 1" } } } },
  { __index = M })
