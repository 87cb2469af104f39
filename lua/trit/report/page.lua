--- The page: one HTML file with everything inside, readable without a network and without scripts.
local collect = require "trit.report.collect"
local color = require "trit.report.color"
local differences = require "trit.report.differences"
local figures = require "trit.report.figures"
local json = require "trit.json"
local layers = require "trit.report.layers"
local replicates = require "trit.report.replicates"
local runtable = require "trit.report.runtable"
local svg = require "trit.report.svg"
local term = require "trit.term"

local page = {}

local SIZE = 1950000 -- bytes of a page
local FRAME = 1000   -- bytes of what stands around its parts

-- Nothing may be fetched, whatever stands in a run's names.
local POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

local function asset(name)
  local path = figures.directory() .. "/" .. name
  local file = assert(io.open(path), "report: the file '" .. path .. "' is missing")
  local text = file:read("a")
  file:close()
  return text
end

local function section(id, title, doc, content)
  local parts = { svg.text("h2", { id = id .. "-h" }, title) }
  if doc then parts[2] = svg.text("p", { class = "doc" }, doc) end
  parts[#parts + 1] = content
  return svg.tag("section", { id = id, ["aria-labelledby"] = id .. "-h" }, parts)
end

-- Facts at the head: the number, what it is.
local function tile(value, label, note)
  return svg.tag("div", { class = "tile" }, svg.text("dt", {}, label) .. svg.text("dd", {}, value) ..
    (note and svg.text("dd", { class = "note" }, note) or ""))
end

local function states(data)
  local count, words, order = {}, {}, { "complete", "running", "stopped", "interrupted", "failed",
    "killed" }
  for _, run in ipairs(data.runs) do count[run.status] = (count[run.status] or 0) + 1 end
  for _, state in ipairs(order) do
    if count[state] then words[#words + 1] = ("%d %s"):format(count[state], state) end
  end
  return table.concat(words, ", ")
end

local function tiles(data)
  local best, out = collect.best(data.runs), {}
  local one = #data.runs == 1
  if one then
    local message = data.runs[1].message
    out[1] = tile(data.runs[1].status, "status", message ~= "" and message or nil)
  else
    out[1] = tile(("%d"):format(#data.runs), "runs", states(data))
  end
  if best then
    out[#out + 1] = tile(term.percent(best.top1, 2), one and "top-1" or "best top-1", not one and best.name or
      best.best and best.best > best.top1 and "best epoch " .. term.percent(best.best, 2) or nil)
    if best.quantizer ~= "float" and best.zeros then
      out[#out + 1] = tile(term.percent(best.zeros), one and "zeros" or "zeros of that run",
        best.threshold and ("threshold %.2f sigma on average"):format(best.threshold) or nil)
    end
  end
  local seconds = 0
  for _, run in ipairs(data.runs) do seconds = seconds + (run.seconds or 0) end
  out[#out + 1] = tile(term.span(seconds), one and "time" or "time of all runs", nil)
  return svg.tag("dl", { class = "tiles" }, out)
end

local function legend(data)
  local items = {}
  for i, run in ipairs(data.runs) do
    items[i] = svg.tag("li", {}, svg.tag("button", { type = "button", ["data-pin"] = run.key,
      ["aria-pressed"] = "false", title = "highlight in all figures" },
      svg.tag("span", { class = "chip " .. run.key }, "") .. svg.escape(run.name)))
  end
  return svg.tag("ul", { class = "legend", ["aria-label"] = "Runs" }, items)
end

-- Which option the colours of many runs stand for, and the choice of another.
local function color_bar(scheme)
  local options = {}
  for _, choice in ipairs(scheme.choices) do
    options[#options + 1] = svg.text("option", { value = choice.name,
      selected = choice.name == scheme.name and "selected" or false }, choice.title)
  end
  local ramp = {}
  for i = 1, color.STEPS do ramp[i] = svg.tag("span", { class = "q" .. i }, "") end
  return svg.tag("div", { class = "colorbar" }, svg.tag("label", {}, "colour by " ..
    svg.tag("select", { id = "colorby" }, options)) .. svg.text("span", { id = "color-low" }, scheme.low) ..
    svg.tag("span", { class = "ramp", ["aria-hidden"] = "true" }, ramp) ..
    svg.text("span", { id = "color-high" }, scheme.high))
end

local function overview(data, scheme)
  local out = {}
  for _, figure in ipairs(figures.list("all")) do
    local content = figures.draw(figure, data)
    if content then
      local key = scheme.choices and color_bar(scheme) or #data.runs > 1 and legend(data) or ""
      if figure.name ~= "curves" then key = "" end
      out[#out + 1] = section(figure.name, figure.title, figure.doc, key ..
        svg.tag("div", { class = "figures" }, content))
    end
  end
  return table.concat(out)
end

local function nav(sections)
  local items = {}
  for i, s in ipairs(sections) do
    items[i] = svg.tag("li", {}, svg.text("a", { href = "#" .. s[1] }, s[2]))
  end
  return svg.tag("nav", { ["aria-label"] = "Sections" }, svg.tag("ul", {}, items))
end

local function head(data, scheme)
  return "<head>" .. '<meta charset="utf-8"/>' ..
    svg.tag("meta", { name = "viewport", content = "width=device-width, initial-scale=1" }) ..
    svg.tag("meta", { ["http-equiv"] = "Content-Security-Policy", content = POLICY }) ..
    svg.tag("meta", { name = "color-scheme", content = "light dark" }) ..
    svg.text("title", {}, data.title .. " · trit report") ..
    "<style>\n" .. asset("page.css") .. scheme.style .. "</style></head>"
end

-- What the script needs to know of the runs; no "<" of theirs may end the element early.
local function script(data, scheme)
  local list = {}
  for i, run in ipairs(data.runs) do
    list[i] = { k = run.key, n = run.name, t = run.top1, z = run.quantizer ~= "float" and run.zeros or nil }
  end
  local text = json.encode { runs = json.array(list), colors = scheme.choices and json.array(scheme.choices) }
  text = text:gsub("<", "\\u003c")
  return "<script>\nconst DATA = " .. text .. ";\n" .. asset("page.js") .. "</script>"
end

local function unreadable(data)
  local items = {}
  for i, row in ipairs(data.unreadable) do
    items[i] = svg.text("li", {}, row.run .. ": " .. tostring(row.message))
  end
  if #items == 0 then return "" end
  return svg.tag("p", {}, "Run files that could not be read:") .. svg.tag("ul", {}, items)
end

-- The sections there are, for the navigation.
local function sections_of(middle)
  local list = { { "table", "Runs" } }
  for _, figure in ipairs(figures.list("all")) do
    if middle:find('id="' .. figure.name .. '"', 1, true) then
      list[#list + 1] = { figure.name, figure.title }
    end
  end
  list[#list + 1] = { "layers", "Layers" }
  list[#list + 1] = { "settings", "Settings" }
  return list
end

local function header_of(data, when)
  local theme = svg.tag("button", { type = "button", id = "theme", hidden = "hidden" }, "theme: auto")
  return svg.tag("header", {}, { svg.tag("div", { class = "top" }, svg.text("h1", {}, data.title) .. theme),
    svg.text("p", { class = "doc" }, "trit report, " .. when), tiles(data), unreadable(data) })
end

local LAYERS_DOC = "Ridges and maps show the weights over the epochs; what lies between the two cuts " ..
  "becomes 0 and is pale."

--- The page as text.  data: of trit.report.collect; when: date to print; size: bytes it may take, by
-- which the histograms are drawn in more or less detail (default: just below 2 MB).
function page.render(data, when, size)
  svg.start()
  local scheme = color.scheme(data)
  local middle = overview(data, scheme)
  local before = { svg.tag("a", { class = "skip", href = "#main" }, "Skip to the runs"),
    header_of(data, when), nav(sections_of(middle)) }
  local after = { svg.tag("div", { id = "tip", ["aria-hidden"] = "true", hidden = "hidden" }, ""),
    script(data, scheme) }
  local tables = (data.points and replicates.draw(data.points) or "") .. runtable.draw(data)
  local first = section("table", "Runs", nil, tables) .. middle
  local last = section("settings", "Settings", nil, differences.draw(data))
  local top = head(data, scheme)
  local others = #table.concat(before) + #table.concat(after) + #first + #last + #top + FRAME
  local weights = section("layers", "Weights of the layers", LAYERS_DOC,
    layers.draw(data, (size or SIZE) - others))
  local main = svg.tag("main", { id = "main" }, first .. weights .. last)
  return "<!DOCTYPE html>\n" .. svg.tag("html", { lang = "en" }, top .. svg.tag("body", {},
    table.concat(before) .. main .. table.concat(after))) .. "\n"
end

return page
