--- The layers of one run over the epochs: thresholds, zero share, flips, normal fit, scale.
local scale = require "trit.report.scale"
local thin = require "trit.report.thin"

local charts = {
  { name = "threshold", title = "Threshold trajectories", label = "threshold / sigma",
    values = function(layer) return layer.z end },
  { name = "zeros", title = "Zero share", label = "zeros", percent = true,
    values = function(layer) return layer.zeros end },
  { name = "flips", title = "Flip rate", label = "codes flipped", percent = true,
    values = function(layer) return layer.flips end },
  { name = "scale", title = "Scale", label = "scale", values = function(layer) return layer.scale end },
  { name = "sigma", title = "Standard deviation", label = "sigma",
    values = function(layer) return layer.sigma end },
  { name = "normal", title = "Normal fit", label = "Shapiro-Wilk W",
    values = function(layer) return layer.w end },
}

local LINES, FEW, MANY = 90000, 8, 120 -- points of all curves of a page together; of one curve

--- Colour of layer i of n, a class: along the ramp, from the first layer to the last.
local function color(i, n)
  return ("c%d"):format(n == 1 and 5 or 1 + math.floor((i - 1) / (n - 1) * 8 + 0.5))
end

-- Points a curve may have, so that many runs of many layers still fit.
local function points_each(data)
  local lines = 0
  for _, run in ipairs(data.runs) do lines = lines + #run.layers * #charts end
  return math.max(FEW, math.min(MANY, LINES // math.max(1, lines)))
end

local function spec_of(kind, run, most)
  local lines, xs, ys = {}, {}, {}
  for i, layer in ipairs(run.layers) do
    local points, values = {}, kind.values(layer) or {}
    for _, k in ipairs(thin.places(#values, most)) do
      local v = values[k]
      if scale.is_number(v) then
        points[#points + 1] = { layer.x[k], v }
        xs[#xs + 1], ys[#ys + 1] = layer.x[k], v
      end
    end
    if #points > 0 then
      lines[#lines + 1] = { points = points, name = layer.name, index = ("%d"):format(i),
        class = color(i, #run.layers) }
    end
  end
  if #lines == 0 then return nil end
  local low, high = scale.extent { ys }
  local first, last = scale.extent { xs }
  local function show(v) return kind.percent and ("%.1f %%"):format(100 * v) or ("%.4g"):format(v) end
  local words = {}
  for i, line in ipairs(lines) do words[i] = show(line.points[#line.points][2]) end
  local desc = "%s of each layer over the epochs.  Last values, from the first layer on: %s."
  return { name = kind.name, title = kind.title, x = { first, last, label = "epoch" },
    y = { low, high, label = kind.label, percent = kind.percent, nice = true }, lines = lines,
    desc = desc:format(kind.title, table.concat(words, ", ")) }
end

local function specs(data, run)
  local list, most = {}, points_each(data)
  for _, kind in ipairs(charts) do list[#list + 1] = spec_of(kind, run, most) end
  return list
end

return { name = "layers", order = 10, scope = "run", title = "Layers over the epochs", specs = specs,
  color = color }
