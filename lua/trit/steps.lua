--- One training step on one batch, in the schedules a ternarizer may want (methods 1.5).
--
--   sequential  threshold pass (update thresholds only), then weight pass on the same batch with the
--               new thresholds: the paper's scheme, the default when there are thresholds
--   joint       one pass, both optimizers
--   alternate   thresholds on odd steps, weights on even ones
--
-- The threshold pass computes no weight gradient: layers give dL/dS = <dL/dy, y - b>/S from what
-- they already have (trit.nn.weight).
--
-- With accumulate = k, k batches in a row make one step, the step of the batch they are parts of: their
-- mean gradients move thresholds and weights once (alternate: thresholds and weights in turn).  The
-- sequential schedule holds the batches until the thresholds have moved; until then the loss and logits it
-- returns are the threshold pass's.

local core = require "trit.core"
local nn_mode = require "trit.nn.mode"
local weight = require "trit.nn.weight"

local steps = {}

local function freeze_statistics(model, on)
  for _, m in model:named_modules() do
    if m.kind == "batch_norm" then rawset(m, "freeze_statistics", on or nil) end
  end
end

--- " conv1.weight is not finite;" of the first such parameter.
local function culprit(s)
  for i, t in ipairs(s.parameters) do
    local sum = core.ops.sum(t:detach()):item()
    if sum - sum ~= 0 then return (" %s is not finite;"):format(s.parameters.names[i]) end
  end
  return ""
end

--- A loss that is not a number ends the run: what follows would train on nothing.
local function finite(s, loss)
  local value = loss:item()
  if value ~= value or value == math.huge or value == -math.huge then
    core.raise(("train: the loss is %s%s;%s learning rate %g"):format(value, s.where and s.where() or "",
      culprit(s), s.optimizer:lr()))
  end
  return value
end

--- The loss and the logits.  A model with an auxiliary head gives its logits as a second result while
-- training; their loss counts model.aux_weight.
local function loss_of(s, x, y)
  local logits, aux = s.model(x)
  local loss = s.loss(logits, y, x)
  if aux then loss = loss + s.loss(aux, y, x) * s.model.aux_weight end
  return loss, logits
end

local function forward_backward(s, x, y, scale)
  local loss, logits = loss_of(s, x, y)
  local value = finite(s, loss)
  if not loss:requires_grad() then return value, logits end -- no threshold is in use yet
  if scale == 1 then loss:backward() else (loss * scale):backward() end
  return value, logits
end

local scale_only = {
  __close = function(r)
    weight.mode.scale_only = false
    if r.freeze then freeze_statistics(r.model, false) end
  end,
}

--- The gradients of the thresholds only; all others are neither computed nor touched.
local function threshold_gradients(s, x, y)
  local parameters <close> = nn_mode.frozen(s.parameters) -- luacheck: ignore
  local guard <close> = setmetatable({ model = s.model, -- luacheck: ignore
    freeze = s.bn_first_pass == "freeze" }, scale_only)
  weight.mode.scale_only = true
  if s.bn_first_pass == "freeze" then freeze_statistics(s.model, true) end
  return forward_backward(s, x, y, 1 / s.accumulate)
end

local weights_stay = setmetatable({}, { __close = function() weight.mode.same_weights = false end })

--- The second pass over a batch: no weight has moved since the first.
local function weight_gradients(s, x, y)
  local guard <close> = weights_stay -- luacheck: ignore
  weight.mode.same_weights = true
  return forward_backward(s, x, y, 1 / s.accumulate)
end

local function move_thresholds(s)
  s.threshold_optimizer:step()
  for _, t in ipairs(s.thresholds) do t:zero_grad() end
end

local function move_weights(s)
  if s.clip_norm then require("trit.optim").clip_grad_norm(s.parameters, s.clip_norm) end
  s.optimizer:step()
  s.model:zero_grad()
end

