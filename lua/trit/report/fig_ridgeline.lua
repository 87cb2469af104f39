--- Weight histograms of a layer over the epochs, one ridge per record, the cuts moving through them.
-- What lies between the cuts, and becomes 0, is pale.
local chart = require "trit.report.chart"
local scale = require "trit.report.scale"
local svg = require "trit.report.svg"

local WIDTH, LEFT, RIGHT, TOP, BOTTOM = 380, 30, 10, 8, 34
local HEIGHT = 220            -- the maps' height, as long as the ridges have room
local RISE = 46               -- height of the tallest ridge
local NEAREST, WIDEST = 9, 40 -- between two ridges

-- Distance of the baselines and height of the picture.
local function rows_of(records)
  local room = HEIGHT - TOP - RISE - BOTTOM
  local row = math.max(NEAREST, math.min(WIDEST, room / math.max(1, records - 1)))
  return row, TOP + RISE + (records - 1) * row + BOTTOM
end

-- Density of a bin relative to the tallest of the layer.
local function densities(h, k)
  local out = {}
  for b, count in ipairs(h.counts[k]) do out[b] = count / (h.edges[b + 1] - h.edges[b]) end
  return out
end

local function tallest(h)
  local most = 0
  for k = 1, #h.counts do
    for _, d in ipairs(densities(h, k)) do most = math.max(most, d) end
  end
  return most > 0 and most or 1
end

-- The ridge between two weights as a closed outline on its baseline.
local function outline(h, dens, from, to, x, base, rise)
  local points = { { x(from), base } }
  for b, d in ipairs(dens) do
    local low, high = math.max(from, h.edges[b]), math.min(to, h.edges[b + 1])
    if low < high then
      points[#points + 1] = { x(low), base - d * rise }
      points[#points + 1] = { x(high), base - d * rise }
    end
  end
  points[#points + 1] = { x(to), base }
  return svg.path(points, true)
end

local function ridge(h, k, x, base, rise)
  local first, last = h.edges[1], h.edges[#h.edges]
  local dens, out = densities(h, k), {}
  local low, high = h.low[k], h.high[k]
  if not low then
    return svg.tag("path", { class = "out", d = outline(h, dens, first, last, x, base, rise) })
  end
  low, high = math.max(first, math.min(last, low)), math.max(first, math.min(last, high))
  if low > first or high < last then
    local sides = ""
    if low > first then sides = outline(h, dens, first, low, x, base, rise) end
    if high < last then sides = sides .. outline(h, dens, high, last, x, base, rise) end
    out[1] = svg.tag("path", { class = "out", d = sides })
  end
  if high > low then
    out[#out + 1] = svg.tag("path", { class = "in", d = outline(h, dens, low, high, x, base, rise) })
  end
  return table.concat(out)
end

-- The way of both cuts over the baselines.
local function cuts(h, x, base)
  local points = {}
  for _, side in ipairs { h.low, h.high } do
    for k = 1, #h.counts do
      local v = side[k]
      points[#points + 1] = v and v >= h.edges[1] and v <= h.edges[#h.edges] and { x(v), base(k) } or false
    end
    points[#points + 1] = false
  end
  local d = svg.path(points)
  return d ~= "" and svg.tag("path", { class = "cut", d = d }) or ""
end

local function axis(h, x, base, height)
  local across, up, n = {}, {}, #h.counts
  for i, v in ipairs(x.ticks) do across[i] = { x(v), x.format(v) } end
  up[1] = { base(1) - 0.5, ("%.4g"):format(h.x[1]) }
  if n > 1 then up[2] = { base(n) - 0.5, ("%.4g"):format(h.x[n]) } end
  return svg.ticks(across, { y = height - BOTTOM + 15 }) .. svg.ticks(up, { x = LEFT - 4 }) ..
    chart.labels("weight", (LEFT + WIDTH - RIGHT) / 2, height - 4)
end

local function describe(h, layer)
  local n = #h.counts
  local text = ("Histograms of the weights of %s from epoch %.4g to %.4g"):format(layer.name, h.x[1], h.x[n])
  if not h.low[1] then return text .. "." end
  local zeros = layer.zeros and layer.zeros[layer.n] or 0
  local more = "%s.  The cuts move from %.4g and %.4g to %.4g and %.4g; zero share %.1f %% at the end."
  return more:format(text, h.low[1], h.high[1], h.low[n] or 0 / 0, h.high[n] or 0 / 0, 100 * zeros)
end

local function draw(_, _, layer, h)
  if not h or #h.counts == 0 then return nil end
  local n = #h.counts
  local row, height = rows_of(n)
  local x = scale.linear(h.edges[1], h.edges[#h.edges], LEFT, WIDTH - RIGHT, { ticks = 5 })
  local rise = RISE / tallest(h)
  local function base(k) return TOP + RISE + (k - 1) * row end
  local parts = {}
  for k = 1, n do parts[k] = ridge(h, k, x, base(k), rise) end
  return chart.element({ title = "Ridgeline of " .. layer.name, desc = describe(h, layer), width = WIDTH,
    height = height, class = "ridge" }, axis(h, x, base, height) .. table.concat(parts) .. cuts(h, x, base))
end

-- Curves shifted upwards; the first record on top as in the page.
local function plot(_, run, layer, h)
  if not h or #h.counts == 0 then return {} end
  local lines, most, n = {}, tallest(h), #h.counts
  for k = 1, n do
    local points = {}
    for b, d in ipairs(densities(h, k)) do
      points[b] = { (h.edges[b] + h.edges[b + 1]) / 2, n - k + 2.5 * d / most }
    end
    lines[k] = { points = points, name = ("epoch %.4g"):format(h.x[k]), filled = true }
  end
  for _, side in ipairs { h.low, h.high } do
    local points = {}
    for k = 1, n do
      if side[k] then points[#points + 1] = { side[k], n - k } end
    end
    if #points > 0 then lines[#lines + 1] = { points = points, name = "cut", class = "cut" } end
  end
  return { { name = ("ridgeline-%s"):format(layer.name), title = layer.name .. "  " .. run.name,
    lines = lines, x = { h.edges[1], h.edges[#h.edges], label = "weight", exact = true },
    y = { 0, n + 2, label = "records, first on top", exact = true }, noytics = true, nokey = true } }
end

return { name = "ridgeline", order = 10, scope = "layer", draw = draw, plots = plot }
