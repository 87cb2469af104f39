--- Accuracy against sparsity, with the runs that no other beats in both.
local collect = require "trit.report.collect"
local replicates = require "trit.report.replicates"
local scale = require "trit.report.scale"
local svg = require "trit.report.svg"

local LABELS = 6    -- runs of the front that are named in the picture's description
local FRONT_R = 4.5 -- radius of a dot on the front

local function describe(front, n)
  local words = {}
  for i = 1, math.min(LABELS, #front) do
    local run = front[#front + 1 - i]
    words[i] = ("%s: %.2f %% at %.1f %% zeros"):format(run.name, 100 * run.top1, 100 * run.zeros)
  end
  local text = "Top-1 accuracy against zero share of %d runs.  On the Pareto front, from the sparsest: %s."
  return text:format(n, table.concat(words, "; "))
end

-- Replicates are one dot, at their means.
local function rows_of(data) return data.points or data.runs end

local CAPTION = "Each dot is %s at its last epoch; the line is the Pareto front: no other %s is both more " ..
  "accurate and sparser."

local function specs(data)
  local dots, zeros, top1 = {}, {}, {}
  for _, run in ipairs(rows_of(data)) do
    if scale.is_number(run.top1) and scale.is_number(run.zeros) then
      dots[#dots + 1] = { x = run.zeros, y = run.top1, key = run.key, name = run.name,
        class = run.front and "front" or "", r = run.front and FRONT_R or nil }
      zeros[#zeros + 1], top1[#top1 + 1] = run.zeros, run.top1
    end
  end
  if #dots < 2 then return {} end
  local front = collect.front(rows_of(data))
  local line = {}
  for i, run in ipairs(front) do
    line[#line + 1] = { run.zeros, run.top1 }
    -- The front is a staircase: between two runs nothing better is known than the sparser one.
    if front[i + 1] then line[#line + 1] = { run.zeros, front[i + 1].top1 } end
  end
  local x0, x1 = scale.extent { zeros }
  local y0, y1 = scale.extent { top1 }
  return { { name = "pareto", title = "Accuracy against zero share", desc = describe(front, #dots),
    caption = data.points and CAPTION:format("the mean of the runs that differ in their seed only", "one")
      or CAPTION:format("a run", "run"),
    width = 560, height = 330,
    x = { x0, x1, label = "zero share of the weights", percent = true, nice = true },
    y = { y0, y1, label = "top-1", percent = true, nice = true },
    lines = { { points = line, class = "frontline", name = "Pareto front" } }, dots = dots } }
end

-- The front as a table beside the picture.
local function aside(data)
  local rows, head = {}, {}
  local function number(text) return svg.text("td", { class = "n" }, text) end
  for i, run in ipairs(collect.front(rows_of(data))) do
    local name = svg.tag("span", { class = "chip " .. run.key }, "") .. " " ..
      svg.text("a", { href = "#" .. run.key }, run.name)
    rows[i] = svg.tag("tr", {}, svg.tag("th", { scope = "row" }, name) ..
      number(replicates.percent(run, "zeros")) .. number(replicates.percent(run, "top1", 2)) ..
      number(replicates.number(run, "threshold", "%.3f")))
  end
  for i, title in ipairs { data.points and "parameters" or "run", "zeros", "top-1", "threshold/σ" } do
    head[i] = svg.text("th", { scope = "col", class = i > 1 and "n" or false }, title)
  end
  local name = "Runs of the Pareto front"
  local grid = svg.grid { caption = name, hidden = true, head = head, rows = rows }
  return svg.tag("figure", {}, svg.text("h4", {}, "The front") .. svg.scroll(name, grid))
end

return { name = "pareto", order = 20, scope = "all", title = "Accuracy and sparsity", specs = specs,
  aside = aside }
