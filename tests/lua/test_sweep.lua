-- tier: full
-- trit sweep: what is swept, points and their ids, the table; runs of a toy experiment.
local core = require "trit.core"
local halton = require "trit.sweep.halton"
local interval = require "trit.sweep.interval"
local json = require "trit.json"
local space = require "trit.sweep.space"
local toy = require "tests.lua.sweep_toy"

local REAL, WHOLE = { 0.05, min = 0, max = 1 }, { 3 }

local function values(text, row) return assert(space.axis("x", text, row)).values end

local function refusal(text, row)
  local axis, why = space.axis("x", text, row)
  assert.is_nil(axis)
  return why
end

describe("the words of an option", function()
  it("are values, ranges and logarithmic ranges", function()
    assert.same({ 0.1, 0.2, 1.0 }, values("0.1,0.2,1", REAL))
    assert.equal("float", math.type(values("1", REAL)[1]))
    assert.same({ 1, 2, 3, 4 }, values("1..4", WHOLE))
    assert.same({ -1, 0, 1 }, values("-1..1", WHOLE))
    assert.same({ 0.1, 0.2, 0.3 }, values("0.1..0.3:3", REAL))
    assert.same({ 0.001, 0.01, 0.1, 1.0 }, values("log:0.001..1:4", REAL))
    assert.same({ 1, 3, 10, 32, 100 }, values("log:1..100:5", WHOLE))
    assert.equal(5, #values("0..1", REAL))
    assert.same({ 0.0, 0.01, 0.1 }, values("0,log:0.01..0.1:2,0.1", REAL))
  end)

  it("expand `all` to every choice", function()
    assert.same({ "a", "b" }, values("all", { "a", choices = { "a", "b" } }))
    assert.same({ true, false }, values("all", { false }))
    assert.matches("no list of choices", refusal("all", REAL))
  end)

  it("leave texts alone", function()
    assert.same({ "folder:../a..b", "c,d", "log:1..2" }, values("folder:../a..b,c\\,d,log:1..2", { "s" }))
    assert.same({ "all" }, values("all", { "s" }))
  end)

  it("are checked like those of trit run", function()
    assert.matches("takes a number, not \"much\"", refusal("0.1,much", REAL))
    assert.matches("must lie in %[0, 1%]", refusal("0.5..2", REAL))
    assert.matches("takes a whole number", refusal("1,1.5", WHOLE))
    assert.matches("must be one of a, b", refusal("c", { "a", choices = { "a", "b" } }))
    assert.matches("goes down", refusal("4..1", WHOLE))
    assert.matches("above 0", refusal("log:0..1:3", REAL))
    assert.matches("the N of", refusal("0..1:x", REAL))
    assert.matches("more than 10000 values", refusal("1..1000000", WHOLE))
    assert.matches("is not log:A..B", refusal("log:3", REAL))
  end)
end)

describe("a search", function()
  local function axes()
    return { assert(space.axis("a", "0..1", REAL)), assert(space.axis("b", "1..3", WHOLE)),
      assert(space.axis("c", "log:0.001..1", REAL)) }
  end

  it("by grid has every combination, the last axis fastest", function()
    local list = space.points({ axes()[2], assert(space.axis("m", "x,y", { "x" })) }, "grid", {})
    local words = {}
    for i, p in ipairs(list) do words[i] = p.b .. p.m end
    assert.same({ "1x", "1y", "2x", "2y", "3x", "3y" }, words)
  end)

  it("by list takes the axes side by side", function()
    local a, b = assert(space.axis("a", "0.1,0.2", REAL)), assert(space.axis("b", "7", WHOLE))
    assert.same({ { a = 0.1, b = 7 }, { a = 0.2, b = 7 } }, space.points({ a, b }, "list", {}))
    local none, why = space.points({ a, assert(space.axis("b", "1..3", WHOLE)) }, "list", {})
    assert.is_nil(none)
    assert.matches("has 2 values where others have 3", why)
  end)

  for _, how in ipairs { "random", "halton" } do
    it("by " .. how .. " stays in the ranges, and a longer one begins with the shorter", function()
      local short = space.points(axes(), how, { points = 20, seed = 3 })
      local long = space.points(axes(), how, { points = 200, seed = 3 })
      local seen, low = {}, 0
      for i, p in ipairs(long) do
        assert.is_true(p.a >= 0 and p.a <= 1 and p.c >= 0.001 and p.c <= 1)
        seen[p.b] = true
        if p.c < 0.0316 then low = low + 1 end
        if i <= 20 then assert.same(short[i], p) end
      end
      assert.same({ true, true, true }, seen)
      assert.is_true(low > 80 and low < 120) -- half of them, in the logarithm
      assert.are_not.same(short, space.points(axes(), how, { points = 20, seed = 4 }))
    end)
  end

  it("by halton puts one point into each cell of b^k", function()
    for dimension, base in ipairs { 2, 3, 5 } do
      local at, cells, n = halton.new(11), {}, base ^ 3
      for i = 0, n - 1 do cells[math.floor(at(i, dimension) * n + 1e-9)] = true end
      for c = 0, n - 1 do assert.is_true(cells[c], ("base %d, cell %d"):format(base, c)) end
    end
  end)
end)

describe("the interval of replicates", function()
  it("is Student's", function()
    assert.is_true(math.abs(interval.t95(60) - 2.000298) < 1e-5)
    assert.is_true(math.abs(interval.t95(31) - 2.039513) < 1e-5)
    local mean, half = interval.of { 1, 2, 4 }
    assert.is_true(math.abs(mean - 7 / 3) < 1e-12)
    assert.is_true(math.abs(half - 4.302653 * math.sqrt(7 / 3 / 3)) < 1e-6)
    mean, half = interval.of { 5 }
    assert.same({ 5 }, { mean, half })
    assert.is_nil(interval.of {})
  end)
end)

describe("core.hash", function()
  it("is XXH3-128", function() assert.equal("06b05ab6733a618578af5f94892f3950", core.hash("abc")) end)
end)

describe("trit sweep", function()
  local dir
  before_each(function() dir = toy.directory() end)
  after_each(function() toy.remove(dir) end)

  local function sweep(...) return toy.trit(dir, { "sweep", "toy.lua", ... }) end

  local function outcome(...)
    local words = { ... }
    words[#words + 1] = "--json"
    local code, out, err = sweep(table.unpack(words))
    return assert(json.decode(out), out .. err), code, err
  end

  it("runs a grid with seeds and prints the table, the best on top", function()
    local code, out, err = sweep("--init", "0.1,0.3", "--seeds", "2", "--jobs", "2", "--threads", "4")
    assert.equal(0, code, err)
    local lines = {}
    for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line:gsub("%s+", " ") end
    assert.equal("init seeds val/top1 zeros seconds state", lines[1])
    assert.matches("^0%.3 2 98%.50 .+ 6%.35 %% 30%.0 %% [%d.]+ complete$", lines[2])
    assert.matches("^0%.1 2 94%.50 ", lines[3])
    assert.equal(3, #lines)
    local s = json.decode(toy.read(dir .. "/runs/toy/sweep/points.json"))
    assert.equal(4, #s.points)
    assert.is_true(math.abs(s.groups[1].mean - 0.985) < 1e-12)
    for _, p in ipairs(s.points) do
      local record = json.decode(toy.read(dir .. "/" .. p.dir .. "/claim-1/exit.json"))
      assert.equal(2, record.result.val.threads) -- four, for two at a time
    end
    assert.matches("^init,runs,complete,mean,half,zeros,seconds,states\r\n0%.3,2,2,0%.98[45]%d*,",
      toy.read(dir .. "/runs/toy/sweep/table.csv"))
    assert.matches("^| init | seeds | val/top1 | zeros | seconds | state |\n| %-%-%-: ?|? ?",
      (toy.read(dir .. "/runs/toy/sweep/table.md"):gsub("| %-%-%- |", "| ---: |", 1)))
    code, out = toy.trit(dir, { "ls", "--json" })
    assert.equal(0, code)
    assert.equal(4, #json.decode(out))
  end)

  it("does nothing twice, and more when asked for more", function()
    sweep("--init", "0.1,0.3")
    local s, code = outcome("--init", "0.1,0.3,0.5")
    assert.equal(0, code)
    assert.equal(3, #s.points)
    for _, p in ipairs(s.points) do assert.equal(1, p.attempts) end
    assert.equal(3, select(2, toy.read(dir .. "/FINISHED"):gsub("\n", "")))
  end)

  it("names a point by script and configuration, defaults or not", function()
    local function ids(...)
      local list = {}
      local _, out = sweep("--dry-run", "--json", ...)
      for i, p in ipairs(json.decode(out)) do list[i] = p.id end
      return list
    end
    local plain = ids("--init", "0.1,0.2")
    assert.same(plain, ids("--init", "0.1,0.2", "--lr", "0.1", "--seed", "1"))
    assert.same({ plain[2] }, ids("--init", "0.20"))
    assert.are_not.same({ plain[1] }, ids("--init", "0.1", "--seed", "2"))
    assert.same({}, toy.list(dir .. "/runs")) -- a dry run makes nothing
    toy.write(dir .. "/toy.lua", toy.SCRIPT .. "-- another text\n")
    assert.are_not.same(plain, ids("--init", "0.1,0.2"))
  end)

  it("runs the script as it was when the sweep began", function()
    sweep("--init", "0.1")
    local copy = toy.list(dir .. "/runs/toy/sweep")
    assert.matches("^script%-%x+$", copy[3])
    assert.equal(toy.SCRIPT, toy.read(dir .. "/runs/toy/sweep/" .. copy[3] .. "/toy.lua"))
  end)

  describe("of a script with modules of its own", function()
    local FROM_ARG = 'dofile((arg[0]:match("^(.*)/") or ".") .. "/helper.lua")\n'
    local FROM_SOURCE = 'dofile(debug.getinfo(1, "S").source:match("^@(.*)/") .. "/helper.lua")\n'

    local function helper(init)
      toy.write(dir .. "/lib/helper.lua", ("BASE = %g\nreturn BASE\n"):format(init))
    end

    local function script(first)
      toy.write(dir .. "/lib/toy.lua", first .. toy.SCRIPT:gsub("best, hoard = 1", "best, hoard = BASE", 1))
    end

    local function run()
      local code, out, err = toy.trit(dir, { "sweep", "lib/toy.lua", "--init", "0.3", "--json" })
      assert.equal(0, code, err)
      return assert(json.decode(out), err), err
    end

    before_each(function() assert(require("lfs").mkdir(dir .. "/lib")) end)

    for name, first in pairs { ["arg[0]"] = FROM_ARG, ["its source"] = FROM_SOURCE,
      ["package.path"] = 'package.path = "./lib/?.lua;" .. package.path\nrequire "helper"\n' } do
      it("finds them through " .. name .. " and runs anew when they change", function()
        script(first)
        helper(1)
        local before, err = run()
        assert.is_nil(err:find("changed", 1, true))
        helper(0.5)
        local after
        after, err = run()
        assert.matches("\nhelper%.lua changed since the last sweep", "\n" .. err:gsub("[^\n]*/", ""))
        assert.are_not.equal(before.points[1].id, after.points[1].id)
        assert.near(before.groups[1].mean - 0.5, after.groups[1].mean, 1e-9)
        helper(1)
        assert.equal(before.points[1].id, run().points[1].id)
      end)
    end

    it("begins no point when they change meanwhile", function()
      script(FROM_ARG)
      helper(1)
      local p = toy.start(dir, { "sweep", "lib/toy.lua", "--init", "0.1,0.3", "--pause", "0.3" })
      local points = dir .. "/runs/toy/sweep/points/"
      assert.is_true(toy.until_true(function() return #toy.list(points) > 0 end))
      helper(0.5)
      assert.equal(75, p.wait())
      assert.matches("ended by a change of lib/helper%.lua", toy.read(dir .. "/.log"))
      assert.equal(1, #toy.list(points))
    end)
  end)

  it("refuses what cannot be, before any run, with status 2", function()
    for _, case in ipairs {
      { "must lie in %[0, 1%]", "--init", "0.1,7" }, { "unknown option %-%-nix", "--nix", "1" },
      { "must be one of tga, twn, ttq", "--method", "tga,no" }, { "takes a whole number", "--jobs", "0" },
      { "must be one of grid, list, random, halton", "--search", "magic" },
      { "must be one of asha, median", "--stop", "magic" }, { "takes a time", "--time-limit", "soon" },
      { "takes a size", "--memory-limit", "lots" }, { "is given twice", "--init", "1", "--init", "2" },
      { "from one %-%-seed", "--seed", "1,2", "--seeds", "2" }, { "needs a value", "--out" },
      { "%-%-init needs a value", "--init" }, { "takes no value", "--json=1" },
      { "one script at a time", "other.lua" },
    } do
      local code, out, err = sweep(table.unpack(case, 2))
      assert.equal(2, code, case[1])
      assert.equal("", out)
      assert.matches("^trit sweep: [^\n]*" .. case[1] .. "[^\n]*\n$", err)
    end
    assert.same({}, toy.list(dir .. "/runs"))
    local missing, _, why = toy.trit(dir, { "sweep", "no.lua" })
    assert.equal(1, missing)
    assert.equal("trit sweep: cannot open no.lua: No such file or directory\n", why)
    assert.equal(2, (toy.trit(dir, { "sweep" })))
  end)

  it("keeps going when a run fails, and retries it when asked", function()
    local s, code, err = outcome("--how", "well,error,crash", "--init", "0.1,0.3")
    assert.equal(1, code)
    assert.matches("4 of 6 points failed", err)
    assert.same({ complete = 2, failed = 4 }, s.count)
    local reasons = {}
    for _, p in ipairs(s.points) do reasons[p.params.how] = p.reason end
    assert.matches("toy.lua:%d+: the data ran out$", reasons.error)
    assert.matches("^crashed: SIGABRT", reasons.crash)
    s, code = outcome("--how", "well,error,crash", "--init", "0.1,0.3")
    assert.equal(1, code) -- as before: nothing was tried again
    for _, p in ipairs(s.points) do assert.equal(1, p.attempts) end
    toy.write(dir .. "/MENDED", "")
    s, code = outcome("--how", "well,error,crash", "--init", "0.1,0.3", "--retry-failed")
    assert.equal(1, code)
    assert.same({ complete = 4, failed = 2 }, s.count)
    for _, p in ipairs(s.points) do assert.equal(p.params.how == "well" and 1 or 2, p.attempts) end
  end)

  it("says why points failed, --quiet or not", function()
    local code, _, err = sweep("--how", "error", "--quiet")
    assert.equal(1, code)
    assert.matches("^failed: runs/toy/sweep/points/%x+: [^\n]*the data ran out\n", err)
    assert.matches("\ntrit sweep: 1 of 1 point", err)
  end)

  it("says when a comma has cut a text that looks like one", function()
    local WARNING = "option %-%-how: test=2 is a value of its own here; ',' within a value is '\\,', " ..
      "in quotes for the shell\n"
    local _, _, err = sweep("--how", "set:train=1,test=2", "--dry-run")
    assert.matches(WARNING, err)
    for _, fine in ipairs { "set:train=1\\,test=2", "set:a=1,set:b=2", "well,error" } do
      _, _, err = sweep("--how", fine, "--dry-run")
      assert.is_nil(err:find("value of its own", 1, true))
    end
    assert.matches("'\\,'", (select(2, sweep("--help"))))
  end)

  it("sorts by another metric when told, downwards where less is better", function()
    local s = outcome("--init", "0.1,0.3,0.9", "--metric", "val/loss")
    assert.equal("min", s.goal)
    assert.same({ 0.3, 0.1, 0.9 },
      { s.groups[1].params.init, s.groups[2].params.init, s.groups[3].params.init })
  end)

  it("gives a task of a Slurm array its share first", function()
    local code, _, err = toy.trit(dir, { "sweep", "toy.lua", "--depth", "1..4" },
      "SLURM_ARRAY_TASK_ID=8 SLURM_ARRAY_TASK_MIN=7 SLURM_ARRAY_TASK_COUNT=2 SLURM_CPUS_PER_TASK=3")
    assert.equal(0, code)
    local order = {}
    for depth in err:gmatch("complete +%x+ +depth=(%d)") do order[#order + 1] = depth end
    assert.same({ "2", "4", "1", "3" }, order)
    assert.matches("3 threads each", err)
  end)
end)

describe("trit sweep SCRIPT --help", function()
  it("lists the script's options", function()
    local dir = toy.directory()
    local code, out = toy.trit(dir, { "sweep", "toy.lua", "--help" })
    toy.remove(dir)
    assert.equal(0, code)
    assert.matches("Options of toy.lua:\n.*%-%-init +threshold %(0 to 1%) +%[default: 0.05%]", out)
    assert.matches("%-%-retry%-failed", out)
  end)
end)

describe("trit sweep --stop", function()
  local dir
  before_each(function() dir = toy.directory() end)
  after_each(function() toy.remove(dir) end)

  local function states(...)
    local _, out, err = toy.trit(dir, { "sweep", "toy.lua", "--json", "--jobs", "1", ... })
    local s, by = assert(json.decode(out), err), {}
    for _, p in ipairs(s.points) do by[p.params.init] = p end
    return by
  end

  it("median stops the worse half", function()
    local by = states("--init", "0.3,0.25,0.9", "--epochs", "12", "--pause", "0.12", "--stop", "median",
      "--stop-peers", "2", "--stop-from", "2")
    assert.equal("complete", by[0.3].state)
    assert.equal("complete", by[0.25].state)
    assert.equal("stopped", by[0.9].state)
    assert.matches("^median rule: ", by[0.9].reason)
    assert.is_true(by[0.9].epoch >= 2 and by[0.9].epoch < 12)
    local row = require("trit.runs").summary(dir .. "/" .. by[0.9].dir)
    assert.equal("stopped", row.status)
    assert.equal(by[0.9].reason, row.message)
    local code, shown = toy.trit(dir, { "show", by[0.9].dir, "--json" })
    assert.equal(0, code)
    local status = json.decode(shown).status
    assert.same({ "stopped", row.message }, { status.status, status.message })
    by = states("--init", "0.3,0.25,0.9", "--epochs", "12", "--pause", "0.12") -- no rule: it goes on
    assert.equal("complete", by[0.9].state)
    assert.equal(1, by[0.3].attempts)
  end)

  it("asha stops at rungs what is not among the best", function()
    local by = states("--init", "0.3,0.6,0.9", "--epochs", "12", "--pause", "0.12", "--stop", "asha",
      "--stop-factor", "2", "--stop-from", "2")
    assert.equal("complete", by[0.3].state)
    assert.equal("stopped", by[0.6].state)
    assert.equal("stopped", by[0.9].state)
    assert.matches("^successive halving: place 3 of 3 at epoch [248], 1 go on", by[0.9].reason)
  end)

  it("asha judges a rung once and lets a stopped run go on", function()
    local asha = require "trit.sweep.stop_asha"
    local o = { from = 1, factor = 2 }
    local function curve(...)
      local c = { epoch = {}, value = { ... } }
      for i = 1, select("#", ...) do c.epoch[i] = i end
      return c
    end
    local memory = asha.memory(o, curve())
    assert.is_nil(asha.judge(o, curve(1), {}, memory)) -- the first goes on
    assert.is_nil(asha.judge(o, curve(1), { curve(2), curve(3) }, memory)) -- judged already
    assert.matches("place 3 of 3 at epoch 2, 1 go on",
      asha.judge(o, curve(1, 1), { curve(2, 2), curve(3, 3) }, memory))
    assert.is_false(asha.promote(o, curve(1, 1), { curve(2, 2), curve(3, 3) }))
    assert.is_true(asha.promote(o, curve(1, 5), { curve(2, 2), curve(3, 3) }))
    assert.is_false(asha.promote(o, curve(), { curve(1), curve(1) }))
    assert.equal(2, asha.memory(o, curve(1, 1, 1)).rung)
  end)
end)

describe("trit sweep --ask-tell", function()
  local dir
  before_each(function() dir = toy.directory() end)
  after_each(function() toy.remove(dir) end)

  local function talk(input, ...)
    local code, out, err = toy.trit(dir, { "sweep", "toy.lua", "--ask-tell", ... }, nil, input)
    local events = {}
    for line in out:gmatch("[^\n]+") do
      local event = assert(json.decode(line), line)
      events[event.event] = events[event.event] or {}
      table.insert(events[event.event], event)
    end
    return events, code, err
  end

  it("runs what it is told and answers from files what it knows", function()
    local input = '{"id":"a","params":{"init":0.3}}\n{"id":2,"params":{"init":7}}\nnonsense\n' ..
      '{"id":4,"params":{"nix":1}}\n{"id":5,"params":{"init":0.1}}'
    local events, code, err = talk(input, "--seeds", "2", "--jobs", "2", "--lr", "0.5")
    assert.equal(0, code, err)
    assert.equal(0.05, events.space[1].params.init.default)
    assert.equal(3, #events.error)
    assert.matches("must lie in", events.error[1].message)
    assert.equal(2, #events.result)
    local by = {}
    for _, e in ipairs(events.result) do by[e.id] = e end
    assert.is_true(math.abs(by.a.value - 0.985) < 1e-12)
    assert.is_true(math.abs(by.a.half - 12.706205 * 0.005) < 1e-9)
    assert.equal("complete", by[5].state)
    assert.same({ 0.1, 0.5 }, { by[5].params.init, by[5].params.lr })
    assert.is_true(#events.value >= 6)
    events = talk(input, "--seeds", "2", "--jobs", "2", "--lr", "0.5")
    assert.equal(2, #events.result)
    assert.equal(4, select(2, toy.read(dir .. "/FINISHED"):gsub("\n", ""))) -- nothing ran again
    local _, out = toy.trit(dir, { "sweep", "toy.lua", "--join", "--dry-run", "--json" })
    assert.equal(4, #json.decode(out))
  end)

  it("has help from workers that join", function()
    local lines = {}
    for i = 1, 8 do lines[i] = ('{"id":%d,"params":{"depth":%d}}'):format(i, i) end
    local joined = toy.start(dir, { "sweep", "toy.lua", "--join" })
    assert.equal(0, joined.wait()) -- nothing there
    toy.write(dir .. "/.lines", table.concat(lines, "\n"))
    local asking = ("cd '%s' && %s >.out 2>.err <.lines &"):format(dir,
      toy.command { "sweep", "toy.lua", "--ask-tell", "--pause", "0.3" })
    local until_there = "until [ \"$(ls runs/toy/sweep/points | wc -l)\" = 8 ]; do sleep 0.1; done 2>.err2"
    os.execute(asking .. (" cd '%s' || exit 9\n%s\n%s >.out2 2>.err2; wait"):format(dir, until_there,
      toy.command { "sweep", "toy.lua", "--join" }))
    local _, results = toy.read(dir .. "/.out"):gsub('"event":"result"', "")
    assert.equal(8, results)
    assert.matches("complete", toy.read(dir .. "/.err2"))
    local _, ends = toy.read(dir .. "/FINISHED"):gsub("\n", "")
    assert.equal(8, ends)
  end)

  it("stops a trial when told, one that has not begun too", function()
    local events = talk('{"id":1,"params":{"init":0.2}}\n{"id":2,"params":{"pause":0.3,"epochs":50}}\n' ..
      '{"id":2,"stop":true}\n')
    local by = {}
    for _, e in ipairs(events.result) do by[e.id] = e end
    assert.equal("complete", by[1].state)
    assert.equal("stopped", by[2].state)
    assert.equal("stopped by the optimizer", by[2].reason)
  end)

  it("refuses lines that are not as described", function()
    local events = talk('{"id":1,"params":{"init":null}}\n{"id":2,"params":[1,2]}\n' ..
      '{"id":3,"params":{"init":[0.3]}}\n{"id":4,"params":null}\n{"id":null,"params":{"init":0.3}}\n')
    assert.equal(1, #events.result)
    local said = {}
    for i, e in ipairs(events.error) do said[i] = e.id .. ": " .. e.message end
    assert.same({ "1: option --init takes one value, not null", "2: params is an object { NAME: VALUE }",
      "3: option --init takes one value, not [0.3]", "4: a line holds params or stop" }, said)
  end)

  it("tells values while a trial runs and stops it then", function()
    local command = toy.command({ "sweep", "toy.lua", "--ask-tell", "--pause", "0.2", "--epochs", "100" })
    local _, how, code = os.execute(([[cd '%s' && mkfifo in || exit 9
      %s >.out 2>.err <in &
      { echo '{"id":1,"params":{}}'; sleep 1.5; echo '{"id":1,"stop":true}'; } >in; wait $!]])
      :format(dir, command))
    assert.same({ "exit", 0 }, { how, code })
    local out = toy.read(dir .. "/.out")
    assert.matches('"event":"value","id":1,', out)
    assert.matches('"event":"result","id":1,.*"state":"stopped"', out)
  end)
end)
