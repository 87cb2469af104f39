--- A chart: a frame with two axes, things drawn into it, a title and a description for those who
-- cannot see it.
--
--     local c = chart.new { title = "Loss", desc = "...", x = { 0, 6, label = "epoch" },
--       y = { 0, 2.3, label = "loss" } }
--     c:line(points, { key = "r1", name = "lr=0.1" })
--     c:render()                                     -- <figure> ... </figure>
--
-- Axis: { low, high, label =, ticks =, nice =, percent =, log = }.  Colours come from classes and custom
-- properties of the page's style, so that themes change them.
local scale = require "trit.report.scale"
local svg = require "trit.report.svg"

local chart = {}
local Chart = {}
Chart.__index = Chart

local DIGIT = 6.6 -- width of a figure in the font of the axes
local DEFAULT = { width = 380, height = 236, left = 46, right = 12, top = 10, bottom = 36 }

local function scale_of(axis, from, to)
  if axis.log then return scale.logarithmic(axis[1], axis[2], from, to) end
  return scale.linear(axis[1], axis[2], from, to, axis)
end

-- Columns that the axis' name, its numbers and the gaps between them take.
local function label_room(s)
  local longest = 0
  for _, v in ipairs(s.ticks) do longest = math.max(longest, utf8.len(s.format(v))) end
  return 25 + DIGIT * longest
end

function chart.new(o)
  local c = setmetatable({ title = o.title, desc = o.desc, caption = o.caption, parts = {}, class = o.class,
    xa = o.x, ya = o.y, heading = o.heading }, Chart)
  for name, value in pairs(DEFAULT) do c[name] = o[name] or value end
  c.y = scale_of(o.y, c.height - c.bottom, c.top)
  c.left = math.max(c.left, label_room(c.y))
  c.x = scale_of(o.x, c.left, c.width - c.right)
  return c
end

--- Ready SVG on top of what is there.
function Chart:add(text) self.parts[#self.parts + 1] = text end

-- Class of a mark: its own, and for a run's the key by which colour and highlighting reach it.
local function classes(item, kind)
  local text = kind
  if item.class then text = text .. " " .. item.class end
  if item.key then text = text .. " s " .. item.key end
  return text
end

--- A curve through { { x, y }, ... } in data units.  item: key (of a run; its name is known to the page),
-- or name, or index (of a layer, for colour and name), and class.
function Chart:line(points, item)
  local list = {}
  for i, p in ipairs(points) do list[i] = { self.x(p[1]), self.y(p[2]) } end
  if #list == 1 then -- a line of one point is seen as a dot
    return self:dot(points[1][1], points[1][2], item)
  end
  self:add(svg.tag("path", { class = classes(item, "line"), d = svg.path(list),
    ["data-n"] = not item.key and item.name or false, ["data-i"] = item.index or false }))
end

--- A dot.
function Chart:dot(x, y, item)
  self:add(svg.tag("circle", { class = classes(item, "dot"), cx = self.x(x), cy = self.y(y),
    r = item.r or 3.5, ["data-n"] = not item.key and item.name or false, ["data-i"] = item.index or false }))
end

local function axes(c)
  local bottom, right = c.height - c.bottom, c.width - c.right
  local grid, across, up = {}, {}, {}
  for i, v in ipairs(c.y.ticks) do
    table.move({ { c.left, c.y(v) }, { right, c.y(v) }, false }, 1, 3, #grid + 1, grid)
    up[i] = { c.y(v), c.y.format(v) }
  end
  for i, v in ipairs(c.x.ticks) do across[i] = { c.x(v), c.x.format(v) } end
  local out = { svg.tag("path", { class = "grid", d = svg.path(grid) }),
    svg.tag("path", { class = "base", d = svg.path { { c.left, bottom }, { right, bottom } } }),
    svg.ticks(up, { x = c.left - 6 }), svg.ticks(across, { y = bottom + 14 }),
    chart.labels(c.xa.label, (c.left + right) / 2, c.height - 4, c.ya.label, (c.top + bottom) / 2) }
  return table.concat(out)
end

--- Names of the axes: of the horizontal one at (x, y), of the vertical one turned, around `middle`.
function chart.labels(across, x, y, up, middle)
  local out = {}
  if across then out[1] = svg.text("text", { x = x, y = y }, across) end
  if up then
    out[#out + 1] = svg.text("text", { transform = ("rotate(-90 10 %s)"):format(svg.coordinate(middle)),
      x = 10, y = middle }, up)
  end
  return svg.tag("g", { class = "ticks" }, out)
end

--- A chart from its plain description: what `new` takes, and lines = { { points =, key =, name =, index =,
-- class = }, ... }, dots = { { x =, y =, ... }, ... }.  gnuplot draws from the same.
function chart.of(spec)
  local c = chart.new(spec)
  for _, item in ipairs(spec.lines or {}) do
    if #item.points > 0 then c:line(item.points, item) end
  end
  for _, item in ipairs(spec.dots or {}) do c:dot(item.x, item.y, item) end
  return c:render()
end

--- The svg element of a drawing with its title and description.
-- o: title, desc, width, height, class, data (attributes).
function chart.element(o, content)
  local title, desc = svg.id "t", svg.id "d"
  local attributes = { role = "img", ["aria-labelledby"] = title .. " " .. desc,
    viewBox = ("0 0 %s %s"):format(svg.coordinate(o.width), svg.coordinate(o.height)),
    class = o.class or false }
  for name, value in pairs(o.data or {}) do attributes["data-" .. name] = value end
  return svg.tag("svg", attributes, svg.text("title", { id = title }, o.title) ..
    svg.text("desc", { id = desc }, o.desc) .. content)
end

--- A figure: heading, drawing, caption (all but the drawing optional).
function chart.figure(heading, drawing, caption)
  local parts = {}
  if heading then parts[1] = svg.text("h4", {}, heading) end
  parts[#parts + 1] = drawing
  if caption then parts[#parts + 1] = svg.text("figcaption", {}, caption) end
  return svg.tag("figure", {}, parts)
end

--- The chart as text.
function Chart:render()
  local s = self
  local plot = ("%s,%s,%s,%s,%.9g,%.9g,%.9g,%.9g"):format(s.left, s.width - s.right, s.height - s.bottom,
    s.top, s.x.low, s.x.high, s.y.low, s.y.high)
  local data = { plot = plot, x = s.xa.label or "x", y = s.ya.label or "y" }
  if s.xa.log then data.xlog = "1" end
  if s.ya.percent then data.percent = "1" end
  local drawing = chart.element({ title = s.title, desc = s.desc, width = s.width, height = s.height,
    class = "chart " .. (s.class or ""), data = data }, axes(s) .. table.concat(s.parts))
  return chart.figure(s.heading or s.title, drawing, s.caption)
end

return chart
