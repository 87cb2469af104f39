--- Choosing input channels of convolutions: what channel pruning, ThiNet and DCP share.
--
-- Channels are cut off by masks (trit.quant.pruned): the layer's weights for an input channel, and the filter
-- that makes it where that is known (conv2's inputs are conv1's outputs in a residual block).

local core = require "trit.core"
local linear = require "trit.linear"
local mode = require "trit.nn.mode"
local quant = require "trit.quant"

local ops = core.ops
local channels = {}

--- Layers whose inputs may be chosen, front to back: { name =, layer =, maker = layer or nil }.  In
-- networks of residual blocks those are the convolutions after the first of a block; else all but the first
-- convolution.
function channels.targets(net)
  local all, blocks, list = {}, {}, {}
  for name, m in net:quantizable() do
    if #m.weight:shape() == 4 and (m.options.groups or 1) == 1 then
      all[#all + 1] = { name = name, layer = m }
      blocks[name] = m
    end
  end
  for _, t in ipairs(all) do
    local head, number = t.name:match("^(.+%.conv)(%d)%.weight$")
    if head and tonumber(number) > 1 then
      t.maker = blocks[("%s%d.weight"):format(head, number - 1)]
      if t.maker then list[#list + 1] = t end
    end
  end
  if #list == 0 then table.move(all, 2, #all, 1, list) end
  return list
end

--- f(result, input) at every call of a module, inside its network, until closed:
-- local guard <close> = channels.watch(module, f).
function channels.watch(module, f)
  local before = rawget(module, "forward")
  local forward = before or getmetatable(module).forward
  rawset(module, "forward", function(self, input)
    local out = forward(self, input)
    f(out, input)
    return out
  end)
  return setmetatable({}, { __close = function() rawset(module, "forward", before) end })
end

-- What a batch is, at a module of a network in evaluation: its result, or with `which` 2 its input.
local function seen_at(net, module, x, which)
  local seen
  local evaluation <close> = mode.evaluation(net) -- luacheck: ignore evaluation
  local guard <close> = channels.watch(module, function(...) -- luacheck: ignore guard
    seen = select(which, ...):clone():keep()
  end)
  net(x)
  return seen
end

--- Inputs of a layer for a batch, as they stand in the network (a tensor of its own).
function channels.input_of(net, layer, x) return seen_at(net, layer, x, 2) end

--- Results of a module for a batch, likewise.
function channels.output_of(net, module, x) return seen_at(net, module, x, 1) end

--- The batch norm behind a convolution of a network, by names (conv2 and bn2, features.3 and features.4), or
-- nil.
function channels.norm_of(net, name)
  local head, number = name:match("^(.*)conv(%d)%.weight$")
  local path = head and ("%sbn%s"):format(head, number)
  if not head then
    head, number = name:match("^(.*%.)(%d+)%.weight$")
    path = head and ("%s%d"):format(head, number + 1)
  end
  local m = path and net:find(path)
  return m and m.kind == "batch_norm" and m or nil
end

--- The residual block whose branch ends with this convolution, or nil.
function channels.block_of(net, name)
  local head, number = name:match("^(.+)%.conv(%d)%.weight$")
  local block = head and net:find(head)
  if not block or not block.shortcut or rawget(block, "conv" .. number + 1) then return nil end
  return block
end

-- Pseudo-random whole number in 1..n, of (seed, i).
local function pick(seed, i, n)
  return 1 + core.rand({ 1 }, { seed = seed * 65536 + i, stream = 7 }):item() * n // 1 | 0
end

--- Sampled outputs of a layer as sums over input channels (methods 2.13): rows of contributions and their
-- sums.  x: the layer's input; weight: what it computes with; o = { filters = 8, places = 10, seed = 1 };
-- `more`, in the shape of the outputs, is added to the sums.  Returns X[row][channel], y[row].
function channels.contributions(layer, x, weight, o, more)
  local shape, n, X, y = weight:shape(), x:shape()[1], {}, {}
  more = more and more:totable()
  local c, draw = shape[2], 0
  local old = core.grad_enabled(false)
  for f = 1, o.filters or 8 do
    local filter = pick(o.seed or 1, f, shape[1])
    local one = ops.slice(weight, { start = { filter - 1 }, stop = { filter } })
    local apart = core.zeros { c, 1, shape[3], shape[4] }:copy(ops.reshape(one, { shape = { c, 1, shape[3],
      shape[4] } }))
    local out = ops.conv2d(x, apart, nil, nil, { stride = layer.options.stride,
      padding = layer.options.padding,
      dilation = layer.options.dilation, groups = c })
    local size, t = out:shape(), out:totable()
    for image = 1, n do
      for _ = 1, o.places or 10 do
        draw = draw + 1
        local place = pick((o.seed or 1) + 1, draw, size[3] * size[4]) - 1
        local i, j = place // size[4] + 1, place % size[4] + 1
        local row, sum = {}, more and more[image][filter][i][j] or 0
        for k = 1, c do
          row[k] = t[image][k][i][j]
          sum = sum + row[k]
        end
        X[#X + 1], y[#y + 1] = row, sum
      end
    end
  end
  core.grad_enabled(old)
  return X, y
end

--- ThiNet's choice: greedily the `remove` channels whose contributions sum to least; list of removed ones in
-- order, kept ones ascending.
function channels.greedy(X, remove)
  local c, G = #X[1], {}
  for i = 1, c do
    G[i] = {}
    for j = 1, c do G[i][j] = 0 end
  end
  for _, row in ipairs(X) do
    for i = 1, c do
      for j = i, c do G[i][j] = G[i][j] + row[i] * row[j] end
    end
  end
  for i = 1, c do for j = 1, i - 1 do G[i][j] = G[j][i] end end
  local removed, gone, cross = {}, {}, {}
  for i = 1, c do cross[i] = 0 end -- with the sum of those removed
  for _ = 1, remove do
    local best
    for j = 1, c do
      local cost = 2 * cross[j] + G[j][j]
      if not gone[j] and (not best or cost < 2 * cross[best] + G[best][best]) then best = j end
    end
    gone[best] = true
    removed[#removed + 1] = best
    for j = 1, c do cross[j] = cross[j] + G[best][j] end
  end
  local kept = {}
  for j = 1, c do if not gone[j] then kept[#kept + 1] = j end end
  return removed, kept
end

local function columns(X, kept)
  local out = {}
  for r, row in ipairs(X) do
    out[r] = {}
    for i, k in ipairs(kept) do out[r][i] = row[k] end
  end
  return out
end

--- Scales of the kept channels that restore y best; 1 where they are not determined.
function channels.scales(X, y, kept)
  local s = linear.least_squares(columns(X, kept), y)
  if s then return s end
  local ones = {}
  for i = 1, #kept do ones[i] = 1 end
  return ones
end

local WIDE, TRIES = 1.1, 60 -- support allowed above the wish; steps of the search for lambda

--- Channel pruning's choice: LASSO with lambda raised by doubling, then bisected, until between `keep` and
-- 1.1 keep channels are left; of those the `keep` largest.  Ascending list.
function channels.lasso(X, y, keep)
  local lo, hi, lambda, beta = 0, nil, 1e-4, nil
  local function support()
    local n = 0
    for _, v in ipairs(beta) do n = n + (v ~= 0 and 1 or 0) end
    return n
  end
  for _ = 1, TRIES do
    beta = linear.lasso(X, y, lambda)
    local n = support()
    if n >= keep and n <= math.max(keep, WIDE * keep // 1) then break end
    if n < keep then hi = lambda else lo = lambda end
    lambda = hi and (lo + hi) / 2 or lambda * 2
  end
  local order = {}
  for i = 1, #beta do order[i] = i end
  table.sort(order, function(a, b)
    if math.abs(beta[a]) ~= math.abs(beta[b]) then return math.abs(beta[a]) > math.abs(beta[b]) end
    return a < b
  end)
  local kept = table.move(order, 1, keep, 1, {})
  table.sort(kept)
  return kept, beta
end

local function vector(n, kept, shape)
  local v = core.zeros { n }
  for _, k in ipairs(kept) do v:set(k, 1) end
  return ops.reshape(v, { shape = shape })
end

local function masked(layer)
  local q = rawget(layer, "quantizer")
  if q and q.name == "pruned" then return q end
  layer:set_quantizer(quant.pruned { quality = 0 })
  return layer.quantizer
end

--- Keep only these input channels of a target, and only the filters that make them.
function channels.keep(target, kept)
  local c = target.layer.weight:shape()[2]
  local old = core.grad_enabled(false)
  local q = masked(target.layer)
  q.mask:copy(q.mask * vector(c, kept, { 1, c, 1, 1 }))
  if target.maker then
    local p = masked(target.maker)
    p.mask:copy(p.mask * vector(c, kept, { c, 1, 1, 1 }))
  end
  core.grad_enabled(old)
end

--- One batch of training images, for samples.
function channels.batch(data, images)
  local iterator, state, control, pass = data:train(0)
  local guard <close> = pass -- luacheck: ignore guard
  local x, y = iterator(state, control)
  if images and x:shape()[1] > images then
    x = core.zeros({ images, x:shape()[2], x:shape()[3], x:shape()[4] })
      :copy(ops.slice(x, { start = { 0 }, stop = { images } }))
    y = core.zeros({ images }):copy(ops.slice(y, { start = { 0 }, stop = { images } }))
  end
  return x, y
end

return channels
