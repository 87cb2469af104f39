-- tier: fast
-- The commands that look at runs: inspect, ls, show, csv, diff.
local core = require "trit.core"
local json = require "trit.json"
local runlog = require "trit.runlog"
local term = require "trit.term"

local source = os.getenv("TRIT_SOURCE") or "."
local dir

local function trit(environment, command)
  local pipe = io.popen(("%s COLUMNS=80 lua5.4 '%s/lua/trit/cli/main.lua' %s 2>&1; echo \"exit $?\"")
    :format(environment, source, command))
  local text = pipe:read("a")
  pipe:close()
  local output, status = text:match("^(.*)exit (%d+)\n$")
  return output, tonumber(status)
end

local function make_run(name, options)
  local log = assert(runlog.create(dir .. "/" .. name, {
    config = { model = "resnet20", quantizer = options.quantizer, seed = 1, lr = 0.1 } }))
  local w = core.randn({ 16, 16, 3, 3 }, { seed = 1 })
  for epoch = 1, options.epochs or 3 do
    log:train { step = 10 * epoch, epoch = epoch, loss = 1 / epoch, lr = 0.1 }
    log:val { step = 10 * epoch, epoch = epoch, top1 = options.top1 + epoch / 100, loss = 1 }
    for _, layer in ipairs { "conv1.weight", "layer1.10.conv1.weight", "layer1.2.conv1.weight" } do
      log:layer(layer, { step = 10 * epoch, epoch = epoch, weights = w, threshold = 0.7,
        center = 0.1, scale = 1.2, codes = core.ops and core.ops.sign and core.ops.sign(w) or w })
    end
  end
  return log
end

