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

local DEFAULT = { width = 380, height = 236, left = 46, right = 12, top = 10, bottom = 36 }

local function scale_of(axis, from, to)
  if axis.log then return scale.logarithmic(axis[1], axis[2], from, to) end
  return scale.linear(axis[1], axis[2], from, to, axis)
end

function chart.new(o)
  local c = setmetatable({ title = o.title, desc = o.desc, caption = o.caption, parts = {}, class = o.class,
    xa = o.x, ya = o.y, heading = o.heading }, Chart)
  for name, value in pairs(DEFAULT) do c[name] = o[name] or value end
  c.x = scale_of(o.x, c.left, c.width - c.right)
  c.y = scale_of(o.y, c.height - c.bottom, c.top)
  return c
end

--- Ready SVG on top of what is there.
function Chart:add(text) self.parts[#self.parts + 1] = text end

local function classes(item, own) return item.key and own .. " s " .. item.key or own end

--- A curve through { { x, y }, ... } in data units.  item: key (of a run, gives colour and
-- highlighting), name (for the tip), class.
function Chart:line(points, item)
  local list = {}
  for i, p in ipairs(points) do list[i] = { self.x(p[1]), self.y(p[2]) } end
  if #list == 1 then -- a line of one point is seen as a dot
    return self:dot(points[1][1], points[1][2], item)
  end
  self:add(svg.tag("path", { class = classes(item, "line " .. (item.class or "")), d = svg.path(list),
    ["data-n"] = item.name or false, style = item.style or false }))
end

--- A dot.
function Chart:dot(x, y, item)
  self:add(svg.tag("circle", { class = classes(item, "dot " .. (item.class or "")), cx = self.x(x),
    cy = self.y(y), r = item.r or 3.5, ["data-n"] = item.name or false, style = item.style or false }))
end

local function axes(c)
  local out, bottom, right = {}, c.height - c.bottom, c.width - c.right
  local grid, labels = {}, {}
  for _, v in ipairs(c.y.ticks) do
    grid[#grid + 1] = { c.left, c.y(v) }
    grid[#grid + 1] = { right, c.y(v) }
    grid[#grid + 1] = false
    labels[#labels + 1] = svg.text("text", { x = c.left - 6, y = c.y(v) + 3.5, ["text-anchor"] = "end" },
      c.y.format(v))
  end
  out[1] = svg.tag("path", { class = "grid", d = svg.path(grid) })
  for _, v in ipairs(c.x.ticks) do
    labels[#labels + 1] = svg.text("text", { x = c.x(v), y = bottom + 14, ["text-anchor"] = "middle" },
      c.x.format(v))
  end
  out[2] = svg.tag("path", { class = "base", d = svg.path { { c.left, bottom }, { right, bottom } } })
  if c.xa.label then
    labels[#labels + 1] = svg.text("text", { x = (c.left + right) / 2, y = c.height - 4, class = "label",
      ["text-anchor"] = "middle" }, c.xa.label)
  end
  if c.ya.label then
    local x, y = 10, (c.top + bottom) / 2
    labels[#labels + 1] = svg.text("text", { x = x, y = y, class = "label", ["text-anchor"] = "middle",
      transform = ("rotate(-90 %s %s)"):format(svg.coordinate(x), svg.coordinate(y)) }, c.ya.label)
  end
  out[3] = svg.tag("g", { class = "ticks" }, labels)
  return table.concat(out)
end

--- A chart from its plain description: what `new` takes, and lines = { { points =, key =, name =, class =,
-- style = }, ... }, dots = { { x =, y =, ... }, ... }.  gnuplot draws from the same.
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
