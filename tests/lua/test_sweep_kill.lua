-- tier: full
-- Sweeps under kill -9: of workers, of runs, of both; claims of the dead; limits.
local core = require "trit.core"
local json = require "trit.json"
local lfs = require "lfs"
local owner = require "trit.sweep.owner"
local store = require "trit.sweep.store"
local toy = require "tests.lua.sweep_toy"
local uv = require "luv"

local OUT = "runs/toy/sweep"

local function points_of(dir) return toy.list(dir .. "/" .. OUT .. "/points") end

local function claims_of(dir, id)
  local list = {}
  for _, name in ipairs(toy.list(("%s/%s/points/%s"):format(dir, OUT, id))) do
    local n = tonumber(name:match("^claim%-(%d+)$"))
    if n then list[n] = ("%s/%s/points/%s/%s"):format(dir, OUT, id, name) end
  end
  return list
end

-- pids of all runs that live
local function runs_of(dir)
  local pids = {}
  for _, id in ipairs(points_of(dir)) do
    for _, claim in ipairs(claims_of(dir, id)) do
      local child = json.decode(toy.read(claim .. "/child.json"))
      if child and owner.alive(child) then pids[#pids + 1] = math.tointeger(child.pid) end
    end
  end
  return pids
end

local function finished(dir)
  local times = {}
  for path in toy.read(dir .. "/FINISHED"):gmatch("[^\n]+") do
    local id = path:match("([^/]+)$")
    times[id] = (times[id] or 0) + 1
  end
  return times
end

-- Exit records that say complete.
local function completions(dir, id)
  local n = 0
  for _, claim in ipairs(claims_of(dir, id)) do
    local record = json.decode(toy.read(claim .. "/exit.json"))
    if record and record.state == "complete" then n = n + 1 end
  end
  return n
end

local function status_of(run_dir)
  local run = require("trit.runfile").open(run_dir)
  local state = run and run:status()
  return state and state.status
end

describe("trit sweep under kill -9", function()
  local dir
  before_each(function() dir = toy.directory() end)
  after_each(function() toy.remove(dir) end)

  local KILLS = tonumber(os.getenv("TRIT_KILLS")) or 20
  local WORDS = { "sweep", "toy.lua", "--init", "0.1..0.6:6", "--seeds", "2", "--jobs", "2", "--epochs", "4",
    "--pause", "0.15", "--stale-after", "3" }

  it(("loses nothing and completes nothing twice, %d kills"):format(KILLS), function()
    math.randomseed(20240612)
    local workers = {}
    for _ = 1, KILLS do
      for i = 1, 2 do -- two workers; a dead one comes back
        if not workers[i] or workers[i].code then workers[i] = toy.start(dir, WORDS) end
      end
      local wait = uv.hrtime() + (0.1 + 0.5 * math.random()) * 1e9
      while uv.hrtime() < wait do
        uv.run("nowait")
        core.io_sleep(0.01)
      end
      local what = math.random(3)
      local pids = runs_of(dir)
      if what >= 2 and #pids > 0 then uv.kill(pids[math.random(#pids)], "sigkill") end
      if what ~= 2 then
        local worker = workers[math.random(2)]
        worker.kill("sigkill")
        worker.wait()
      end
    end
    for i = 1, 2 do
      workers[i].kill("sigkill")
      workers[i].wait()
    end
    local words = { table.unpack(WORDS) }
    words[#words + 1] = "--retry-failed" -- killed three times in a row counts as failed
    words[#words + 1] = "--json"
    local code, out, err = toy.trit(dir, words)
    assert.equal(0, code, err)
    local s = json.decode(out)
    assert.same({ complete = 12 }, s.count)
    local times, claims = finished(dir), 0
    for _, p in ipairs(s.points) do
      assert.equal("complete", status_of(dir .. "/" .. p.dir))
      assert.equal(1, completions(dir, p.id))
      assert.is_true((times[p.id] or 0) <= 1, p.id .. " ran to its end twice")
      claims = claims + p.attempts
    end
    assert.is_true(claims > 12) -- the kills did hit
    assert.same({}, runs_of(dir))
  end)

  it("ends the runs of a killed worker, and another takes them over at once", function()
    local worker = toy.start(dir, { "sweep", "toy.lua", "--epochs", "100", "--pause", "0.2" })
    assert.is_true(toy.until_true(function() return #runs_of(dir) == 1 end))
    worker.kill("sigkill")
    worker.wait()
    assert.is_true(toy.until_true(function() return #runs_of(dir) == 0 end, 5))
    local id = points_of(dir)[1]
    assert.equal("lost", store.view(dir .. "/" .. OUT, { stale_after = 1000 }):look(id).state)
    worker = toy.start(dir, { "sweep", "toy.lua", "--epochs", "100", "--pause", "0.2" })
    assert.is_true(toy.until_true(function() return #runs_of(dir) == 1 end, 5))
    assert.equal(2, #claims_of(dir, id))
    worker.kill("sigterm")
    assert.equal(75, worker.wait())
    assert.equal("interrupted", store.view(dir .. "/" .. OUT, { stale_after = 1000 }):look(id).state)
    assert.same({}, runs_of(dir))
  end)

  it("does not heed a hang-up under nohup", function()
    local words = { "sweep", "toy.lua", "--epochs", "4", "--pause", "0.3" }
    local _, how, code = os.execute(("cd '%s' || exit 9\nnohup %s >.out 2>.err &\n%s"):format(dir,
      toy.command(words), "sleep 0.8; kill -HUP $!; wait $!"))
    assert.same({ "exit", 0 }, { how, code })
    assert.matches("complete", toy.read(dir .. "/.out"))
    assert.same({}, toy.list(dir .. "/" .. OUT .. "/workers"))
  end)

  it("lets a run that outlives its worker come to its end, once", function()
    local words = { "sweep", "toy.lua", "--how", "deaf", "--epochs", "10", "--pause", "0.3" }
    local worker = toy.start(dir, words)
    assert.is_true(toy.until_true(function() return #runs_of(dir) == 1 end))
    core.io_sleep(0.3) -- until it has stopped its ears
    worker.kill("sigkill")
    worker.wait()
    assert.equal(1, #runs_of(dir))
    local id = points_of(dir)[1]
    assert.equal("orphan", store.view(dir .. "/" .. OUT, { stale_after = 1000 }):look(id).state)
    assert.equal(0, (toy.trit(dir, words)))
    assert.same({ [id] = 1 }, finished(dir))
    assert.equal(2, #claims_of(dir, id))
    assert.matches("it had ended when its worker was lost", toy.read(claims_of(dir, id)[2] .. "/exit.json"))
  end)

  it("waits for a run that nobody has noted, and does not run it again", function()
    local words = { "sweep", "toy.lua", "--pause", "0.5", "--json" }
    local plan = json.decode((select(2, toy.trit(dir, { "sweep", "toy.lua", "--pause", "0.5", "--json",
      "--dry-run" }))))[1]
    local gone = owner.me()
    gone.started = gone.started - 1
    os.execute(("mkdir -p '%s/%s/claim-1'"):format(dir, plan.dir))
    toy.write(("%s/%s/claim-1/owner.json"):format(dir, plan.dir), json.encode(gone))
    os.execute(("cd '%s' || exit 9\nflock '%s/lock' %s >/dev/null 2>&1 &"):format(dir, plan.dir,
      toy.command { "run", "toy.lua", "--pause", "0.5", "--out", plan.dir, "--quiet" }))
    assert.is_true(toy.until_true(function() return status_of(dir .. "/" .. plan.dir) == "running" end))
    local code, out = toy.trit(dir, words)
    assert.equal(0, code)
    local p = json.decode(out).points[1]
    assert.same({ "complete", 2 }, { p.state, p.attempts })
    assert.same({ [plan.id] = 1 }, finished(dir))
  end)

  it("fails a run that is killed three times, and says so", function()
    local worker = toy.start(dir, { "sweep", "toy.lua", "--epochs", "100", "--pause", "0.2" })
    for _ = 1, 3 do
      local pids = toy.until_true(function()
        local list = runs_of(dir)
        return #list == 1 and list
      end)
      assert.is_truthy(pids)
      uv.kill(pids[1], "sigkill")
      assert.is_true(toy.until_true(function() return runs_of(dir)[1] ~= pids[1] end))
    end
    assert.equal(1, worker.wait())
    assert.equal(3, #claims_of(dir, points_of(dir)[1]))
    assert.matches("killed by SIGKILL %(out of memory%?%), 3 times", toy.read(dir .. "/.log"))
  end)
end)

describe("a claim", function()
  local dir, id
  before_each(function()
    dir = toy.directory()
    local _, out = toy.trit(dir, { "sweep", "toy.lua", "--dry-run", "--json" })
    id = json.decode(out)[1].id
  end)
  after_each(function() toy.remove(dir) end)

  -- A claim left by `who`, its heartbeat `age` seconds old.
  local function leave(who, age)
    local claim = ("%s/%s/points/%s/claim-1"):format(dir, OUT, id)
    os.execute(("mkdir -p '%s'"):format(claim))
    if who then toy.write(claim .. "/owner.json", json.encode(who)) end
    toy.write(claim .. "/heartbeat", "")
    lfs.touch(claim .. "/heartbeat", os.time() - age)
    return claim
  end

  local function attempts(...)
    local _, out, err = toy.trit(dir, { "sweep", "toy.lua", "--no-wait", "--json", "--stale-after", "30",
      ... })
    local p = assert(json.decode(out), err).points[1]
    return p.attempts, p.state
  end

  it("of another machine holds while its heart beats", function()
    leave({ host = "elsewhere/1/2", pid = 1, started = 1 }, 5)
    assert.same({ 1, "running" }, { attempts() })
  end)

  it("of another machine is taken over when it has been silent", function()
    leave({ host = "elsewhere/1/2", pid = 1, started = 1 }, 60)
    assert.same({ 2, "complete" }, { attempts() })
  end)

  it("of a living process of this machine holds, however silent", function()
    leave(owner.me(), 1000)
    assert.same({ 1, "running" }, { attempts() })
  end)

  it("of a process whose number is in use again is taken over", function()
    local me = owner.me()
    me.started = me.started - 1
    leave(me, 0)
    assert.same({ 2, "complete" }, { attempts() })
  end)

  it("without an owner, made by a worker killed in that moment, goes when it is old", function()
    local claim = leave(nil, 60)
    os.remove(claim .. "/heartbeat")
    assert.same({ 1, "running" }, { attempts() })
    lfs.touch(claim, os.time() - 60)
    assert.same({ 2, "complete" }, { attempts() })
  end)

  it("of a machine that goes away is taken over after its silence", function()
    local unshare = "unshare --uts --pid --fork --mount-proc --kill-child sh -c"
    if not os.execute(unshare .. " 'hostname other' 2>/dev/null") then
      return pending("no permission for name spaces: the part with another machine is left out")
    end
    local words = { "sweep", "toy.lua", "--depth", "1..4", "--epochs", "8", "--pause", "0.3", "--jobs", "2",
      "--stale-after", "3" }
    local command = toy.command(words):gsub("'", [['\'']])
    os.execute(("cd '%s' || exit 9\n%s 'hostname other; exec %s' >/dev/null 2>&1 &\n%s"):format(dir, unshare,
      command, "sleep 1.5; kill -9 $!"))
    local began = os.time()
    assert.equal(2, #points_of(dir))
    assert.equal(0, (toy.trit(dir, words)))
    assert.is_true(os.time() - began >= 3)
    local claims = 0
    for _, point in ipairs(points_of(dir)) do
      claims = claims + #claims_of(dir, point)
      assert.equal(1, finished(dir)[point])
    end
    assert.equal(6, claims)
  end)

  it("that is taken over ends the run of the one before", function()
    local worker = toy.start(dir, { "sweep", "toy.lua", "--epochs", "3", "--pause", "1", "--no-wait",
      "--stale-after", "2" })
    assert.is_true(toy.until_true(function() return #runs_of(dir) == 1 end))
    local ran = points_of(dir)[1]
    local claim = ("%s/%s/points/%s/claim-2"):format(dir, OUT, ran)
    lfs.mkdir(claim)
    toy.write(claim .. "/owner.json", json.encode { host = "elsewhere", pid = 1, started = 1 })
    toy.write(claim .. "/heartbeat", "")
    assert.is_true(toy.until_true(function() return #runs_of(dir) == 0 end, 2.5))
    assert.same({}, finished(dir))
    worker.kill("sigterm")
    worker.wait()
    assert.matches('"state":"lost"', toy.read(claims_of(dir, ran)[1] .. "/exit.json"))
  end)

  it("is made by one worker only, of ten at the same time", function()
    local workers = {}
    for i = 1, 10 do workers[i] = toy.start(dir, { "sweep", "toy.lua", "--seeds", "4", "--quiet" }) end
    for i = 1, 10 do assert.equal(0, workers[i].wait()) end
    for _, point in ipairs(points_of(dir)) do
      assert.equal(1, #claims_of(dir, point))
      assert.equal(1, finished(dir)[point])
    end
    assert.equal(4, #points_of(dir))
  end)
end)

describe("a limit", function()
  local dir
  before_each(function() dir = toy.directory() end)
  after_each(function() toy.remove(dir) end)

  local function outcome(...)
    local _, out, err = toy.trit(dir, { "sweep", "toy.lua", "--json", ... })
    local by = {}
    for _, p in ipairs(assert(json.decode(out), err).points) do by[p.params.how] = p end
    return by
  end

  it("of time ends a run, and the others go on", function()
    local by = outcome("--how", "deaf,well", "--jobs", "2", "--pause", "0.4", "--epochs", "2",
      "--time-limit", "20")
    assert.equal("complete", by.deaf.state)
    by = outcome("--how", "well", "--pause", "0.5", "--epochs", "100", "--time-limit", "1.5s")
    assert.equal("failed", by.well.state)
    assert.equal("time limit: not done after 1.5 s", by.well.reason)
    assert.is_true(by.well.epoch >= 1 and by.well.epoch < 10)
  end)

  it("of memory ends a run, and the others go on", function()
    local by = outcome("--how", "hungry,well", "--jobs", "2", "--epochs", "20", "--memory-limit", "400M")
    assert.equal("complete", by.well.state)
    assert.equal("failed", by.hungry.state)
    assert.matches("memory", by.hungry.reason)
    assert.matches("400 MB", by.hungry.reason)
    by = outcome("--how", "hungry", "--epochs", "3", "--memory-limit", "2G")
    assert.equal("complete", by.hungry.state)
  end)
end)

describe("once", function()
  local MAKE = [[
local once, core = require "trit.sweep.once", require "trit.core"
local files = require "trit.sweep.files"
local context = require "trit.context"
context.resume, context.run_dir = true, "mine"
local function find()
  local file = io.open("made/value")
  return file and file:read("a")
end
local value = once("made", find, function()
  assert(not context.resume)
  context.run_dir = "a side job"
  local log = assert(io.open("made/tries", "a"))
  log:write("try\n")
  log:close()
  core.io_sleep(tonumber(arg[1]))
  assert(files.write("made/value", "made by " .. arg[2])) -- whole or not there: others look meanwhile
end)
assert(context.resume and context.run_dir == "mine")
io.write(value .. "\n") -- one write at the end of the log that all share
]]

  it("makes a thing once, and again when its maker was killed", function()
    local dir = toy.directory()
    toy.write(dir .. "/make.lua", MAKE)
    local first = toy.start(dir, { "lua", "make.lua", "60", "first" })
    assert.is_true(toy.until_true(function() return toy.read(dir .. "/made/tries") ~= "" end))
    local others = {}
    for i = 1, 4 do others[i] = toy.start(dir, { "lua", "make.lua", "0.5", "another" }) end
    core.io_sleep(0.5)
    assert.equal("try\n", toy.read(dir .. "/made/tries"))
    first.kill("sigkill")
    first.wait()
    for i = 1, 4 do assert.equal(0, others[i].wait()) end
    assert.equal("try\ntry\n", toy.read(dir .. "/made/tries"))
    assert.equal(("made by another\n"):rep(4), toy.read(dir .. "/.log"))
    toy.remove(dir)
  end)
end)

describe("experiments/threshold_sweep.lua", function()
  local source = os.getenv("TRIT_SOURCE") or lfs.currentdir()

  it("trains the float weights once and sweeps from them", function()
    local dir = toy.directory()
    local code, out, err = toy.trit(dir, { "sweep", source .. "/experiments/threshold_sweep.lua", "--images",
      "256", "--epochs", "1", "--float_epochs", "1", "--center", "all", "--init", "0.02,0.3", "--lr_th", "0",
      "--jobs", "2", "--out", "out", "--json" })
    assert.equal(0, code, err)
    local s = json.decode(out)
    assert.same({ complete = 4 }, s.count)
    for _, g in ipairs(s.groups) do
      assert.is_true(g.params.init == 0.3 and g.zeros > 0.5 or g.params.init == 0.02 and g.zeros < 0.3)
    end
    local made = toy.list(dir .. "/runs/threshold_sweep/float")
    assert.equal(1, #made)
    assert.equal("complete", status_of(dir .. "/runs/threshold_sweep/float/" .. made[1]))
    toy.remove(dir)
  end)
end)
