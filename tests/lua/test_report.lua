-- tier: fast
-- The report: what it says, that it is well formed, closed and small.
local core = require "trit.core"
local collect = require "trit.report.collect"
local color = require "trit.report.color"
local detail = require "trit.report.detail"
local differences = require "trit.report.differences"
local json = require "trit.json"
local page = require "trit.report.page"
local runlog = require "trit.runlog"
local scale = require "trit.report.scale"
local svg = require "trit.report.svg"
local made = require "tests.lua.report_runs"
local thin = require "trit.report.thin"

local source = os.getenv("TRIT_SOURCE") or "."
local dir

local function command(environment, words)
  local pipe = io.popen(("%s lua5.4 '%s/lua/trit/cli/main.lua' %s 2>&1; echo \"exit $?\""):format(environment,
    source, words))
  local all = pipe:read("a")
  pipe:close()
  local output, status = all:match("^(.*)exit (%d+)\n$")
  return output, tonumber(status)
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function tree() -- a directory of its own for each test
  dir = os.tmpname()
  os.remove(dir)
end
local function fell() os.execute("rm -rf '" .. dir .. "'") end

local well_formed, closed = made.well_formed, made.closed

local function make_run(name, o) made.make(dir .. "/" .. name, o) end

local function data_of(...)
  local dirs = {}
  for i, name in ipairs { ... } do dirs[i] = dir .. "/" .. name end
  return collect.runs(dirs, dir)
end

