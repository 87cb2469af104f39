--- What trit.train looks at before it begins.

local options = require "trit.options"

local traincheck = {}

local choices = {
  schedule_mode = { "sequential", "joint", "alternate" }, bn_first_pass = { "update", "freeze" },
}
local wholes = { epochs = 1, accumulate = 1, histogram_every = 1, max_steps = 1 } -- option -> least

local function check_values(o)
  for name, words in pairs(choices) do
    if o[name] ~= nil then options.choice("train", "option " .. name, o[name], words) end
  end
  for name, least in pairs(wholes) do
    if o[name] ~= nil then options.whole("train", "option " .. name, o[name], least) end
  end
  local limit = o.clip_norm
  if limit ~= nil and not (type(limit) == "number" and limit > 0) then
    options.fail("train", "option clip_norm must be a number > 0, got %s", tostring(limit))
  end
  if o.label_smoothing ~= nil then
    options.within("train", "option label_smoothing", o.label_smoothing, 0, 1)
  end
end

--- The things a training needs are what they should be, told by a method each has.
local function check_kinds(o)
  local kinds = { model = { "parameters", "a module" }, data = { "train", "a data set of trit.data" },
    optimizer = { "step", "an optimizer" }, schedule = { "rate", "a schedule of trit.schedule" } }
  for name, kind in pairs(kinds) do
    local ok, method = pcall(function() return o[name][kind[1]] end)
    if o[name] ~= nil and not (ok and method) then
      options.fail("train", "option %s must be %s, got %s", name, kind[2], type(o[name]))
    end
  end
end

local function check_data(data)
  if data.batches == 0 then
    options.fail("train", "the data give no training batch: %d images, batches of %d, drop_last = %s",
      data.train_size, data.options.batch, tostring(data.options.drop_last))
  end
end

-- An optimizer made before trit.quantize knows nothing of the parameters that came with it.
local function check_optimizer(model, optimizer)
  if not optimizer.groups then return end -- of the script's own making
  local held, missing = {}, {}
  for _, group in ipairs(optimizer.groups) do
    for _, t in ipairs(group.params) do held[t] = true end
  end
  for _, e in ipairs(model:quantizer_entries()) do
    if not e.threshold and not held[e.tensor] and e.tensor:requires_grad() then
      missing[#missing + 1] = e.name
    end
  end
  if #missing > 0 then
    options.fail("train", "the optimizer lacks %s: make it after trit.quantize, or take requires_grad from"
      .. " them", table.concat(missing, ", "))
  end
end

--- Raise one sentence unless the options `o` of trit.train can be trained with; known: name -> doc.
function traincheck.check(o, known)
  options.check("train", o, known)
  for _, name in ipairs { "model", "data", "optimizer", "epochs" } do
    if o[name] == nil then options.fail("train", "option %s is missing: %s", name, known[name]) end
  end
  check_values(o)
  check_kinds(o)
  check_data(o.data)
  check_optimizer(o.model, o.optimizer)
end

return traincheck
