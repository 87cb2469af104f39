--- trit report: one HTML file about one run or many, and figures by gnuplot.
local collect = require "trit.report.collect"
local lfs = require "lfs"
local pages = require "trit.report"
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
  local data, root = pages.read(args.run, args)
  if not data then return nil, root end
  local output, message = pages.write(data, args.output or root .. "/report.html")
  if not output then return nil, message end
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