describe("looking at runs", function()
  local live
  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    make_run("a", { quantizer = "tga", top1 = 0.5 }):finish("complete")
    make_run("sub/b", { quantizer = "twn", top1 = 0.4 }):finish("failed", "train: loss is nan")
    live = make_run("c", { quantizer = "ttq", top1 = 0.3 })
  end)
  teardown(function()
    live:finish("complete")
    os.execute("rm -rf '" .. dir .. "'")
  end)

  it("inspect draws the histogram with both cuts, in blocks or in ASCII", function()
    local text, status = trit("LC_ALL=C.UTF-8 TERM=xterm", ("inspect '%s/a' conv1.weight"):format(dir))
    assert.equal(0, status)
    assert.is_truthy(text:find("conv1.weight   2304 weights   epoch 3, step 30 (record 3 of 3)", 1, true))
    assert.is_truthy(text:find("█", 1, true))
    local axis = text:match("[^\n]*▲[^\n]*")
    assert.equal(2, select(2, axis:gsub("▲", "")))
    assert.matches("normal fit W 0%.99", text)
    assert.matches("zeros 0%.0 %%", text)
    assert.matches("flips 0%.00 %%", text)
    text = trit("LC_ALL=C TERM=xterm", ("inspect '%s/a' layer1.2"):format(dir))
    assert.is_nil(text:find("[\128-\255]"))
    assert.is_nil(text:find("\27", 1, true))
    assert.equal(2, select(2, text:match("\n([^\n]*%^[^\n]*)\n"):gsub("%^", "")))
    for line in text:gmatch("[^\n]+") do
      assert.is_true(#line <= 80)
    end
  end)

  it("inspect gives JSON, layers in numeric order, and any epoch", function()
    local text, status = trit("", ("inspect '%s/a' --epoch 2 --json"):format(dir))
    assert.equal(0, status)
    local layers = assert(json.decode(text)).layers
    local names = {}
    for i, layer in ipairs(layers) do names[i] = layer.layer end
    assert.same({ "conv1.weight", "layer1.2.conv1.weight", "layer1.10.conv1.weight" }, names)
    assert.equal(2, layers[1].epoch)
    assert.equal(101, #layers[1].hist.counts)
    assert.equal(102, #layers[1].hist.edges)
    assert.equal(2304, layers[1].weights)
    assert.is_true(math.abs(layers[1].cuts[1] + 0.6) < 1e-12 and math.abs(layers[1].cuts[2] - 0.8) < 1e-12)
  end)

  it("works on a live run", function()
    local text, status = trit("", ("inspect '%s/c' layer1.2"):format(dir))
    assert.equal(0, status)
    assert.matches("run.h5  running", text)
    text, status = trit("", ("show '%s/c'"):format(dir))
    assert.equal(0, status)
    assert.matches("quantizer%s+ttq", text)
    assert.matches("top1%s+0%.33", text)
  end)

  it("ls lists every run below a directory", function()
    local text, status = trit("", ("ls '%s'"):format(dir))
    assert.equal(0, status)
    assert.matches("/a +complete .*tga +3 +53%.00 %% +53%.00 %%", text)
    assert.matches("/c +running .*ttq", text)
    assert.matches("/sub/b +failed .*twn", text)
    assert.matches("loss is nan", text)
    text = trit("", ("ls '%s' --json"):format(dir))
    local rows = assert(json.decode(text))
    assert.equal(3, #rows)
    assert.equal("complete", rows[1].status)
    assert.equal(0.53, rows[1].best)
  end)

  it("ls names an unreadable file and goes on", function()
    os.execute(("mkdir -p '%s/broken' && echo nonsense > '%s/broken/run.h5'"):format(dir, dir))
    local text, status = trit("", ("ls '%s'"):format(dir))
    assert.equal(0, status)
    assert.matches("broken +unreadable", text)
    assert.matches("/a +complete", text)
    os.execute(("rm -r '%s/broken'"):format(dir))
  end)

  it("ls chooses and sorts by metrics and options", function()
    local function names(words)
      local text, status = trit("", ("ls '%s' --json %s"):format(dir, words))
      assert.equal(0, status, text)
      local list = {}
      for i, row in ipairs(assert(json.decode(text))) do list[i] = row.run:sub(#dir + 2) end
      return list
    end
    assert.same({ "a", "sub/b", "c" }, names "--sort top1")
    assert.same({ "c", "sub/b", "a" }, names "--sort top1 --reverse")
    assert.same({ "a" }, names "--where 'top1 > 0.45'")
    assert.same({ "a", "sub/b" }, names "--where 'top1 > 0.4 and config.lr == 0.1' --sort quantizer")
    assert.same({ "sub/b" }, names "--where 'status == \"failed\" or top1 > 0.9'")
    local text = trit("", ("ls '%s' --columns lr,val.loss --where 'val.top1 > 0.5'"):format(dir))
    assert.matches("age +lr +val.loss", text)
    assert.matches("/a .* 0%.1 +1\n", text)
    assert.is_nil(text:find("sub/b", 1, true))
    local _, status = trit("", ("ls '%s' --where 'top1 > 9'"):format(dir))
    assert.equal(0, status)
  end)

  it("show takes a pattern, and several runs with a filter", function()
    local text, status = trit("", ("show '%s/a' top1"):format(dir))
    assert.equal(0, status)
    assert.matches("top1 +0%.53", text)
    assert.is_nil(text:find("quantizer", 1, true))
    text = trit("", ("show '%s' quantizer --where 'top1 > 0.4' --sort top1"):format(dir))
    assert.matches("tga.*twn", text)
    assert.is_nil(text:find("ttq", 1, true))
    text = trit("", ("show '%s' --json --where 'top1 > 0.4'"):format(dir))
    assert.equal(2, #assert(json.decode(text)))
  end)

  it("inspect gives one line per layer", function()
    local text, status = trit("LC_ALL=C", ("inspect '%s/a' --table"):format(dir))
    assert.equal(0, status)
    assert.matches("\nconv1.weight +2304 +3 ", text)
    assert.matches("\nlayer1.2.conv1.weight .*\nlayer1.10.conv1.weight ", text)
  end)

  it("show gives configuration and last values", function()
    local text, status = trit("", ("show '%s/a' --json"):format(dir))
    assert.equal(0, status)
    local d = assert(json.decode(text))
    assert.equal("tga", d.config.quantizer)
    assert.equal(0.53, d.metrics.val.top1)
    assert.equal("complete", d.status.status)
    assert.equal(3, d.records.train)
  end)

  it("diff shows what differs and nothing else", function()
    local text, status = trit("", ("diff '%s/a' '%s/sub/b'"):format(dir, dir))
    assert.equal(0, status)
    assert.matches("quantizer +tga +twn", text)
    assert.matches("val.top1 +0%.53 +0%.43", text)
    assert.is_nil(text:find("resnet20", 1, true))
    assert.matches("val.top1 [^\n]*%-0%.1\n", text)
    text = trit("", ("diff '%s/a' '%s/a'"):format(dir, dir))
    assert.matches("config: no difference", text)
  end)

  it("diff breaks long values at spaces to fit the terminal", function()
    local words, other = ("word "):rep(40), dir .. "-other"
    for i = 1, 2 do
      local log = assert(runlog.create(("%s/%d"):format(other, i),
        { config = { data = words .. i, model = "same" } }))
      log:finish("complete")
    end
    local text, status = trit("", ("diff '%s/1' '%s/2'"):format(other, other))
    os.execute(("rm -rf '%s'"):format(other))
    assert.equal(0, status)
    local count = 0
    for line in text:match("config\n[^\n]*\n(.-)\n\n"):gmatch("[^\n]+") do
      assert.is_true(#line <= 80, line)
      for _ in line:gmatch("word") do count = count + 1 end
    end
    assert.equal(80, count)
    assert.matches("word 1 +word word", (text:gsub("\n *", " ")))
  end)

  it("csv writes full precision, one file per group", function()
    local text, status = trit("", ("csv '%s/a' -o '%s/out'"):format(dir, dir))
    assert.equal(0, status)
    assert.matches("train%.csv", text)
    local rows = {}
    for line in io.lines(dir .. "/out/train.csv") do rows[#rows + 1] = line end
    assert.matches("^step,epoch,wall_time,loss,lr\r$", rows[1])
    assert.equal(4, #rows)
    local loss = tonumber(rows[4]:match("^30,3%.0,[^,]+,([^,]+),"))
    assert.equal(1 / 3, loss)
    local count = 0
    for _ in io.lines(dir .. "/out/histograms.csv") do count = count + 1 end
    assert.equal(1 + 3 * 3 * (101 + 3), count) -- bins, under, over, exact_zero
    local total, cuts = 0, nil
    for line in io.lines(dir .. "/out/histograms.csv") do
      local kind, number, low, high =
        line:match("^conv1.weight,30,3%.0,(%l+),[^,]+,[^,]+,(%d+),([^,]+),([^,]+)\r$")
      if kind then
        total, cuts = total + tonumber(number), { tonumber(low), tonumber(high) }
      end
    end
    assert.equal(16 * 16 * 9, total)
    assert.near(-0.6, cuts[1], 1e-12)
    assert.near(0.8, cuts[2], 1e-12)
    text = trit("", ("csv '%s/a' -o '%s/out' --json"):format(dir, dir))
    assert.equal(4, #assert(json.decode(text)).files)
  end)

  it("leaves runs aside that a later one in their directory has replaced", function()
    make_run("a/before-1", { quantizer = "lq", top1 = 0.9 }):finish("interrupted")
    make_run("before-2", { quantizer = "lq", top1 = 0.9 }):finish("complete") -- there is no run beside it
    assert.equal(4, #json.decode((trit("", ("ls '%s' --json"):format(dir)))))
    assert.is_nil(trit("", ("show '%s' quantizer"):format(dir)):find("a/before-1", 1, true))
    local text, status = trit("", ("ls '%s/a/before-1'"):format(dir))
    assert.equal(0, status)
    assert.matches("a/before%-1 +interrupted", text)
    os.execute(("rm -r '%s/a/before-1' '%s/before-2'"):format(dir, dir))
  end)

  it("diff names a setting of all layers once", function()
    local other = dir .. "-other"
    for i = 1, 2 do
      local layers = {}
      for k = 1, 3 do layers[k] = { name = "l" .. k, options = { init = i } } end
      assert(runlog.create(("%s/%d"):format(other, i), { config = { layers = layers } })):finish("complete")
    end
    local text = trit("", ("diff '%s/1' '%s/2'"):format(other, other))
    os.execute(("rm -rf '%s'"):format(other))
    assert.equal(1, select(2, text:gsub("options%.init", "")))
    assert.matches("layers%.%*%.options%.init +1 +2", text)
  end)

  it("show says the status once", function()
    local at = dir .. "-stopped"
    assert(runlog.create(at, { config = {} })):finish("interrupted", "interrupted by SIGTERM after step 25")
    local text = trit("", ("show '%s'"):format(at))
    os.execute(("rm -rf '%s'"):format(at))
    assert.matches("run%.h5  interrupted by SIGTERM after step 25\n", text)
  end)

  it("says what is wrong, with the exit status", function()
    os.execute(("mkdir -p '%s/a/empty'"):format(dir))
    for command, want in pairs {
      ["inspect '%s/nowhere'"] = "no run at ", ["inspect '%s/a' zzz"] = "no layer matches \"zzz\"",
      ["inspect '%s/a' --epoch 9"] = "no record of epoch 9", ["show '%s/a/empty'"] = "holds no run.h5",
      ["ls '%s' --where 'tp1 > 0'"] = 'no run has "tp1"',
      ["ls '%s' --where 'top1 >'"] = "where: ", ["ls '%s' --sort nothing"] = 'no run has "nothing"',
      ["ls '%s/nowhere'"] = "no directory ",
      ["ls '%s' --columns foo,top1"] = 'columns: no run has "foo"; there are: ',
      ["show '%s/a' zzz"] = 'nothing here has a name with "zzz" in it',
      ["report '" .. source .. "/README.md'"] = "cannot open '" .. source .. "/README.md'",
    } do
      local text, status = trit("", command:format(dir))
      assert.equal(1, status, command)
      assert.is_truthy(text:find(want, 1, true), text)
    end
    local _, status = trit("", "inspect")
    assert.equal(2, status)
  end)
end)

describe("terminal pictures", function()
  it("sparklines span the range and leave gaps", function()
    assert.equal("▁█ ▅", term.sparkline({ 1, 3, 0 / 0, 2 }, 10, true))
    assert.equal(".#", term.sparkline({ 0, 1 }, 10, false))
    assert.equal(40, utf8.len(term.sparkline((function()
      local t = {}
      for i = 1, 1000 do t[i] = i end
      return t
    end)(), 40, true)))
    assert.equal("", term.sparkline({}, 10, true))
    assert.equal("▄▄▄", term.sparkline({ 0.056811, 0.056812, 0.056813 }, 10, true)) -- the same in print
  end)

  it("a histogram joins bins to fit and keeps the total height", function()
    local counts, edges = {}, {}
    for i = 1, 100 do counts[i] = 1 end
    for i = 0, 100 do edges[i + 1] = i - 50 end
    local lines = term.histogram(counts, edges, { width = 50, height = 3, unicode = true })
    assert.equal(5, #lines)
    assert.equal(("█"):rep(50), lines[1])
  end)
end)

describe("terminal plots", function()
  it("put the curves between the axis labels", function()
    local lines = term.plot({ { name = "top-1", x = { 0, 1, 2 }, y = { 0, 0.5, 1 }, mark = "*" } },
      { width = 30, height = 5, low = 0, high = 1, format = function(v) return ("%g"):format(v) end })
    assert.equal(8, #lines)
    assert.matches("^1 |%s+%*$", lines[1])
    assert.matches("^0 |%*$", lines[5])
    assert.matches("^  |%s+%*$", lines[3])
    assert.matches("^   0%s+2$", lines[7])
    assert.matches("%* top%-1", lines[8])
    for _, line in ipairs(lines) do assert.is_true(#line <= 30) end
  end)

  it("leave out what is no number, and stand a single point", function()
    local lines = term.plot({ { name = "a", x = { 1 }, y = { 0 / 0 }, mark = "*" } },
      { width = 30, height = 3, unicode = true })
    assert.equal(6, #lines)
    assert.is_nil(table.concat(lines):find("*", 1, true) and lines[1]:find("*", 1, true))
  end)

  it("colour makes faint what lies between the cuts", function()
    local lines = term.histogram({ 1, 1, 1, 1, 1 }, { 0, 1, 2, 3, 4, 5 },
      { height = 1, marks = { 1.5, 3.5 }, unicode = true, color = true })
    assert.equal("██\27[2m█\27[0m██", lines[1])
  end)
end)
