--- SVG and HTML as text: elements, escaped texts, compact paths.
--
--     svg.tag("g", { class = "axis" }, svg.tag("text", { x = 3, y = 4 }, svg.escape("a < b")))
--     svg.path({ { 0, 0 }, { 10.04, 2.96 } })            -- "M0 0l10 3"
--
-- Attributes are written in sorted order, so the same data gives the same bytes.
local svg = {}

local ENTITY = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
local UNIT = 10 -- coordinates are kept to a tenth

--- Text as it may stand in an element or an attribute; control characters are left out.
function svg.escape(text)
  return (tostring(text):gsub('[&<>"]', ENTITY):gsub("[%z\1-\8\11\12\14-\31]", ""))
end

--- A coordinate with at most one decimal.
function svg.coordinate(v)
  local text = ("%.1f"):format(v):gsub("%.0$", "")
  return text == "-0" and "0" or text
end

local function attribute(value)
  if type(value) == "number" then return svg.coordinate(value) end
  return svg.escape(value)
end

--- An element.  attributes: name -> text or number (coordinates), false leaves it out; content: ready
-- text, or a list of it; without content the element is empty.
function svg.tag(name, attributes, content)
  local names, out = {}, { "<", name }
  for key, value in pairs(attributes or {}) do
    if value ~= false then names[#names + 1] = key end
  end
  table.sort(names)
  for _, key in ipairs(names) do
    out[#out + 1] = (' %s="%s"'):format(key, attribute(attributes[key]))
  end
  if content == nil then
    out[#out + 1] = "/>"
  else
    out[#out + 1] = ">"
    out[#out + 1] = type(content) == "table" and table.concat(content) or content
    out[#out + 1] = "</" .. name .. ">"
  end
  return table.concat(out)
end

--- Escaped text in an element.
function svg.text(name, attributes, text) return svg.tag(name, attributes, svg.escape(text)) end

local function whole(v) return math.floor(v * UNIT + 0.5) end

local function short(tenths) -- 25 -> "2.5", -30 -> "-3"
  if tenths % UNIT == 0 then return ("%d"):format(tenths // UNIT) end
  local text = ("%.1f"):format(tenths / UNIT)
  return (text:gsub("^(%-?)0%.", "%1."))
end

-- Two numbers in a path need a separator unless the second brings a minus.
local function pair(x, y)
  local second = short(y)
  return short(x) .. (second:sub(1, 1) == "-" and "" or " ") .. second
end

--- Points { { x, y }, ... } as path data with relative steps; false in the list begins a new line.
-- close: end in "z".
function svg.path(points, close)
  local out, x, y = {}, nil, nil
  local along = 0 -- a level stretch not written yet: steps of the same sign become one
  local function level()
    if along ~= 0 then out[#out + 1] = "h" .. short(along) end
    along = 0
  end
  for _, p in ipairs(points) do
    if not p then
      level()
      x = nil
    else
      local px, py = whole(p[1]), whole(p[2])
      if not x then
        out[#out + 1] = "M" .. pair(px, py)
      elseif py == y then
        if along * (px - x) < 0 then level() end
        along = along + px - x
      else
        level()
        out[#out + 1] = px == x and "v" .. short(py - y) or "l" .. pair(px - x, py - y)
      end
      x, y = px, py
    end
  end
  level()
  if close then out[#out + 1] = "z" end
  return table.concat(out)
end

--- A part that scrolls sideways where it is too wide, by the keyboard too.  label: its name for those
-- who cannot see it.
function svg.scroll(label, content, style)
  return svg.tag("div", { class = "scroll", tabindex = "0", role = "region", ["aria-label"] = label,
    style = style or false }, content)
end

--- A table.  o: caption, hidden (the caption is for screen readers only), class, id, head (cells, or
-- nil), rows (of <tr>).
function svg.grid(o)
  local parts = { svg.text("caption", { class = o.hidden and "hidden" or false }, o.caption) }
  if o.head then parts[2] = svg.tag("thead", {}, svg.tag("tr", {}, o.head)) end
  parts[#parts + 1] = svg.tag("tbody", {}, o.rows)
  return svg.tag("table", { class = o.class or false, id = o.id or false }, parts)
end

local last_id = 0

--- An id that is used once; ids start anew with every page (svg.start).
function svg.id(stem)
  last_id = last_id + 1
  return ("%s%d"):format(stem, last_id)
end

--- Numbers along an axis: texts { { place, text }, ... } below one another at x (of a vertical axis) or
-- side by side at y.
function svg.ticks(list, at)
  local out = {}
  for i, t in ipairs(list) do
    out[i] = svg.text("text", { x = at.x or t[1], y = at.y or t[1] + 3.5 }, t[2])
  end
  return svg.tag("g", { class = at.x and "ticks e" or "ticks" }, out)
end

--- Begin a page.
function svg.start() last_id = 0 end

return svg
