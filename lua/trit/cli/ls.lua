--- trit ls: the runs below a directory.
local runs = require "trit.runs"
local term = require "trit.term"

local ls = { name = "ls", group = "look", summary = "the runs in a directory, filtered and sorted" }

ls.epilog = [[
Fields: run, status, label, model, quantizer, epochs, top1 (last), best, loss, zeros, seconds, age,
params.NAME or just NAME (options of the script), config.NAME, val.NAME, train.NAME (last values).
Runs that a later one in their directory replaced, DIR/before-N, are shown where DIR/before-N is asked for.

  trit ls runs --where 'status == "complete" and top1 > 0.8' --sort top1
  trit ls runs/sweep --sort init --columns init,lr_th]]

function ls.setup(parser)
  parser:argument("dir", "where to look (default: runs)"):args("?"):argname("DIR")
  runs.add_options(parser)
  parser:option("--columns", "further fields to show, with commas between them"):argname("FIELDS")
  parser:flag("--json", "one JSON document")
end

local function columns_of(text)
  local list = {}
  for name in (text or ""):gmatch("[^,%s]+") do list[#list + 1] = name end
  return list
end

local function shown(value)
  if type(value) == "number" then return term.number(value, "%.5g") end
  if type(value) == "table" then return require("trit.json").encode(value) end
  return value == nil and "-" or tostring(value)
end

local function print_rows(rows, columns)
  local lines = {}
  local head = { "run", "status", "label", "model", "quantizer", "epochs", "best top-1", "last top-1",
    "zeros", "age" }
  local right = { [6] = true, [7] = true, [8] = true, [9] = true, [10] = true }
  for i, name in ipairs(columns) do
    head[10 + i], right[10 + i] = name, true
  end
  for i, r in ipairs(rows) do
    lines[i] = { r.run, r.status, r.label or "-", r.model or "-", r.quantizer or "-",
      term.number(r.epochs, "%g"), term.percent(r.best, 2), term.percent(r.last, 2), term.percent(r.zeros),
      term.span(r.age) }
    for k, name in ipairs(columns) do lines[i][10 + k] = shown(runs.field(r, name)) end
  end
  print(term.table(head, lines, right))
  for _, r in ipairs(rows) do
    if r.message and r.message ~= "" then print(("%s: %s"):format(r.run, r.message)) end
  end
end

function ls.run(args)
  local dir = args.dir or "runs"
  local found, why = runs.find(dir)
  if not found then return nil, why end
  local all = {}
  for i, path in ipairs(found) do all[i] = runs.summary(path) end
  local columns = columns_of(args.columns)
  for _, name in ipairs(columns) do
    local missing = runs.missing(all, "columns", name)
    if missing then return nil, missing end
  end
  local rows, message = runs.select(all, args)
  if not rows then return nil, message end
  if args.json then
    local json = require "trit.json"
    print(json.encode(json.array(rows), { indent = true }))
  elseif #found == 0 then
    io.stderr:write(("no runs in '%s'\n"):format(dir))
  elseif #rows == 0 then
    io.stderr:write(("none of %d runs in '%s' is such\n"):format(#found, dir))
  else
    print_rows(rows, columns)
  end
  return 0
end

return ls
