--- The runs one by one, each folded away: its layers over the epochs, and every layer's histograms.
local collect = require "trit.report.collect"
local detail = require "trit.report.detail"
local figures = require "trit.report.figures"
local svg = require "trit.report.svg"
local term = require "trit.term"
local thin = require "trit.report.thin"

local layers = {}

local SAMPLE, MARGIN = 4, 1.08 -- layers that are drawn to know what one takes; allowance for others
local FOLD = 900               -- bytes around a run's figures
local FIGURES = 0.5            -- share of the room for figures of runs, before histograms

local function layer_legend(run)
  local items, shade = {}, require("trit.report.fig_layers").color
  for i, layer in ipairs(run.layers) do
    items[i] = svg.tag("li", {}, svg.tag("span", { class = "chip " .. shade(i, #run.layers) }, "") ..
      svg.escape(layer.name))
  end
  return svg.tag("ul", { class = "legend", ["aria-label"] = "Layers, from the first to the last" }, items)
end

-- One layer: its figures side by side.
local function layer_card(data, run, layer, plan)
  local h = detail.read(run, layer, plan)
  if not h then return "" end
  local drawings = {}
  for _, figure in ipairs(figures.list("layer")) do
    drawings[#drawings + 1] = figures.draw(figure, data, run, layer, h)
  end
  local facts = { ("%d weights"):format(h.weights) }
  if layer.z then
    facts[#facts + 1] = ("threshold %s σ"):format(term.number(layer.z[layer.n] or nil, "%.3f"))
    facts[#facts + 1] = "zeros " .. term.percent(layer.zeros and layer.zeros[layer.n])
  end
  if layer.w then facts[#facts + 1] = "W " .. term.number(layer.w[layer.n], "%.4f") end
  return svg.tag("article", { class = "layer" }, svg.tag("h5", {}, svg.text("code", {}, layer.name) ..
    svg.text("small", {}, " " .. table.concat(facts, " · "))) ..
    svg.tag("div", { class = "pair" }, drawings))
end

-- The figures of a run as a whole.
local function run_figures(data, run)
  local parts = {}
  for _, figure in ipairs(figures.list("run")) do
    local content = figures.draw(figure, data, run)
    if content then
      parts[#parts + 1] = layer_legend(run) .. svg.tag("div", { class = "figures" }, content)
    end
  end
  return table.concat(parts)
end

local function summary_of(run)
  local facts = run.top1 and ("  top-1 %s"):format(term.percent(run.top1, 2)) or ""
  if run.quantizer ~= "float" and run.zeros then facts = facts .. ", zeros " .. term.percent(run.zeros) end
  return svg.tag("summary", {}, svg.tag("span", { class = "chip " .. run.key }, "") ..
    svg.text("h3", {}, run.name) .. svg.text("span", { class = "facts" }, facts))
end

local function left_out(run)
  return svg.tag("p", {}, "Left out of this run to keep the file small: histograms and more; " ..
    svg.text("code", {}, "trit report " .. run.dir) .. " shows all.")
end

local function run_part(data, run, content, plan, open)
  local parts = { content or "" }
  if not plan.runs[run.key] and #run.layers > 0 then
    parts[#parts + 1] = left_out(run)
  else
    local cards = {}
    for i, layer in ipairs(run.layers) do cards[i] = layer_card(data, run, layer, plan) end
    local text = table.concat(cards)
    if text ~= "" then parts[#parts + 1] = svg.tag("div", { class = "layers" }, text) end
  end
  if #run.layers == 0 then parts[#parts + 1] = svg.tag("p", {}, "No layer has been logged yet.") end
  return svg.tag("details", { id = run.key, open = open and "open" or false, class = "run" },
    summary_of(run) .. svg.tag("div", { class = "body" }, parts))
end

-- Bytes of a layer's card at a step of detail: the mean of a few, with something to spare.
local function cost_of(data)
  local best = collect.best(data.runs) or data.runs[1]
  local places = thin.places(#best.layers, SAMPLE)
  return function(step)
    local bytes = 0
    for _, i in ipairs(places) do bytes = bytes + #layer_card(data, best, best.layers[i], step) end
    return #places > 0 and MARGIN * bytes / #places or 0
  end
end

-- The figures of the runs, the most telling first, in a share of the room; bytes used.
local function contents_of(data, room)
  local contents, used = {}, 0
  for i, run in ipairs(detail.ranked(data)) do
    local content = run_figures(data, run)
    if i == 1 or used + #content <= room then
      contents[run.key], used = content, used + #content
    end
    used = used + FOLD
  end
  return contents, used
end

--- HTML of all runs, that of the best one open, in at most about `room` bytes.
function layers.draw(data, room)
  local contents, used = contents_of(data, room * FIGURES)
  local plan = detail.plan(data, room - used, cost_of(data))
  local best, parts = collect.best(data.runs) or data.runs[1], {}
  for i, run in ipairs(data.runs) do
    parts[i] = run_part(data, run, contents[run.key], plan, run == best)
  end
  return table.concat(parts)
end

return layers
