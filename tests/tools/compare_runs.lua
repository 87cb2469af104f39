--- Are two runs the same, bit for bit?  Everything but times and places is compared.
--
--     lua5.4 tests/tools/compare_runs.lua RUN RUN      -- prints what differs; exit status 1 if anything
--     require("tests.tools.compare_runs").differences("runs/a", "runs/b")   -- list of sentences
local checkpoint = require "trit.checkpoint"
local h5 = require "trit.h5"

local compare = {}

local TIMES = { wall_time = true, images_per_second = true, data_wait = true }
-- Fields of meta.run that say when and where, not what.
local FREE = { id = true, cost = true, seconds = true, wait = true, dir = true }

local function bits(x) return math.type(x) == "float" and ("%a"):format(x) or tostring(x) end

-- Contents of a run file: { [path] = list of numbers }.
local function series(path)
  local f <close> = assert(h5.open(path .. "/run.h5"))
  local out = {}
  local function visit(group)
    for _, name in ipairs(f:list(group)) do
      local at = group == "" and name or group .. "/" .. name
      if f:kind(at) == "group" then
        if at ~= "env" then visit(at) end
      elseif f:kind(at) == "number" and not TIMES[name] then
        out[at] = f:read_numbers(at)
      end
    end
  end
  visit("")
  return out
end

local function each_name(a, b, visit)
  local names, seen = {}, {}
  for _, t in ipairs { a, b } do
    for name in pairs(t) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  table.sort(names, function(x, y) return tostring(x) < tostring(y) end)
  for _, name in ipairs(names) do visit(name) end
end

local function compare_series(a, b, say)
  each_name(a, b, function(name)
    local x, y = a[name], b[name]
    if not x or not y then return say("%s is in one run file only", name) end
    if #x ~= #y then return say("%s has %d and %d numbers", name, #x, #y) end
    for i = 1, #x do
      if bits(x[i]) ~= bits(y[i]) then
        return say("%s[%d] is %s and %s", name, i, bits(x[i]), bits(y[i]))
      end
    end
  end)
end

local function compare_tables(a, b, where, say)
  each_name(a, b, function(name)
    local x, y, at = a[name], b[name], where .. "." .. tostring(name)
    if FREE[name] then return end
    if type(x) == "table" and type(y) == "table" then
      compare_tables(x, y, at, say)
    elseif bits(x) ~= bits(y) then
      say("%s is %s and %s", at, bits(x), bits(y))
    end
  end)
end

local function compare_tensors(a, b, where, say)
  each_name(a, b, function(name)
    local x, y = a[name], b[name]
    local same = x and y and (type(x) == "string" and x == y or type(x) ~= "string" and x:equal(y))
    if not same then say("%s/%s differs", where, name) end
  end)
end

local function compare_checkpoints(a, b, where, say)
  compare_tensors(a.tensors, b.tensors, where .. " tensors", say)
  compare_tensors(a.state, b.state, where .. " state", say)
  compare_tables(a.meta.run, b.meta.run, where .. " meta", say)
end

--- Sentences about every difference between two run directories; also counts what was compared.
function compare.differences(one, two)
  local found = {}
  local function say(...) found[#found + 1] = string.format(...) end
  local a, b = series(one), series(two)
  compare_series(a, b, say)
  for _, which in ipairs { "newest", "best" } do
    local kind = which == "best" and which or nil
    compare_checkpoints(assert(checkpoint.load(one, kind)), assert(checkpoint.load(two, kind)), which, say)
  end
  local count = 0
  for _ in pairs(a) do count = count + 1 end
  return found, count
end

if arg and arg[0] and arg[0]:match("compare_runs%.lua$") then
  local found, count = compare.differences(arg[1], arg[2])
  for _, line in ipairs(found) do print(line) end
  print(("%d series and two checkpoints compared, %d differences"):format(count, #found))
  os.exit(#found == 0 and 0 or 1)
end

return compare
