--- Learning curves of all runs, and the course of zeros, thresholds and flips.
local scale = require "trit.report.scale"
local thin = require "trit.report.thin"

local LINES, FEW, MANY = 4000, 20, 120 -- points of all runs' curves in a chart; of one curve

-- What is drawn, if any run has it: values(run) -> x list, y list.
local charts = {
  { name = "val-top1", title = "Test accuracy", label = "top-1", percent = true,
    values = function(run) return run.val.x, run.val.top1 end },
  { name = "train-loss", title = "Training loss", label = "loss",
    values = function(run) return run.train.x, run.train.loss end,
    note = "local means of the steps" },
  { name = "val-loss", title = "Test loss", label = "loss",
    values = function(run) return run.val.x, run.val.loss end },
  { name = "zeros", title = "Zero share of the weights", label = "zeros", percent = true, ternary = true,
    values = function(run) return run.val.x, run.val.zeros end },
  { name = "thresholds", title = "Threshold, mean over the layers", label = "threshold / sigma",
    values = function(run) return run.thresholds and run.thresholds.x, run.thresholds end },
  { name = "flips", title = "Flip rate, mean over the layers", label = "codes flipped", percent = true,
    values = function(run) return run.flips and run.flips.x, run.flips end,
    note = "share of codes that changed since the record before" },
  { name = "rate", title = "Images per second", label = "images/s",
    values = function(run) return run.val.x, run.val.images_per_second end },
  { name = "wait", title = "Waiting for data", label = "share of the time", percent = true,
    values = function(run) return run.val.x, run.val.data_wait end },
  { name = "lr", title = "Learning rate", label = "rate",
    values = function(run) return run.train.x, run.train.lr end },
}

local function points_of(x, y, most)
  local list = {}
  for i = 1, math.min(#x, #y) do list[i] = { x[i], y[i] } end
  return thin.mean(list, most)
end

local function describe(kind, lines)
  local best, worst
  for _, line in ipairs(lines) do
    local last = line.points[#line.points][2]
    if not best or last > best.value then best = { value = last, name = line.name } end
    if not worst or last < worst.value then worst = { value = last, name = line.name } end
  end
  local function show(v) return kind.percent and ("%.2f %%"):format(100 * v) or ("%.4g"):format(v) end
  if #lines == 1 then return ("%s over the epochs, last %s."):format(kind.title, show(best.value)) end
  local text = "%s of %d runs over the epochs.  Last values from %s (%s) to %s (%s)."
  return text:format(kind.title, #lines, show(worst.value), worst.name, show(best.value), best.name)
end

local function spec_of(kind, data)
  local lines, xs, ys = {}, {}, {}
  local most = math.max(FEW, math.min(MANY, LINES // #data.runs))
  for _, run in ipairs(data.runs) do
    local x, y = kind.values(run)
    local points = x and y and points_of(x, y, most) or {}
    if #points > 0 and not (kind.ternary and run.quantizer == "float") then
      lines[#lines + 1] = { points = points, key = run.key, name = run.name }
      for _, p in ipairs(points) do
        xs[#xs + 1], ys[#ys + 1] = p[1], p[2]
      end
    end
  end
  if #lines == 0 then return nil end
  local low, high = scale.extent { ys }
  local _, last = scale.extent { xs }
  return { name = kind.name, title = kind.title, desc = describe(kind, lines), caption = kind.note,
    x = { 0, math.ceil(last - 1e-9), label = "epoch" },
    y = { low, high, label = kind.label, percent = kind.percent, nice = true }, lines = lines }
end

local function specs(data)
  local list = {}
  for _, kind in ipairs(charts) do list[#list + 1] = spec_of(kind, data) end
  return list
end

return { name = "curves", order = 10, scope = "all", title = "Learning curves", specs = specs }