--- Count a batch; true when it completes a group of `accumulate`.
local function completes(s)
  s.pending = (s.pending or 0) + 1
  if s.pending < s.accumulate then return false end
  s.pending = 0
  return true
end

local modes = {}

--- Both passes; the reported loss is the second's, as the author reports it.
function modes.sequential(s, x, y)
  local first, logits = threshold_gradients(s, x, y)
  s.held[#s.held + 1] = { x = x, y = y }
  if not completes(s) then return first, logits, first end
  move_thresholds(s)
  local value
  for _, batch in ipairs(s.held) do
    value, logits = weight_gradients(s, batch.x, batch.y)
  end
  s.held = {}
  move_weights(s)
  return value, logits, first
end

function modes.joint(s, x, y)
  local value, logits = forward_backward(s, x, y, 1 / s.accumulate)
  if completes(s) then
    s.threshold_optimizer:step()
    move_weights(s)
  end
  return value, logits
end

function modes.alternate(s, x, y)
  local thresholds = (s.count or 0) % 2 == 0 -- groups so far
  local pass = thresholds and threshold_gradients or forward_backward
  local value, logits = pass(s, x, y, 1 / s.accumulate)
  if completes(s) then
    s.count = (s.count or 0) + 1
    if thresholds then move_thresholds(s) else move_weights(s) end
  end
  return value, logits
end

function modes.plain(s, x, y)
  local value, logits = forward_backward(s, x, y, 1 / s.accumulate)
  if completes(s) then move_weights(s) end
  return value, logits
end

local Steps = {}
Steps.__index = Steps
function Steps.__call(s, x, y) return modes[s.mode](s, x, y) end

--- What lies between steps: tensors (while a group of `accumulate` is under way, the gradients added up so
-- far, by name, and the batches held), counts.
function Steps:state_dict()
  local tensors = {}
  if (self.pending or 0) > 0 then
    for _, list in ipairs { self.parameters, self.thresholds } do
      for i, name in ipairs(list.names) do tensors[name] = list[i].grad end
    end
    for i, batch in ipairs(self.held) do
      tensors[("held.%d.x"):format(i)], tensors[("held.%d.y"):format(i)] = batch.x, batch.y
    end
  end
  return tensors, { pending = self.pending, count = self.count }
end

-- As data give images: the same layout, the same sums in the same order.
local function images(x)
  if #x:shape() ~= 4 then return x end
  return core.zeros(x:shape(), { layout = "channels_last" }):copy(x)
end

function Steps:load_state_dict(tensors, counts)
  self.pending, self.count, self.held = counts.pending, counts.count, {}
  for _, list in ipairs { self.parameters, self.thresholds } do
    for i, name in ipairs(list.names) do
      if tensors[name] then list[i].grad = tensors[name] end
    end
  end
  local k = 1
  while tensors[("held.%d.x"):format(k)] do
    self.held[k] = { x = images(tensors[("held.%d.x"):format(k)]), y = tensors[("held.%d.y"):format(k)] }
    k = k + 1
  end
end

--- steps.new { model =, loss =, optimizer =, threshold_optimizer =, mode =, bn_first_pass =, accumulate =,
-- clip_norm =, where = function giving " at ..." for errors } -> s; s(x, y) -> loss, logits, loss of the
-- threshold pass.
function steps.new(o)
  local s = { model = o.model, loss = o.loss, optimizer = o.optimizer,
    threshold_optimizer = o.threshold_optimizer, bn_first_pass = o.bn_first_pass or "update",
    accumulate = o.accumulate or 1, clip_norm = o.clip_norm, where = o.where,
    parameters = o.model:parameters(), thresholds = o.model:thresholds(), held = {} }
  s.mode = o.threshold_optimizer and (o.mode or "sequential") or "plain"
  if not modes[s.mode] then
    error(("train: schedule_mode is %q but must be sequential, joint or alternate"):format(
      tostring(s.mode)), 3)
  end
  return setmetatable(s, Steps)
end

return steps
