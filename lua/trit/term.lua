--- Text pictures for the terminal: what it can show, tables, sparklines, histograms.
--
-- Block characters are used where the locale is UTF-8 and TERM is not dumb, plain ASCII elsewhere;
-- colour only on a terminal and never with NO_COLOR.
local core = require "trit.core"

local term = {}

local STDOUT = 1
local LOWER = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" } -- eighths of a cell
local ASCII = { ".", ":", "-", "=", "+", "*", "%", "#" }
local DEFAULT_WIDTH = 80
local SAME = 1e-4 -- of the greatest value: a range that the digits shown do not tell from none
local NOTHING = "-" -- shown for what is not there

--- Can the terminal show block characters?
function term.unicode()
  if os.getenv("TERM") == "dumb" then return false end
  local locale = ""
  for _, name in ipairs { "LC_ALL", "LC_CTYPE", "LANG" } do -- the first that is set decides
    local value = os.getenv(name)
    if value and value ~= "" then
      locale = value
      break
    end
  end
  return locale:lower():match("utf%-?8") ~= nil
end

--- Is colour wanted on stdout?
function term.color()
  local no = os.getenv("NO_COLOR")
  if (no and no ~= "") or os.getenv("TERM") == "dumb" then return false end
  return core.io_isatty(STDOUT)
end

--- Columns to use: COLUMNS, else the terminal's, else 80.
function term.width()
  local columns = math.tointeger(tonumber(os.getenv("COLUMNS") or ""))
  if not columns and core.io_isatty(STDOUT) then
    local tty = require("luv").new_tty(STDOUT, false)
    columns = tty and math.tointeger((tty:get_winsize()))
  end
  return columns and columns > 0 and columns or DEFAULT_WIDTH
end

--- Length in characters, not bytes.
function term.length(text)
  return utf8.len(text) or #text
end

local function pad(text, width, right)
  local fill = (" "):rep(width - term.length(text))
  return right and fill .. text or text .. fill
end

--- Rows of strings as aligned columns.  head: titles; right[i]: column i is aligned to the right.
function term.table(head, rows, right)
  local width = {}
  for i, title in ipairs(head) do
    width[i] = term.length(title)
    for _, row in ipairs(rows) do width[i] = math.max(width[i], term.length(row[i])) end
  end
  local lines = {}
  local function add(row)
    local cells = {}
    for i = 1, #head do cells[i] = pad(row[i], width[i], right and right[i]) end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  add(head)
  for _, row in ipairs(rows) do add(row) end
  return table.concat(lines, "\n")
end

local function is_number(v)
  return type(v) == "number" and v == v and v ~= math.huge and v ~= -math.huge
end

--- A number for people: format, or "-" for nothing and NaN.
function term.number(value, format)
  return is_number(value) and (format or "%.4g"):format(value) or NOTHING
end

--- A share 0..1 as percent.
function term.percent(share, digits)
  return is_number(share) and ("%%.%df %%%%"):format(digits or 1):format(100 * share) or NOTHING
end

--- A time span in words: "12 s", "3.4 min", "2.1 h", "5 d".
function term.span(seconds)
  if not is_number(seconds) then return NOTHING end
  if seconds < 100 then return ("%.0f s"):format(seconds) end
  if seconds < 6000 then return ("%.0f min"):format(seconds / 60) end
  if seconds < 172800 then return ("%.1f h"):format(seconds / 3600) end
  return ("%.0f d"):format(seconds / 86400)
end

