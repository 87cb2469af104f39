--- The kinds of figures: every report/fig_NAME.lua is one and returns its descriptor
--
--   { name =, order =,
--     scope = "all" | "run" | "layer",
--     title =, doc =,                    -- heading of the section and a sentence below it, or nil
--     specs = function(data, run, layer) -- list of charts as trit.report.chart.of takes them
--     aside = function(data, run, layer) -- HTML beside the charts, or nil
--   }
--
-- or, where a chart of lines and dots will not do, draw = function(data, run, layer, detail) -> HTML, and
-- plots with the same arguments -> such a list for gnuplot.  detail: the histograms of the layer
-- (trit.report.detail).  An empty list or nil: there is nothing to draw.
local chart = require "trit.report.chart"
local lfs = require "lfs"

local figures = {}

--- Directory of this module.
function figures.directory()
  return (package.searchpath("trit.report.figures", package.path):match("^(.*)/[^/]*$"))
end

--- Descriptors of a scope in their order.
function figures.list(scope)
  local list = {}
  for file in lfs.dir(figures.directory()) do
    local name = file:match("^(fig_[%w_]+)%.lua$")
    if name then
      local figure = require("trit.report." .. name)
      if figure.scope == scope then list[#list + 1] = figure end
    end
  end
  table.sort(list, function(a, b) return a.order < b.order end)
  return list
end

--- HTML of one figure, or nil.
function figures.draw(figure, data, run, layer, detail)
  if figure.draw then return figure.draw(data, run, layer, detail) end
  local out = {}
  for _, spec in ipairs(figure.specs(data, run, layer) or {}) do out[#out + 1] = chart.of(spec) end
  if #out == 0 then return nil end
  return table.concat(out) .. (figure.aside and figure.aside(data, run, layer) or "")
end

--- The same for gnuplot: a list of plain descriptions.
function figures.plots(figure, data, run, layer, detail)
  return (figure.plots or figure.specs)(data, run, layer, detail) or {}
end

return figures
