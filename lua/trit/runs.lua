--- Many runs: finding them below a directory, one row of facts about each, choosing and sorting.
--
--     local dirs = runs.find("runs")
--     local rows = {}
--     for i, dir in ipairs(dirs) do rows[i] = runs.summary(dir) end
--     rows = runs.select(rows, { where = "top1 > 0.8 and params.init < 0.2", sort = "top1" })
--
-- A row is { run, status, message, created, age, seconds, label, model, quantizer, epochs, top1 (last),
-- best, loss, zeros, params, config, val, train }; val and train are the last values of the series.
-- Expressions are Lua over these fields; options of the script can be named without `params.`.
local files = require "trit.sweep.files"
local lfs = require "lfs"
local runfile = require "trit.runfile"

local runs = {}

local DIGITS = 20 -- of a number in a name
local DEPTH = 6 -- directories below the given one that are searched

-- Names with their numbers in numeric order.
local function natural(a, b)
  local function key(name)
    return (name:gsub("%d+", function(d) return ("0"):rep(DIGITS - #d) .. d end))
  end
  return key(a) < key(b)
end

-- What a run directory held before, DIR/before-N (trit.resume), is no run of its own.
local function search(dir, depth, found)
  local is_run = lfs.attributes(dir .. "/run.h5", "mode") == "file"
  if is_run then found[#found + 1] = dir end
  if depth == 0 then return found end
  local names = {}
  for name in lfs.dir(dir) do
    local left_out = name:sub(1, 1) == "." or is_run and name:match("^before%-%d+$")
    if not left_out and lfs.symlinkattributes(dir .. "/" .. name, "mode") == "directory" then
      names[#names + 1] = name
    end
  end
  table.sort(names, natural)
  for _, name in ipairs(names) do search(dir .. "/" .. name, depth - 1, found) end
  return found
end

--- Directories below `dir`, itself included, that hold a run; those that a later run replaced only where
-- `dir` names them.  nil, sentence if there is no directory.
function runs.find(dir)
  dir = dir:gsub("(.)/+$", "%1")
  if lfs.attributes(dir, "mode") ~= "directory" then return nil, ("no directory '%s'"):format(dir) end
  return search(dir, DEPTH, {})
end

local function text_of(v)
  if type(v) == "table" then v = v.name or v[1] end
  return type(v) == "string" and v or nil
end

local function last_values(series)
  local out = {}
  for name, values in pairs(series or {}) do
    if type(values) == "table" then out[name] = values[series.n] end
  end
  return out
end

-- Greatest of a series, NaN left out.
local function greatest(values)
  local best
  for _, v in ipairs(values or {}) do
    if v == v then best = math.max(best or v, v) end
  end
  return best
end

local function add_results(row, val)
  if not val or val.n == 0 then return end
  local last = last_values(val)
  row.epochs = last.epoch or val.n
  row.last, row.top1, row.loss, row.zeros = last.top1, last.top1, last.loss, last.zeros
  row.best = greatest(val.top1)
  row.val = last
end

-- The last worker's record of how a sweep's run ended; nil when there is none, or the run went on later.
local function sweep_record(dir, state)
  local n = 0
  while lfs.attributes(("%s/claim-%d"):format(dir, n + 1), "mode") do n = n + 1 end
  local path = ("%s/claim-%d/exit.json"):format(dir, n)
  local written = lfs.attributes(path, "modification")
  return written and written >= state.updated and files.read_json(path) or nil
end

-- Ended from outside, a run knows no more than that; the sweep that ended it knows why.
local function status_of(dir, state)
  if state.status == "interrupted" or state.status == "killed" then
    local record = sweep_record(dir, state)
    if record and (record.state == "stopped" or record.state == "failed") then
      return record.state, record.reason
    end
  end
  return state.status, state.message
end

--- One row; a file that cannot be read is a row with its reason, not the end of the listing.
function runs.summary(dir)
  local run, why = runfile.open(dir)
  local state
  if run then state, why = run:status() end
  if not state then return { run = dir, status = "unreadable", message = why } end
  local config = run:config()
  config = type(config) == "table" and config or {}
  local status, message = status_of(dir, state)
  local row = { run = dir, status = status, message = message, created = state.created,
    age = os.time() - state.updated, seconds = state.elapsed, log_seconds = state.log_seconds, epochs = 0,
    config = config, params = type(config.params) == "table" and config.params or {},
    model = text_of(config.model), quantizer = text_of(config.quantizer), label = text_of(config.label) }
  add_results(row, run:series("val"))
  row.train = last_values(run:series("train"))
  return row
end

-- Value of a name in a row: its own field, an option of the script, a field of the configuration, a
-- last value.
local function lookup(row, name)
  for _, place in ipairs { row, row.params or {}, row.config or {}, row.val or {}, row.train or {} } do
    if place[name] ~= nil then return place[name] end
  end
end

--- Value of "top1", "params.init", "val.loss", ... in a row, or nil.
function runs.field(row, path)
  local value
  for name in path:gmatch("[^.]+") do
    if value == nil then value = lookup(row, name)
    elseif type(value) == "table" then value = value[tonumber(name) or name]
    else return nil end
    if value == nil then return nil end
  end
  return value
end

local function known_names(rows)
  local seen, names = {}, {}
  for _, row in ipairs(rows) do
    for _, place in ipairs { row, row.params or {}, row.val or {} } do
      for name in pairs(place) do
        if not seen[name] then names[#names + 1] = name end
        seen[name] = true
      end
    end
  end
  table.sort(names)
  return table.concat(names, ", ")
end

-- Rows for which the expression holds.  A run without a field it compares is left out; a name that
-- no run has is a mistake in the expression.
local function filter(rows, expression)
  local asked, kept, current, failure = {}, {}, nil, nil
  local environment = setmetatable({}, { __index = function(_, name)
    local value = lookup(current, name)
    asked[name] = asked[name] or value ~= nil
    return value
  end })
  local test, why = load("return " .. expression, "=where", "t", environment)
  if not test then return nil, ("where: %s"):format((why:gsub("^where:%d+: ", ""))) end
  for _, row in ipairs(rows) do
    current = row
    local ok, result = pcall(test)
    if ok and result then kept[#kept + 1] = row end
    if not ok then failure = failure or result end
  end
  for name, found in pairs(asked) do
    if not found and #rows > 0 then
      return nil, ("where: no run has \"%s\"; there are: %s"):format(name, known_names(rows))
    end
  end
  if failure and #kept == 0 and not failure:match("nil") then
    return nil, ("where: %s"):format((failure:gsub("^where:%d+: ", "")))
  end
  return kept
end

--- nil, or the sentence for a field that no run has; `what` asked for it.
function runs.missing(rows, what, path)
  for _, row in ipairs(rows) do
    if runs.field(row, path) ~= nil then return nil end
  end
  return #rows > 0 and ("%s: no run has \"%s\"; there are: %s"):format(what, path, known_names(rows)) or nil
end

-- Order: numbers before texts before nothing; numbers from the greatest, texts from A.
local function before(a, b)
  local x, y = type(a), type(b)
  local rank = { number = 1, string = 2, boolean = 3 }
  if x ~= y then return (rank[x] or 9) < (rank[y] or 9) end
  if x == "number" then
    if a ~= a or b ~= b then return a == a and b ~= b end
    return a > b
  end
  if x == "string" then return a < b end
  return x == "boolean" and a and not b
end

local function sort(rows, path, reverse)
  local why = runs.missing(rows, "sort", path)
  if why then return nil, why end
  local keyed = {}
  for i, row in ipairs(rows) do keyed[i] = { row = row, key = runs.field(row, path), place = i } end
  table.sort(keyed, function(a, b)
    if (a.key == nil) ~= (b.key == nil) then return b.key == nil end -- runs without it come last
    local x, y = a, b
    if reverse then x, y = b, a end
    if before(x.key, y.key) then return true end
    if before(y.key, x.key) then return false end
    return a.place < b.place
  end)
  for i, k in ipairs(keyed) do rows[i] = k.row end
  return rows
end

--- Rows chosen and sorted.
-- options: where = Lua expression over the fields; sort = field, numbers from the greatest, texts from
-- A; reverse.  Returns a new list, or nil and a sentence.
function runs.select(rows, options)
  local kept = table.move(rows, 1, #rows, 1, {})
  if options.where then
    local chosen, why = filter(rows, options.where)
    if not chosen then return nil, why end
    kept = chosen
  end
  if options.sort then return sort(kept, options.sort, options.reverse) end
  if options.reverse then
    for i = 1, #kept // 2 do kept[i], kept[#kept + 1 - i] = kept[#kept + 1 - i], kept[i] end
  end
  return kept
end

--- The options of a command that chooses among runs, for runs.select.
function runs.add_options(parser)
  parser:option("--where", "only runs for which this Lua expression over their fields holds, such as\n" ..
    "'top1 > 0.8 and params.init < 0.2'"):argname("EXPRESSION")
  parser:option("--sort", "by this field: numbers from the greatest, texts from A"):argname("FIELD")
  parser:flag("--reverse", "the other way round")
end

return runs
