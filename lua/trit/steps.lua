--- One training step on one batch, in the schedules a ternarizer may want (methods 1.5).
--
--   sequential  threshold pass (update thresholds only), then weight pass on the same batch with the
--               new thresholds: the paper's scheme, the default when there are thresholds
--   joint       one pass, both optimizers
--   alternate   thresholds on odd steps, weights on even ones
--
-- The threshold pass computes no weight gradient: layers give dL/dS = <dL/dy, y - b>/S from what
-- they already have (trit.nn.weight).

local core = require "trit.core"
local weight = require "trit.nn.weight"

local steps = {}

local function set_requires_grad(list, on)
  for _, t in ipairs(list) do t:requires_grad(on) end
end

local function freeze_statistics(model, on)
  for _, m in model:named_modules() do
    if m.kind == "batch_norm" then rawset(m, "freeze_statistics", on or nil) end
  end
end

--- A loss that is not a number ends the run: what follows would train on nothing.
local function finite(s, loss)
  local value = loss:item()
  if value ~= value or value == math.huge or value == -math.huge then
    core.raise(("train: the loss is %s%s; learning rate %g"):format(value, s.where and s.where() or "",
      s.optimizer:lr()))
  end
  return value
end

local function forward_backward(s, x, y, scale)
  local logits = s.model(x)
  local loss = s.loss(logits, y, x)
  local value = finite(s, loss)
  if scale == 1 then loss:backward() else (loss * scale):backward() end
  return value, logits
end

local restore = {
  __close = function(r)
    weight.mode.scale_only = false
    set_requires_grad(r.parameters, true)
    if r.freeze then freeze_statistics(r.model, false) end
  end,
}

--- Update the thresholds only; all other gradients are neither computed nor kept.
local function threshold_pass(s, x, y)
  local guard <close> = setmetatable({ parameters = s.parameters, model = s.model, -- luacheck: ignore
    freeze = s.bn_first_pass == "freeze" }, restore)
  weight.mode.scale_only = true
  set_requires_grad(s.parameters, false)
  if s.bn_first_pass == "freeze" then freeze_statistics(s.model, true) end
  local value, logits = forward_backward(s, x, y, 1)
  s.threshold_optimizer:step()
  s.model:zero_grad()
  return value, logits
end

local function update(s, optimizer)
  if s.clip_norm then require("trit.optim").clip_grad_norm(s.parameters, s.clip_norm) end
  optimizer:step()
end

local function weight_pass(s, x, y)
  local value, logits = forward_backward(s, x, y, 1 / s.accumulate)
  s.pending = (s.pending or 0) + 1
  if s.pending >= s.accumulate then
    update(s, s.optimizer)
    s.model:zero_grad()
    s.pending = 0
  end
  return value, logits
end

local modes = {}

--- Both passes; the reported loss is the second's, as the author reports it.
function modes.sequential(s, x, y)
  local first = threshold_pass(s, x, y)
  local value, logits = weight_pass(s, x, y)
  return value, logits, first
end

function modes.joint(s, x, y)
  local value, logits = forward_backward(s, x, y, 1)
  if s.threshold_optimizer then s.threshold_optimizer:step() end
  update(s, s.optimizer)
  s.model:zero_grad()
  return value, logits
end

function modes.alternate(s, x, y)
  s.count = (s.count or 0) + 1
  if s.count % 2 == 1 then return threshold_pass(s, x, y) end
  return weight_pass(s, x, y)
end

function modes.plain(s, x, y) return weight_pass(s, x, y) end

local Steps = {}
Steps.__index = Steps
function Steps.__call(s, x, y) return modes[s.mode](s, x, y) end

--- What lies between steps: tensors (gradients added up so far, by parameter name), counts.
function Steps:state_dict()
  local tensors = {}
  for i, name in ipairs((self.pending or 0) > 0 and self.parameters.names or {}) do
    tensors[name] = self.parameters[i].grad
  end
  return tensors, { pending = self.pending, count = self.count }
end

function Steps:load_state_dict(tensors, counts)
  self.pending, self.count = counts.pending, counts.count
  for i, name in ipairs(self.parameters.names) do
    if tensors[name] then self.parameters[i].grad = tensors[name] end
  end
end

--- steps.new { model =, loss =, optimizer =, threshold_optimizer =, mode =, bn_first_pass =, accumulate =,
-- clip_norm =, where = function giving " at ..." for errors } -> s; s(x, y) -> loss, logits, loss of the
-- threshold pass.
function steps.new(o)
  local s = { model = o.model, loss = o.loss, optimizer = o.optimizer,
    threshold_optimizer = o.threshold_optimizer, bn_first_pass = o.bn_first_pass or "update",
    accumulate = o.accumulate or 1, clip_norm = o.clip_norm, where = o.where,
    parameters = o.model:parameters() }
  s.mode = o.threshold_optimizer and (o.mode or "sequential") or "plain"
  if not modes[s.mode] then
    error(("train: schedule_mode is %q but must be sequential, joint or alternate"):format(
      tostring(s.mode)), 3)
  end
  return setmetatable(s, Steps)
end

return steps
