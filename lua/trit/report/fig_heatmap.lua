--- Weight histograms of a layer as a map: epochs to the right, weights upwards, darker where more weights
-- are; both cuts as lines.
local chart = require "trit.report.chart"
local scale = require "trit.report.scale"
local svg = require "trit.report.svg"

local WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 380, 220, 46, 10, 8, 34
local LEVELS = 8 -- shades; a shade is the square root of the count, so that the tails are seen

local function most_of(h)
  local most = 1
  for _, counts in ipairs(h.counts) do
    for _, c in ipairs(counts) do most = math.max(most, c) end
  end
  return most
end

local function level(count, most)
  if count <= 0 then return 0 end
  return math.max(1, math.ceil(LEVELS * math.sqrt(count / most) - 1e-9))
end

-- One path per shade, in units of cells: a run of equal cells along the epochs is one stroke.
local function cells(h)
  local most, paths = most_of(h), {}
  local records, bins = #h.counts, #h.counts[1]
  for b = 1, bins do
    local k = 1
    while k <= records do
      local l, start = level(h.counts[k][b], most), k
      while k <= records and level(h.counts[k][b], most) == l do k = k + 1 end
      if l > 0 then
        paths[l] = paths[l] or {}
        table.insert(paths[l], ("M%d %dh%d"):format(start - 1, bins - b, k - start))
      end
    end
  end
  local out = {}
  for l = 1, LEVELS do
    if paths[l] then out[#out + 1] = svg.tag("path", { class = "l" .. l, d = table.concat(paths[l]) }) end
  end
  return table.concat(out)
end

local function cut_lines(h, x, y)
  local points = {}
  for _, side in ipairs { h.low, h.high } do
    for k = 1, #h.counts do
      local v = side[k]
      local inside = v and v >= h.edges[1] and v <= h.edges[#h.edges]
      points[#points + 1] = inside and { x(k - 0.5), y(v) } or false
      if inside and #h.counts == 1 then
        points[#points] = { x(0), y(v) }
        points[#points + 1] = { x(1), y(v) }
      end
    end
    points[#points + 1] = false
  end
  local d = svg.path(points)
  return d ~= "" and svg.tag("path", { class = "cut", d = d }) or ""
end

local function axis(h, x, y)
  local bottom, n = HEIGHT - BOTTOM, #h.counts
  local up, across = {}, {}
  for i, v in ipairs(y.ticks) do up[i] = { y(v), y.format(v) } end
  for k = 1, n, math.max(1, math.ceil(n / 8)) do
    across[#across + 1] = { x(k - 0.5), ("%.4g"):format(h.x[k]) }
  end
  return svg.ticks(up, { x = LEFT - 6 }) .. svg.ticks(across, { y = bottom + 14 }) ..
    chart.labels("epoch", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "weight", (TOP + bottom) / 2)
end

local function draw(_, _, layer, h)
  if not h or #h.counts == 0 then return nil end
  local n, bins = #h.counts, #h.counts[1]
  local x = scale.linear(0, n, LEFT, WIDTH - RIGHT)
  local y = scale.linear(h.edges[1], h.edges[#h.edges], HEIGHT - BOTTOM, TOP)
  local map = svg.tag("svg", { x = LEFT, y = TOP, width = WIDTH - LEFT - RIGHT,
    height = HEIGHT - TOP - BOTTOM, viewBox = ("0 -.5 %d %d"):format(n, bins),
    preserveAspectRatio = "none", class = "cells" }, cells(h))
  return chart.element({ title = "Heat map of " .. layer.name, width = WIDTH, height = HEIGHT, class = "heat",
    desc = ("Share of weights of %s by value at %d records from epoch %.4g to %.4g, with both cuts."):format(
      layer.name, n, h.x[1], h.x[n]) }, map .. cut_lines(h, x, y) .. axis(h, x, y))
end

local function plot(_, run, layer, h)
  if not h or #h.counts == 0 then return {} end
  local points, lines = {}, {}
  for k, counts in ipairs(h.counts) do
    for b, c in ipairs(counts) do
      points[#points + 1] = { k, (h.edges[b] + h.edges[b + 1]) / 2, math.sqrt(c) }
    end
    points[#points + 1] = false
  end
  for _, side in ipairs { h.low, h.high } do
    local line = {}
    for k = 1, #h.counts do
      if side[k] then line[#line + 1] = { k, side[k] } end
    end
    if #line > 0 then lines[#lines + 1] = { points = line, name = "cut", class = "cut" } end
  end
  return { { name = ("heatmap-%s"):format(layer.name), title = layer.name .. "  " .. run.name, map = points,
    lines = lines, x = { 0.5, #h.counts + 0.5, label = "record", exact = true }, nokey = true,
    y = { h.edges[1], h.edges[#h.edges], label = "weight", exact = true } } }
end

return { name = "heatmap", order = 20, scope = "layer", draw = draw, plots = plot }
