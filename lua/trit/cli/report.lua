--- trit report: one HTML file about one run or many, and figures by gnuplot.
local collect = require "trit.report.collect"
local lfs = require "lfs"
local runs = require "trit.runs"

local report = { name = "report", group = "look",
                 summary = "one offline HTML file about a run or a directory of runs" }

report.epilog = [[
The file holds everything, needs no network and works without scripts: learning curves, accuracy against
zeros with the Pareto front, parallel coordinates, the weight histograms of every layer over the epochs with
the moving cuts, and the settings.

  trit report runs/one                              -> runs/one/report.html
  trit report runs/sweep --where 'top1 > 0.5' -o sweep.html
  trit report runs/one --pdf figures                also figures for a paper (needs gnuplot)]]

function report.setup(parser)
  parser:argument("run", "run directory, run.h5, or a directory with runs"):argname("RUN-OR-DIR")
  parser:option("-o --output", "file to write (default: report.html in the directory)"):argname("FILE.html")
  runs.add_options(parser)
  parser:option("--png", "also write figures as PNG files into this directory"):argname("DIR")
  parser:option("--pdf", "also write figures as PDF files into this directory"):argname("DIR")
  parser:flag("--json", "the list of files written as one JSON document")
end

-- The directory meant, and the runs in it.
local function find(path)
  local mode = lfs.attributes(path, "mode")
  if not mode then return nil, ("no run at '%s': no such file or directory"):format(path) end
  if mode == "file" then path = path:match("^(.*)/[^/]*$") or "." end
  path = path:gsub("(.)/+$", "%1")
  local found, why = runs.find(path)
  if not found then return nil, why end
  if mode == "file" or lfs.attributes(path .. "/run.h5", "mode") == "file" then return path, { path } end
  if #found == 0 then return nil, ("no run in '%s'"):format(path) end
  return path, found
end

local function choose(dirs, args)
  if not (args.where or args.sort or args.reverse) then return dirs end
  local rows = {}
  for i, dir in ipairs(dirs) do rows[i] = runs.summary(dir) end
  local kept, why = runs.select(rows, args)
  if not kept then return nil, why end
  local out = {}
  for i, row in ipairs(kept) do out[i] = row.run end
  if #out == 0 then return nil, ("none of %d runs is such"):format(#dirs) end
  return out
end

-- Written beside its place and renamed, so that a reader never meets half a page.
local function save(path, text)
  local file, why = io.open(path .. ".tmp", "wb")
  if not file then return nil, ("cannot write '%s'"):format(why) end
  local ok, message = file:write(text)
  local closed, reason = file:close()
  if ok and closed then ok, message = os.rename(path .. ".tmp", path) end
  if not ok or not closed then
    os.remove(path .. ".tmp")
    return nil, ("'%s': %s"):format(path, message or reason)
  end
  return true
end

local function draw_figures(data, args, files)
  local best = collect.best(data.runs) or data.runs[1]
  for _, kind in ipairs { "png", "pdf" } do
    local directory = args[kind]
    if directory then
      if lfs.attributes(directory, "mode") ~= "directory" then
        local ok, why = lfs.mkdir(directory)
        if not ok then return nil, ("cannot create directory '%s': %s"):format(directory, why) end
      end
      local drawn, message = require("trit.report.gnuplot").write(data, directory, kind, best)
      if not drawn then return nil, message end
      table.move(drawn, 1, #drawn, #files + 1, files)
    end
  end
  return files
end

function report.run(args)
  local root, dirs = find(args.run)
  if not root then return nil, dirs end
  local chosen, why = choose(dirs, args)
  if not chosen then return nil, why end
  local data = collect.runs(chosen, root)
  if #data.runs == 0 then
    return nil, ("no run in '%s' can be read: %s"):format(root, tostring(data.unreadable[1].message))
  end
  local output = args.output or root .. "/report.html"
  local ok, message = save(output, require("trit.report.page").render(data, os.date("%Y-%m-%d %H:%M")))
  if not ok then return nil, message end
  local files, failure = draw_figures(data, args, { output })
  if args.json then
    local json = require "trit.json"
    print(json.encode({ files = json.array(files or { output }), runs = #data.runs }, { indent = true }))
  else
    for _, path in ipairs(files or { output }) do print(path) end
  end
  if not files then return nil, failure end
  return 0
end

return report
