--- trit.schemes: what happens around a quantizer while a network trains.
--
--   local schedule = trit.schemes.follow(net, trit.schedule.cosine { epochs = 30 }, 30)
--   trit.schemes.delay(net, { share = 0.3 })              -- float for the first 30 %
--   trit.schemes.stepped(net, { blocks = 4, passes = 2 }) -- front to back, one block after the other
--   trit.schemes.freeze(net, "^conv1%.")                  -- these weights and their scales stay as they are
--   trit.schemes.reestimate_bn(net, data, { batches = 50 })
--   local watch = trit.schemes.alarms(net)                -- hooks = watch.hooks; watch.messages
--
-- Everything here depends on the share of the training that is over, which follow() takes from the
-- learning rate's schedule before every step, never on counters of its own: a run that is stopped and
-- resumed goes on exactly.

local core = require "trit.core"

local schemes = {}

local function each_quantizer(net, pattern)
  local list = {}
  for name, m in net:quantizable() do
    local q = rawget(m, "quantizer")
    if q and name:find(pattern or "") then list[#list + 1] = { name = name, layer = m, quantizer = q } end
  end
  return list
end

--- Tell every quantizer of a network how much of the training is over.
function schemes.set_progress(net, t)
  for _, e in ipairs(each_quantizer(net)) do e.quantizer:set_progress(t) end
end

local Following = {}
Following.__index = Following

function Following:rate(base, t)
  schemes.set_progress(self.net, t / self.epochs)
  return self.schedule:rate(base, t)
end

function Following:describe() return self.schedule:describe() end
function Following.__tostring(f) return tostring(f.schedule) end

--- A schedule that gives what `schedule` gives and tells the quantizers of `net` the progress, t of
-- `epochs`.  Needed by quantizers with a schedule of their own (inq, rpr, ste = "annealed", delays).
function schemes.follow(net, schedule, epochs)
  if schedule:listens() then core.raise("schemes.follow: plateau has no end; give a schedule of time") end
  return setmetatable({ net = net, schedule = schedule, epochs = epochs }, Following)
end

--- Delayed quantization: layers whose weight name matches `pattern` (default: all) stay float for the
-- first `share` of the training, then their quantizers start from the weights of that moment.
function schemes.delay(net, o)
  local list = each_quantizer(net, o.pattern)
  if #list == 0 then core.raise("schemes.delay: no quantized layer matches") end
  for _, e in ipairs(list) do e.quantizer.start = o.share end
  return net
end

--- Stepped quantization: the quantized layers in `blocks` equal groups, front to back; group k starts at
-- share (k-1)/blocks of the first `by` of the training.  With freeze, a group's weights are quantized for
-- good and no longer trained once the next group has started (UNIQ's gradual schedule); the last group
-- then trains to the end.
--
-- With `passes` (then always with freeze) the groups have their turns again, in `by` of the training
-- altogether: a group is float before its first turn, trains in its turns, and is quantized and still
-- between and after them.
function schemes.stepped(net, o)
  local list, passes, by = each_quantizer(net), o.passes or 1, o.by or 1
  if #list == 0 then core.raise("schemes.stepped: the network has no quantized layer") end
  if math.type(passes) ~= "integer" or passes < 1 then
    core.raise(("schemes.stepped: passes must be a whole number >= 1, not %s"):format(tostring(passes)))
  end
  local blocks = math.min(o.blocks or 4, #list)
  local turns = blocks * passes
  for i, e in ipairs(list) do
    local block = (i - 1) * blocks // #list
    local q, last = e.quantizer, turns - blocks + block
    q.start, q.windows = by * block / turns, nil
    if (o.freeze or passes > 1) and last < turns - 1 then q.stop = by * (last + 1) / turns end
    if passes > 1 then
      q.windows = {}
      for turn = block, last, blocks do
        q.windows[#q.windows + 1] = by * turn / turns
        q.windows[#q.windows + 1] = turn == turns - 1 and math.max(1, by) + 1 or by * (turn + 1) / turns
      end
    end
  end
  return net
end

--- Freeze (or, with on = false, train again) the weights of quantized layers that match, and what their
-- quantizers train: their gradients are neither computed nor used.
function schemes.freeze(net, pattern, on)
  local list = each_quantizer(net, pattern)
  if #list == 0 then core.raise(("schemes.freeze: no quantized layer matches %q"):format(pattern)) end
  for _, e in ipairs(list) do e.quantizer.stop = on == false and math.huge or 0 end
  return net
end

--- Re-estimate the running statistics of batch norms with the weights as they are used at test time: plain
-- means over `batches` (default 50) training batches.  Returns how many were used.
function schemes.reestimate_bn(net, data, o)
  local norms, quantizers = {}, each_quantizer(net)
  for _, m in net:named_modules() do
    if m.kind == "batch_norm" then norms[#norms + 1] = { m = m, momentum = m.momentum } end
  end
  local old, was_training, used = core.grad_enabled(false), net.training, 0
  net:eval() -- weights as in use; batch norms alone take batch statistics
  for _, n in ipairs(norms) do rawset(n.m, "training", true) end
  for x in data:train(o and o.epoch or 0) do
    used = used + 1
    for _, n in ipairs(norms) do n.m.momentum = 1 / used end
    net(x)
    if used >= (o and o.batches or 50) then break end
  end
  for _, n in ipairs(norms) do n.m.momentum = n.momentum end
  for _, e in ipairs(quantizers) do e.quantizer.training = false end
  if was_training then net:train() else net:eval() end
  core.grad_enabled(old)
  return used
end

----------------------------------------------------------------------------- alarms

-- Signs per weight of every quantized layer, as the statistics module packs them.
local function flips_of(e, before)
  e.quantizer:stats(e.layer.weight)
  return core.stats_codes(e.quantizer:codes(), before)
end

-- Do the codes tell signs?  Those of shared weights are numbers of values.
local function signed(e) return e.quantizer.handle:properties().odd_codes end

local function look(e, o, say, epoch)
  if e.quantizer:asleep() then return end
  local use, packed = flips_of(e, e.packed)
  local share = use.share
  if share[2] >= o.zeros then
    say(e, epoch, ("collapse: %.1f %% of the codes are 0"):format(100 * share[2]))
  elseif signed(e) and (share[1] + share[2] == 0 or share[3] + share[2] == 0) then
    say(e, epoch, "collapse: all codes have one sign")
  end
  for _, row in ipairs(e.quantizer:stats()) do
    if row.clip_active then
      say(e, epoch, "the threshold is at its upper limit and gets no gradient")
      break
    end
  end
  if e.packed and use.flips == use.flips and use.flips >= o.flips and epoch > o.settle then
    say(e, epoch, ("oscillation: %.1f %% of the codes changed since the last epoch"):format(100 * use.flips))
  end
  e.packed = packed
end

--- Watch for layers that collapse (a share `zeros` = 0.99 of zero codes, or one sign only, or a threshold
-- at its limit) and for codes that keep changing (a share `flips` = 0.1 an epoch after epoch `settle` =
-- 10).  Returns { hooks = { epoch = f }, messages = { { layer =, epoch =, text = } ... } }; each kind
-- is said once a layer, on stderr unless quiet.  Layers whose quantizers sleep are passed over.
function schemes.alarms(net, o)
  o = setmetatable(o or {}, { __index = { zeros = 0.99, flips = 0.1, settle = 10, quiet = false } })
  local watch = { messages = {}, hooks = {} }
  local list, told = each_quantizer(net), {}
  local function say(e, epoch, text)
    local key = e.name .. text:match("^[^:]+")
    if told[key] then return end
    told[key] = true
    watch.messages[#watch.messages + 1] = { layer = e.name, epoch = epoch, text = text }
    if not o.quiet then io.stderr:write(("alarm: %s, epoch %d: %s\n"):format(e.name, epoch, text)) end
  end
  function watch.hooks.epoch(record)
    for _, e in ipairs(list) do look(e, o, say, record.epoch) end
  end
  return watch
end

--- Several tables of hooks as one: hooks of the same name run in order.
function schemes.hooks(...)
  local all, out = { ... }, {}
  for _, hooks in ipairs(all) do
    for name, f in pairs(hooks) do
      local before = out[name]
      out[name] = before and function(...)
        before(...)
        f(...)
      end or f
    end
  end
  return out
end

return schemes
