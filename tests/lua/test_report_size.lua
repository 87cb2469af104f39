-- tier: full
-- A report on a sweep of 24 runs of a ResNet-20 is below 2 MB and leaves nothing out.
local collect = require "trit.report.collect"
local made = require "tests.lua.report_runs"
local page = require "trit.report.page"

local LARGEST = 2 * 1000 * 1000 -- bytes

describe("a report on a sweep", function()
  local dir
  setup(function()
    dir = os.tmpname()
    os.remove(dir)
  end)
  teardown(function() os.execute("rm -rf '" .. dir .. "'") end)

  it("stays below 2 MB for 24 runs of 20 layers, with histograms of all of them", function()
    local dirs = {}
    for i = 1, 24 do
      dirs[i] = ("%s/p%02d"):format(dir, i)
      made.make(dirs[i], { quantizer = "tga", params = { init = i / 50, seed = i }, layers = 20, epochs = 7,
        top1 = 0.5 + i / 100, zeros = i / 40, steps = 30 })
    end
    local text = page.render(collect.runs(dirs, dir), "today")
    assert.is_true(#text < LARGEST, ("%d bytes"):format(#text))
    made.well_formed(text)
    made.closed(text)
    assert.equal(24 * 20, select(2, text:gsub("Heat map of", "")))
    assert.is_nil(text:find("Left out of this run", 1, true))
  end)
end)