--- A series in one line, at most `width` characters: low to high between its least and greatest
-- value, level where these are the same in print; gaps where there is no number.
function term.sparkline(values, width, unicode)
  local blocks = unicode and LOWER or ASCII
  local n = #values
  local cells = math.min(n, width)
  local low, high = math.huge, -math.huge
  for _, v in ipairs(values) do
    if is_number(v) then low, high = math.min(low, v), math.max(high, v) end
  end
  local level = high - low <= SAME * math.max(math.abs(low), math.abs(high))
  local out = {}
  for c = 1, cells do
    local v = values[math.ceil(c * n / cells)] -- the last of the values that share the cell
    if not is_number(v) then
      out[c] = " "
    elseif not level then
      out[c] = blocks[1 + math.floor((v - low) / (high - low) * (#blocks - 1) + 0.5)]
    else
      out[c] = blocks[#blocks // 2]
    end
  end
  return table.concat(out)
end

-- Bins -> at most `width` columns by joining neighbours; column heights and edges.
local function columns_of(counts, edges, width)
  local join = math.ceil(#counts / width)
  local column, border = {}, { edges[1] }
  for b = 1, #counts, join do
    local sum = 0
    for k = b, math.min(b + join - 1, #counts) do sum = sum + counts[k] end
    column[#column + 1] = sum
    border[#border + 1] = edges[math.min(b + join, #edges)]
  end
  return column, border
end

local function column_at(border, x)
  if not is_number(x) or x < border[1] or x > border[#border] then return nil end
  for c = 1, #border - 1 do
    if x < border[c + 1] then return c end
  end
  return #border - 1
end

-- Text of each column coloured by its zone: what becomes 0 between the cuts faint, the rest plain.
local DIM, RESET = "\27[2m", "\27[0m"
local function tint(cells, zone)
  local out, dim = {}, false
  for c, cell in ipairs(cells) do
    if zone[c] ~= dim then
      out[#out + 1] = zone[c] and DIM or RESET
      dim = zone[c]
    end
    out[#out + 1] = cell
  end
  if dim then out[#out + 1] = RESET end
  return table.concat(out)
end

-- Which columns lie between the first and the last mark.
local function zero_zone(border, marks)
  local zone = {}
  local low, high = column_at(border, marks[1]), column_at(border, marks[#marks])
  for c = 1, #border - 1 do zone[c] = low ~= nil and high ~= nil and c > low and c < high end
  return zone
end

local function bar_rows(column, height, unicode, zone)
  local most, lines = 1, {}
  for _, v in ipairs(column) do most = math.max(most, v) end
  local steps = unicode and #LOWER or 2 -- ASCII: half and full cells
  for row = height, 1, -1 do
    local cells = {}
    for c, v in ipairs(column) do
      local level = v / most * height * steps - (row - 1) * steps
      if v > 0 and row == 1 then level = math.max(level, 1) end -- a bin in use is never invisible
      local whole = math.floor(math.min(level, steps) + 0.5)
      if whole <= 0 then
        cells[c] = " "
      elseif unicode then
        cells[c] = LOWER[whole]
      else
        cells[c] = whole == 2 and "#" or "."
      end
    end
    lines[#lines + 1] = zone and tint(cells, zone) or (table.concat(cells):gsub("%s+$", ""))
  end
  return lines
end

-- "-0.5        0        0.5" under the columns
local function labels(border)
  local width = #border - 1
  local left, right = term.number(border[1], "%.3g"), term.number(border[#border], "%.3g")
  local zero = column_at(border, 0)
  local line = pad(left, width - #right) .. right
  if zero and zero > #left + 1 and zero < width - #right then
    line = line:sub(1, zero - 1) .. "0" .. line:sub(zero + 1)
  end
  return line
end

--- A histogram as lines of text.
-- counts, edges: as logged; options: width (columns, default 72), height (lines, default 8),
-- marks = { x, ... } positions on the axis marked below the bars, unicode; color: what lies between the
-- marks is faint.
function term.histogram(counts, edges, options)
  local column, border = columns_of(counts, edges, options.width or 72)
  local marks = options.marks or {}
  local zone = options.color and #marks == 2 and zero_zone(border, marks) or nil
  local lines = bar_rows(column, options.height or 8, options.unicode, zone)
  local axis = {}
  for c = 1, #column do axis[c] = options.unicode and "─" or "-" end
  for _, x in ipairs(marks) do
    local c = column_at(border, x)
    if c then axis[c] = options.unicode and "▲" or "^" end
  end
  lines[#lines + 1] = table.concat(axis)
  lines[#lines + 1] = labels(border)
  return lines
end

-- Rows of cells, all blank.
local function canvas(width, height)
  local rows = {}
  for r = 1, height do
    rows[r] = {}
    for c = 1, width do rows[r][c] = " " end
  end
  return rows
end

local function extent(curves, key)
  local low, high = math.huge, -math.huge
  for _, curve in ipairs(curves) do
    for _, v in ipairs(curve[key]) do
      if is_number(v) then low, high = math.min(low, v), math.max(high, v) end
    end
  end
  if low > high then low, high = 0, 1 end
  return low, high > low and high or low + 1
end

--- Curves over one x axis as lines of text, a legend last.
-- curves: { { name =, x =, y =, mark = character }, ... }; options: width, height, unicode,
-- low, high (of y; default: the data's), format = function(y) -> text of the axis.
function term.plot(curves, options)
  local format = options.format or term.number
  local x_low, x_high = extent(curves, "x")
  local low, high = extent(curves, "y")
  low, high = options.low or low, options.high or high
  local left = math.max(term.length(format(low)), term.length(format(high)))
  local width, height = math.max(10, options.width - left - 3), options.height
  local rows = canvas(width, height)
  for _, curve in ipairs(curves) do
    for i, x in ipairs(curve.x) do
      local y = curve.y[i]
      if is_number(x) and is_number(y) then
        local c = 1 + math.floor((x - x_low) / (x_high - x_low) * (width - 1) + 0.5)
        local r = height - math.floor((y - low) / (high - low) * (height - 1) + 0.5)
        if rows[r] then rows[r][c] = curve.mark end
      end
    end
  end
  local bar, lines, legend = options.unicode and "│" or "|", {}, {}
  for r = 1, height do
    local label = r == 1 and format(high) or r == height and format(low) or ""
    lines[r] = (pad(label, left, true) .. " " .. bar .. table.concat(rows[r])):gsub("%s+$", "")
  end
  local first, last = term.number(x_low, "%g"), term.number(x_high, "%g")
  lines[#lines + 1] = (" "):rep(left + 1) .. (options.unicode and "└" or "+")
    .. (options.unicode and "─" or "-"):rep(width)
  lines[#lines + 1] = (" "):rep(left + 2) .. first .. (" "):rep(width - #first - #last) .. last
  for i, curve in ipairs(curves) do legend[i] = curve.mark .. " " .. curve.name end
  lines[#lines + 1] = (" "):rep(left + 2) .. table.concat(legend, "   ")
  return lines
end

return term
