--- CSV files (RFC 4180) with numbers in full precision; NaN and infinity are nan, inf, -inf.
--
--     local file = assert(csvfile.create("points.csv", { "delta", "top1" }))
--     file:row { 0.5, 0.8 }
--     assert(file:close())
--     csvfile.save(path, head, rows)      -- all at once; true, or nil and a sentence
local json = require "trit.json"

local csvfile = {}
local File = {}
File.__index = File

--- One value as a cell.
function csvfile.cell(v)
  if v == nil then return "" end
  if type(v) == "number" then
    if v ~= v then return "nan" end
    if v == math.huge or v == -math.huge then return v > 0 and "inf" or "-inf" end
    return json.encode(v)
  end
  v = tostring(v)
  return v:find("[\",\r\n]") and '"' .. v:gsub('"', '""') .. '"' or v
end

--- Begin a file; `head` are the titles of its columns.  Returns it, or nil and a sentence.
function csvfile.create(path, head)
  local handle, why = io.open(path, "wb")
  if not handle then return nil, ("cannot write '%s'"):format(why) end
  local file = setmetatable({ handle = handle, path = path, columns = #head }, File)
  file:row(head)
  return file
end

--- Add a row of as many values as there are columns; nil is an empty cell.
function File:row(values)
  if self.failure then return end
  local cells = {}
  for i = 1, self.columns do cells[i] = csvfile.cell(values[i]) end
  local ok, why = self.handle:write(table.concat(cells, ","), "\r\n")
  if not ok then self.failure = why end
end

--- End the file: true, or nil and a sentence when something could not be written.
function File:close()
  local ok, why = self.handle:close()
  why = self.failure or not ok and why
  if why then return nil, ("'%s': %s"):format(self.path, why) end
  return true
end

function csvfile.save(path, head, rows)
  local file, why = csvfile.create(path, head)
  if not file then return nil, why end
  for _, row in ipairs(rows) do file:row(row) end
  return file:close()
end

return csvfile