describe("a report", function()
  before_each(tree)
  after_each(fell)

  it("on one run shows curves, layers with both pictures, and the configuration", function()
    make_run("a", { quantizer = "tga", params = { init = 0.05 }, layers = 3, epochs = 4, top1 = 0.8,
      zeros = 0.4 })
    local text = page.render(data_of("a"), "today")
    local count = well_formed(text)
    closed(text)
    for _, title in ipairs { "Test accuracy", "Training loss", "Zero share", "Flip rate",
      "Threshold trajectories", "Normal fit" } do
      assert.is_truthy(text:find(">" .. title .. "</h4>", 1, true), title)
    end
    for k = 1, 3 do
      assert.is_truthy(text:find(("Ridgeline of layer%d.conv.weight"):format(k), 1, true))
      assert.is_truthy(text:find(("Heat map of layer%d.conv.weight"):format(k), 1, true))
    end
    assert.is_nil(text:find("Parallel", 1, true))
    assert.equal(count.title - 1, count.desc) -- every picture has both; the page has a title
    -- The cuts of layer 1 go from 0.05 -+ 0.12 to 0.05 -+ 0.18.
    assert.is_truthy(text:find("The cuts move from -0.07 and 0.17 to -0.13 and 0.23", 1, true))
  end)

  it("on a float run has histograms and no cuts", function()
    make_run("a", { quantizer = "float", params = {}, layers = 1, epochs = 2, top1 = 0.8, zeros = 0 })
    local text = page.render(data_of("a"), "today")
    well_formed(text)
    assert.is_truthy(text:find("Ridgeline of", 1, true))
    assert.is_nil(text:find('class="cut"', 1, true))
    assert.is_nil(text:find("Threshold trajectories", 1, true))
    assert.is_nil(text:find("Zero share", 1, true))
  end)

  it("on a sweep shows the front, parallel coordinates, differences and a table", function()
    local values = { { 0.1, 0.7, 0.2 }, { 0.2, 0.8, 0.3 }, { 0.3, 0.75, 0.25 }, { 0.4, 0.6, 0.5 } }
    for i, v in ipairs(values) do
      make_run("p" .. i, { quantizer = "tga", params = { init = v[1], lr = 0.1 }, layers = 1, epochs = 2,
        top1 = v[2], zeros = v[3] })
    end
    local data = data_of("p3", "p4", "p2", "p1") -- sorted by what differs
    assert.same({ "init" }, data.varied)
    assert.equal("init=0.2", data.runs[2].name)
    local front = {}
    for i, run in ipairs(data.front) do front[i] = run.name end
    assert.same({ "init=0.2", "init=0.4" }, front)
    local text = page.render(data, "today")
    well_formed(text)
    closed(text)
    for _, words in ipairs { "Accuracy against zero share", "Parallel coordinates", "top-1 against init",
      "<code>layers.*.options.init</code>", 'scope="col"', 'scope="row"' } do
      assert.is_truthy(text:find(words, 1, true), words)
    end
  end)

  it("joins runs that differ in their seed only: one dot, mean and interval in the tables", function()
    local values = { { 0.1, 1, 0.70, 0.2 }, { 0.1, 2, 0.74, 0.3 }, { 0.2, 1, 0.80, 0.5 },
      { 0.2, 2, 0.80, 0.5 }, { 0.3, 1, 0.60, 0.4 } }
    local names = {}
    for i, v in ipairs(values) do
      names[i] = "s" .. i
      make_run(names[i], { quantizer = "tga", params = { init = v[1], seed = v[2] }, layers = 1, epochs = 2,
        top1 = v[3] + 0.05, zeros = v[4] })
    end
    local data = data_of(table.unpack(names))
    local first, second, third = table.unpack(data.points)
    assert.equal("init=0.1", first.name)
    assert.equal(2, #first.runs)
    assert.is_true(math.abs(first.top1 - 0.72) < 1e-9) -- of 0.70 and 0.74: t(1) = 12.706, 0.02 each way
    assert.is_true(math.abs(first.half.top1 - 12.706205 * 0.02) < 1e-6)
    assert.equal(0, second.half.top1)
    assert.is_nil(third.half.top1)
    assert.same({ "init=0.2" }, { data.front[1].name, data.front[2] and data.front[2].name })
    local text = page.render(data, "today")
    well_formed(text)
    closed(text)
    for _, words in ipairs { "72.00 ± 25.41 %", "80.00 ± 0.00 %", "25.00 ± 63.53 %", 'id="points"',
      "the mean of the runs that differ in their seed only" } do
      assert.is_truthy(text:find(words, 1, true), words)
    end
    assert.is_nil(data_of("s1", "s3", "s5").points)
  end)

  it("keeps to the size it is given, by less detail and then by leaving runs out", function()
    for i = 1, 3 do
      make_run("p" .. i, { quantizer = "tga", params = { init = i / 50 }, layers = 4, epochs = 6,
        top1 = i / 10, zeros = i / 40 })
    end
    local data = data_of("p1", "p2", "p3")
    local full = page.render(data, "today")
    local smaller = page.render(data, "today", 120000)
    local least = page.render(data, "today", 75000)
    assert.is_true(#full > 120000 and #smaller < 120000, ("%d, %d"):format(#full, #smaller))
    assert.equal(12, select(2, smaller:gsub("Heat map of", "")))
    assert.is_true(#least < #smaller)
    assert.is_truthy(least:find("Left out of this run", 1, true))
    well_formed(least)
  end)

  it("shows a run that has only begun, and skips files it cannot read", function()
    local log = assert(runlog.create(dir .. "/new", { config = { params = {},
      data = "shapes10: 1000 train + 10 test images, 10 classes, batches of 100 x 3x32x32" } }))
    log:train { step = 1, epoch = 1, loss = 2 }
    log:train { step = 2, epoch = 1, loss = 2 }
    assert.same({ 0.1, 0.2 }, data_of("new").runs[1].train.x) -- epochs, though none has ended
    os.execute(("mkdir -p '%s/bad' && echo nonsense >'%s/bad/run.h5'"):format(dir, dir))
    local text, status = command("", ("report '%s'"):format(dir))
    assert.equal(0, status, text)
    local html = read(dir .. "/report.html")
    well_formed(html)
    assert.is_truthy(html:find("No layer has been logged yet", 1, true))
    assert.is_truthy(html:find("could not be read", 1, true))
    log:finish("complete")
  end)

  it("survives NaN, constants and names that look like HTML", function()
    local evil = '<script>alert("1")</script>&\1'
    local log = assert(runlog.create(dir .. "/a", { config = { params = { name = evil, init = 1 },
      quantizer = "tga", model = evil } }))
    for step = 1, 3 do
      log:train { step = step, epoch = 1, loss = 0 / 0, lr = 1 }
      log:val { step = step, epoch = step, loss = 1 / 0, top1 = 0.5, zeros = 0 }
      log:layer((evil:gsub("/", "_")), { step = step, epoch = step, weights = core.zeros { 4 },
        threshold = 0 / 0 })
    end
    log:finish("failed", evil)
    make_run("b", { quantizer = "twn", params = { init = 1 }, layers = 1, epochs = 1, top1 = 0.5, zeros = 0 })
    local text = page.render(data_of("a", "b"), "today")
    well_formed(text)
    closed(text)
    assert.is_nil(text:find("<script>alert", 1, true))
    assert.equal(1, select(2, text:gsub("<script>", "")))
    local words = text:gsub("<script>.-</script>", ""):gsub("<style>.-</style>", "")
    assert.is_nil(words:match("[^\n]?[^\n]?[^\n]?%f[%a]%-?nan%f[%A][^\n]?[^\n]?"))
  end)

  it("is written whole, chooses runs, and names its files", function()
    for i = 1, 3 do
      make_run("p" .. i, { quantizer = "tga", params = { init = i / 10 }, layers = 1, epochs = 1,
        top1 = i / 5, zeros = 0.1 })
    end
    local text, status = command("", ("report '%s' -o '%s/x.html' --json --where 'top1 > 0.2'")
      :format(dir, dir))
    assert.equal(0, status, text)
    local answer = assert(json.decode(text))
    assert.equal(2, answer.runs)
    assert.same({ dir .. "/x.html" }, answer.files)
    assert.is_nil(io.open(dir .. "/x.html.tmp"))
    well_formed(read(dir .. "/x.html"))
    text, status = command("", ("report '%s/p1'"):format(dir))
    assert.equal(0, status, text)
    assert.equal(dir .. "/p1/report.html\n", text)
    for words, want in pairs { ["'%s/nowhere'"] = "no run at ",
      ["'%s' --where 'top1 > 2'"] = "none of 3 runs",
      ["'%s' -o /nonexistent/x.html"] = "cannot write '/nonexistent/x.html.tmp: No such file" } do
      text, status = command("", "report " .. words:format(dir))
      assert.equal(1, status)
      assert.is_truthy(text:find(want, 1, true), text)
    end
  end)

  it("draws figures with gnuplot, or says that it is not there", function()
    make_run("a", { quantizer = "tga", params = { init = 0.05 }, layers = 1, epochs = 3, top1 = 0.8,
      zeros = 0.4 })
    local lua = io.popen("command -v lua5.4"):read("l")
    os.execute(("mkdir -p '%s/bin' && ln -s '%s' '%s/bin/lua5.4' && ln -s /bin/sh '%s/bin/sh'"):format(dir,
      lua, dir, dir))
    local text, status = command(("PATH='%s/bin'"):format(dir),
      ("report '%s/a' --png '%s/f'"):format(dir, dir))
    assert.equal(1, status)
    assert.matches("report.html\n", text) -- the page is there all the same
    assert.matches("trit report: %-%-png needs gnuplot, which is not installed", text)
    if not require("trit.report.gnuplot").found() then return pending("no gnuplot here") end
    text, status = command("", ("report '%s/a' --pdf '%s/f'"):format(dir, dir))
    assert.equal(0, status, text)
    assert.equal("%PDF", read(dir .. "/f/val-top1.pdf"):sub(1, 4))
    assert.equal("%PDF", read(dir .. "/f/heatmap-layer1.conv.weight.pdf"):sub(1, 4))
    assert.matches("ridgeline%-layer1%.conv%.weight%.pdf", text)
  end)
end)

describe("parts of the report", function()
  it("paths are relative, short, and begin anew after a gap", function()
    assert.equal("M0 0l10 3h5v-2.5", svg.path { { 0, 0 }, { 10.04, 2.96 }, { 15, 3 }, { 15, 0.5 } })
    assert.equal("M1 2l.5-.5M9 9h1z", svg.path({ { 1, 2 }, { 1.5, 1.5 }, false, { 9, 9 }, { 10, 9 } }, true))
    assert.equal("", svg.path { false })
    local x, steps = 0, {}
    for i = 1, 1000 do steps[i] = { i * 0.333, 0 } end -- rounding does not add up
    for step in svg.path(steps):gmatch("h([%d.]+)") do x = x + tonumber(step) end
    assert.near(333, x + 0.3, 0.11)
  end)

  it("text is escaped", function()
    assert.equal("a &lt;b&gt; &amp; &quot;c&quot;", svg.escape('a <b> & "c"\0'))
    assert.equal('<p class="x&quot;">&lt;</p>', svg.text("p", { class = 'x"' }, "<"))
  end)

  it("ticks are round and inside", function()
    local ticks, digits = scale.ticks(0, 1, 5)
    assert.same({ 0, 1 }, { ticks[1], ticks[#ticks] })
    assert.equal(1, digits)
    for _, range in ipairs { { 0.013, 0.0171 }, { -3, 2 }, { 1e-7, 2e-7 }, { 100, 2e6 } } do
      local list = scale.ticks(range[1], range[2], 5)
      assert.is_true(#list >= 2 and #list <= 11)
      for _, v in ipairs(list) do assert.is_true(v >= range[1] - 1e-12 and v <= range[2] * 1.0001) end
    end
    local s = scale.linear(0, 1, 100, 0, { percent = true })
    assert.equal(75, s(0.25))
    assert.equal("20%", s.format(0.2))
    assert.equal(50, scale.logarithmic(0.01, 1, 0, 100)(0.1))
  end)

  it("thinning keeps ends, sums and symmetry", function()
    assert.same({ 1, 4, 7, 10 }, thin.places(10, 4))
    assert.same({ 1, 2 }, thin.places(2, 9))
    assert.same({ 5 }, thin.places(5, 1))
    for _, n in ipairs { 7, 50, 100, 101 } do
      for _, most in ipairs { 5, 20, 21, 51, 200 } do
        local counts, edges, sum = {}, {}, 0
        for i = 1, n do counts[i] = i * (n + 1 - i) end
        for i = 0, n do edges[i + 1] = i - n / 2 end
        local out, borders = thin.bins(counts, edges, most)
        for _, c in ipairs(out) do sum = sum + c end
        assert.equal(n * (n + 1) * (n + 2) // 6, sum)
        assert.equal(#out + 1, #borders)
        assert.is_true(#out <= most + 1)
        local width = borders[2] - borders[1]
        for i = 2, #out do assert.near(width, borders[i + 1] - borders[i], 1e-9) end
        if n % 2 == 1 then
          for i = 1, #out do assert.equal(out[i], out[#out + 1 - i]) end
        end
      end
    end
    local points = {}
    for i = 1, 1000 do points[i] = { i, i == 500 and 0 / 0 or 2 * i } end
    local mean = thin.mean(points, 100)
    assert.equal(100, #mean)
    for _, p in ipairs(mean) do assert.near(2 * p[1], p[2], 1e-9) end
  end)

  it("the front holds what nothing beats in both", function()
    local function run(zeros, top1) return { zeros = zeros, top1 = top1 } end
    local list = { run(0.1, 0.9), run(0.5, 0.8), run(0.5, 0.7), run(0.3, 0.8), run(0.9, 0.1), run(nil, 1),
      run(0.95, 0 / 0) }
    local front = collect.front(list)
    assert.same({ list[1], list[2], list[5] }, front)
    for i, r in ipairs(list) do assert.equal(i == 1 or i == 2 or i == 5, r.front) end
  end)

  it("differences of all layers are one row", function()
    local function run(init, lr)
      return { flat = { ["layers.1.options.init"] = init, ["layers.2.options.init"] = init, lr = lr,
        seed = "1" } }
    end
    local differ, shared = differences.find { run("0.1", "1"), run("0.2", "1") }
    assert.same({ { name = "layers.*.options.init", values = { "0.1", "0.2" } } }, differ)
    assert.equal(2, #shared)
  end)

  it("many runs are coloured along an option, few have their own", function()
    local data = { varied = { "init", "seed" }, runs = {} }
    for i = 1, 12 do
      data.runs[i] = { key = "r" .. i, params = { init = (i - 1) // 4, seed = i }, top1 = 0.5, zeros = 0.5 }
    end
    local scheme = color.scheme(data)
    assert.equal("p.init", scheme.name)
    assert.equal(2, #scheme.choices)
    assert.is_truthy(scheme.style:find(".r12{--c:var(--q9)}", 1, true))
    data.runs = { data.runs[1], data.runs[2] }
    assert.is_nil(color.scheme(data).choices)
  end)

  it("detail shrinks with the number of layers, then leaves out the worst runs", function()
    local function data(runs, layers)
      local list = {}
      for i = 1, runs do
        list[i] = { key = "r" .. i, layers = {}, top1 = i / runs, front = false }
        for k = 1, layers do list[i].layers[k] = {} end
      end
      return { runs = list }
    end
    local function cost(step) return 100 + step.bins * step.records end
    assert.equal(101, detail.plan(data(1, 20), 1e5, cost).bins)
    local plan = detail.plan(data(24, 20), 2e5, cost)
    assert.equal(0, plan.left_out)
    assert.is_true(plan.bins < 101)
    plan = detail.plan(data(200, 20), 2e5, cost)
    assert.is_true(plan.left_out > 0)
    assert.is_true(plan.runs.r200 and not plan.runs.r1)
    assert.is_true((200 - plan.left_out) * 20 * cost(plan) <= 2e5)
    plan = detail.plan(data(3, 2), 0, cost) -- the best is shown whatever it takes
    assert.same({ r3 = true }, plan.runs)
  end)
end)
