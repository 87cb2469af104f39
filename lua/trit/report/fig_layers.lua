--- The layers of one run over the epochs: thresholds, zero share, flips, normal fit, scale.
local scale = require "trit.report.scale"

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

--- Colour of layer i of n: along the ramp, from the first layer to the last.
local function color(i, n)
  return ("--c:var(--q%d)"):format(n == 1 and 5 or 1 + math.floor((i - 1) / (n - 1) * 8 + 0.5))
end

local function spec_of(kind, run)
  local lines, xs, ys = {}, {}, {}
  for i, layer in ipairs(run.layers) do
    local points = {}
    for k, v in ipairs(kind.values(layer) or {}) do
      if scale.is_number(v) then
        points[#points + 1] = { layer.x[k], v }
        xs[#xs + 1], ys[#ys + 1] = layer.x[k], v
      end
    end
    if #points > 0 then
      lines[#lines + 1] = { points = points, name = layer.name, style = color(i, #run.layers) }
    end
  end
  if #lines == 0 then return nil end
  local low, high = scale.extent { ys }
  local first, last = scale.extent { xs }
  local function show(v) return kind.percent and ("%.1f %%"):format(100 * v) or ("%.4g"):format(v) end
  local words = {}
  for i, line in ipairs(lines) do
    words[i] = ("%s %s"):format(line.name, show(line.points[#line.points][2]))
  end
  local desc = "%s of each layer over the epochs.  Last values: %s."
  return { name = kind.name, title = kind.title, x = { first, last, label = "epoch" },
    y = { low, high, label = kind.label, percent = kind.percent, nice = true }, lines = lines,
    desc = desc:format(kind.title, table.concat(words, ", ")) }
end

local function specs(_, run)
  local list = {}
  for _, kind in ipairs(charts) do list[#list + 1] = spec_of(kind, run) end
  return list
end

return { name = "layers", order = 10, scope = "run", title = "Layers over the epochs", specs = specs,
  color = color }
