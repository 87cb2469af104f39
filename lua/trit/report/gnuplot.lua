--- Figures as PNG or PDF files, drawn by gnuplot from the same descriptions as the page.
--
--     local files = assert(gnuplot.write(data, "figures", "pdf"))
--
-- gnuplot is used when it is installed and never needed for anything else.
local detail = require "trit.report.detail"
local figures = require "trit.report.figures"

local gnuplot = {}

local TERMINAL = {
  png = 'set terminal pngcairo size 1100,720 font "DejaVu Sans,13" linewidth 1.5',
  pdf = 'set terminal pdfcairo size 6.2in,4.0in font "DejaVu Sans,11" linewidth 1.5',
}
local COLORS = { "#2a6fc9", "#d9541e", "#148a63", "#b27a00", "#c2408a", "#6a4bc4", "#4f7a14", "#b8313b" }
local KEY_LINES = 12 -- curves that are named in a key

local function quote(text) return "'" .. text:gsub("'", "''"):gsub("[\r\n]", " ") .. "'" end

-- A path as a string gnuplot does not interpret.
local function path_text(path) return quote(path) end

--- Is gnuplot there?
function gnuplot.found()
  local pipe = io.popen("command -v gnuplot 2>/dev/null")
  local where = pipe and pipe:read("l")
  if pipe then pipe:close() end
  return where ~= nil and where ~= ""
end

local function number(v) return v == v and ("%.9g"):format(v) or "NaN" end

local function block(name, points)
  local out = { ("$%s << EOD"):format(name) }
  for _, p in ipairs(points) do
    local row = {}
    for i, v in ipairs(p or {}) do row[i] = number(v) end
    out[#out + 1] = table.concat(row, " ")
  end
  out[#out + 1] = "EOD"
  return table.concat(out, "\n")
end

local function axis(letter, a, out)
  local scale = a.percent and 100 or 1
  local pad = a.exact and 0 or a[2] > a[1] and 0.03 * (a[2] - a[1]) or math.max(math.abs(a[1]) * 0.1, 1e-6)
  if a.log then out[#out + 1] = "set logscale " .. letter end
  local low, high = number((a[1] - pad) * scale), number((a[2] + pad) * scale)
  if a.log then low, high = number(a[1] / 1.1), number(a[2] * 1.1) end
  out[#out + 1] = ("set %srange [%s:%s]"):format(letter, low, high)
  if a.label then
    out[#out + 1] = ("set %slabel %s"):format(letter, quote(a.label .. (a.percent and ", %" or "")))
  end
end

local function using(spec)
  return ("using ($1*%d):($2*%d)"):format(spec.x.percent and 100 or 1, spec.y.percent and 100 or 1)
end

-- One plot clause per line or dot; the data go before as blocks.
local function clauses(spec, out)
  local list, lines = {}, spec.lines or {}
  local named = #lines <= KEY_LINES and not spec.nokey
  if spec.map then
    out[#out + 1] = block("map", spec.map)
    list[1] = "$map using 1:2:3 with image notitle"
  end
  for i, item in ipairs(lines) do
    out[#out + 1] = block("l" .. i, item.points)
    local color = item.class == "cut" and "#c2410c" or COLORS[(i - 1) % #COLORS + 1]
    if spec.nokey and item.class ~= "cut" then color = "#2a6fc9" end
    local with = #item.points > 1 and "lines" or "points pt 7"
    list[#list + 1] = ("$l%d %s with %s lc rgb '%s' %s"):format(i, using(spec), with, color,
      named and item.name and "title " .. quote(item.name) or "notitle")
  end
  if spec.dots and #spec.dots > 0 then
    local points = {}
    for i, d in ipairs(spec.dots) do points[i] = { d.x, d.y } end
    out[#out + 1] = block("dots", points)
    list[#list + 1] = ("$dots %s with points pt 7 ps 0.8 lc rgb '%s' notitle"):format(using(spec), COLORS[1])
  end
  return list
end

--- The gnuplot program that draws a figure into a file.
function gnuplot.script(spec, path, kind)
  local out = { TERMINAL[kind], "set output " .. path_text(path), "set termoption noenhanced",
    "set grid back lc rgb '#dddddd'", "set border 3 lc rgb '#888888'", "set tics nomirror",
    "set key outside right top noenhanced", "set title " .. quote(spec.title) }
  axis("x", spec.x, out)
  axis("y", spec.y, out)
  if spec.noytics then out[#out + 1] = "unset ytics" end
  if spec.map then
    out[#out + 1] = "set palette defined (0 '#ffffff', 1 '#123f7a')\nunset colorbox\nset grid front"
  end
  if spec.xtics then
    local tics = {}
    for i, t in ipairs(spec.xtics) do tics[i] = ("%s %d"):format(quote(t[2]), t[1]) end
    out[#out + 1] = "set xtics (" .. table.concat(tics, ", ") .. ")"
  end
  local list = clauses(spec, out)
  out[#out + 1] = "plot " .. table.concat(list, ", \\\n  ")
  out[#out + 1] = "unset output"
  return table.concat(out, "\n") .. "\n"
end

local function draw(spec, path, kind)
  local pipe, why = io.popen("gnuplot 2>&1 >/dev/null -", "w")
  if not pipe then return nil, why end
  pipe:write(gnuplot.script(spec, path, kind))
  if not pipe:close() then return nil, ("gnuplot could not draw '%s'"):format(path) end
  return true
end

-- All figures: of the runs together, then of one run and its layers.
local function collect_plots(data, run)
  local list = {}
  local function add(specs)
    for _, spec in ipairs(specs) do list[#list + 1] = spec end
  end
  for _, figure in ipairs(figures.list("all")) do add(figures.plots(figure, data)) end
  if not run then return list end
  for _, figure in ipairs(figures.list("run")) do
    for _, spec in ipairs(figures.plots(figure, data, run)) do
      spec.name = "layers-" .. spec.name
      list[#list + 1] = spec
    end
  end
  local plan = { bins = 101, records = 24, runs = {} }
  for _, layer in ipairs(run.layers) do
    local h = detail.read(run, layer, plan)
    for _, figure in ipairs(figures.list("layer")) do add(figures.plots(figure, data, run, layer, h)) end
  end
  return list
end

--- Write the figures into a directory.  kind: "png" or "pdf"; run: the one whose layers are drawn.
-- Returns the list of files, or nil and a sentence.
function gnuplot.write(data, directory, kind, run)
  if not gnuplot.found() then
    return nil, ("--%s needs gnuplot, which is not installed (Debian package gnuplot-nox)"):format(kind)
  end
  local files = {}
  for _, spec in ipairs(collect_plots(data, run)) do
    local path = ("%s/%s.%s"):format(directory, (spec.name:gsub("[^%w%.%-_]", "_")), kind)
    local ok, why = draw(spec, path, kind)
    if not ok then return nil, why end
    files[#files + 1] = path
  end
  return files
end

return gnuplot
