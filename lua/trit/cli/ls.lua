--- trit ls: the runs below a directory.
local lfs = require "lfs"
local runfile = require "trit.runfile"
local term = require "trit.term"

local ls = { name = "ls", group = "look", summary = "the runs in a directory" }

local DEPTH = 6 -- directories below the given one that are searched

function ls.setup(parser)
  parser:argument("dir", "where to look (default: runs)"):args("?"):argname("DIR")
  parser:flag("--json", "one JSON document")
end

local function find(dir, depth, found)
  if lfs.attributes(dir .. "/run.h5", "mode") == "file" then found[#found + 1] = dir end
  if depth == 0 then return found end
  local names = {}
  for name in lfs.dir(dir) do
    if name:sub(1, 1) ~= "." and lfs.symlinkattributes(dir .. "/" .. name, "mode") == "directory" then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do find(dir .. "/" .. name, depth - 1, found) end
  return found
end

local function text_of(v)
  if type(v) == "table" then v = v.name or v[1] end
  return type(v) == "string" and v or nil
end

-- One row; a file that cannot be read is a row with its reason, not the end of the listing.
local function summary(dir)
  local run, why = runfile.open(dir)
  local state, config, val
  if run then
    state, why = run:status()
    config = run:config()
    val = run:series("val")
  end
  if not state then return { run = dir, status = "unreadable", message = why } end
  local row = { run = dir, status = state.status, message = state.message, created = state.created,
                age = os.time() - state.updated, seconds = state.elapsed, epochs = 0 }
  config = type(config) == "table" and config or {}
  row.model, row.quantizer = text_of(config.model), text_of(config.quantizer)
  row.label = text_of(config.label)
  if val and val.n > 0 then
    row.epochs = val.epoch and val.epoch[val.n] or val.n
    if val.top1 then
      row.last = val.top1[val.n]
      for _, v in ipairs(val.top1) do
        if v == v then row.best = math.max(row.best or v, v) end
      end
    end
  end
  return row
end

function ls.run(args)
  local dir = (args.dir or "runs"):gsub("(.)/+$", "%1")
  if lfs.attributes(dir, "mode") ~= "directory" then
    return nil, ("no directory '%s'"):format(dir)
  end
  local rows = {}
  for _, found in ipairs(find(dir, DEPTH, {})) do rows[#rows + 1] = summary(found) end
  if args.json then
    local json = require "trit.json"
    print(json.encode(json.array(rows), { indent = true }))
    return 0
  end
  if #rows == 0 then
    io.stderr:write(("no runs in '%s'\n"):format(dir))
    return 0
  end
  local lines = {}
  for _, r in ipairs(rows) do
    lines[#lines + 1] = { r.run, r.status, r.label or "-", r.model or "-", r.quantizer or "-",
      term.number(r.epochs, "%g"), term.percent(r.best, 2), term.percent(r.last, 2),
      term.span(r.age) }
  end
  print(term.table({ "run", "status", "label", "model", "quantizer", "epochs", "best top-1",
                     "last top-1", "age" }, lines, { [6] = true, [7] = true, [8] = true, [9] = true }))
  for _, r in ipairs(rows) do
    if r.message and r.message ~= "" then print(("%s: %s"):format(r.run, r.message)) end
  end
  return 0
end

return ls
