-- tier: full
-- `trit run` killed at random moments and resumed each time, as a user does it: the end is that of a run
-- never stopped.  TRIT_KILLS sets how often (default 4 a kind); test_resume_twenty.lua does 20.
-- After every kill the run file is opened by h5ls, h5dump and h5py.
local compare = require "tests.tools.compare_runs"
local core = require "trit.core"
local lfs = require "lfs"
local runfile = require "trit.runfile"
local spawn = require "tests.tools.spawn"
local stock = require "tests.tools.stock"
local uv = require "luv"

local KILLS = tonumber(os.getenv("TRIT_KILLS")) or 4
local PATIENCE = 300 -- seconds a short run may take on a busy machine
local source = os.getenv("TRIT_SOURCE") or "."
local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/trit-kill-XXXXXX"))
uv.os_setenv("TRIT_CACHE", dir .. "/cache")

local function start(out, options, more)
  local args = { "run", source .. "/tests/tools/short_run.lua", "--out", out, "--quiet" }
  for _, list in ipairs { options, more or {} } do
    for _, word in ipairs(list) do args[#args + 1] = word end
  end
  return spawn.start(source .. "/trit", args)
end

local function finish(process)
  assert.is_true(process:wait(PATIENCE), "the run did not end")
  return process
end

local function last_line(text) return text:match("([^\n]*)\n$") end

local function wait_for(condition)
  for _ = 1, PATIENCE * 20 do
    if condition() then return end
    core.io_sleep(0.05)
  end
  error("waited too long", 2)
end

local function steps_of(out)
  local run = runfile.open(out)
  local train = run and run:series("train")
  return train and train.n or 0
end

local function same(a, b)
  local found, count = compare.differences(a, b)
  assert.same({}, found)
  assert.is_true(count > 50)
end

-- Wait for a random moment: mostly some steps further than the run had come before, and a little; else any
-- time since its start.  True when the run has ended before.
local function wait_at_random(process, out, seconds)
  if math.random() < 0.3 then return process:wait(math.random() * seconds) end
  local target = steps_of(out) + math.random(0, 12)
  while steps_of(out) < target do
    if process:wait(0.02) then return true end
  end
  return process:wait(math.random() * 0.05)
end

local kinds = {
  float = { "--method", "float", "--accumulate", "2", "--every", "7" },
  tga = { "--method", "tga", "--every", "4" },
}

describe("trit run", function()
  for _, note in ipairs(stock.missing) do pending(note) end
  local seconds = {}

  setup(function()
    for kind, options in pairs(kinds) do
      for _ = 1, 2 do -- the first also makes the images
        local began = core.io_clock()
        local process = finish(start(dir .. "/" .. kind, options))
        assert.equal(0, process.code, process.err)
        assert.equal(dir .. "/" .. kind, last_line(process.out))
        seconds[kind] = core.io_clock() - began
      end
    end
    math.randomseed(tonumber(os.getenv("TRIT_SEED")) or 20240719)
  end)
  teardown(function()
    spawn.stop_all()
    os.execute("rm -rf '" .. dir .. "'")
  end)

  for kind, options in pairs(kinds) do
    it(("killed %d times and resumed each time ends with the same bits: %s"):format(KILLS, kind), function()
      local kills, round, steps = 0, 0, {}
      while kills < KILLS do
        round = round + 1 -- a round ends when the run does
        local out = ("%s/%s-%d"):format(dir, kind, round)
        local complete = false
        while not complete do
          local process = start(out, options, { "--resume" })
          if kills < KILLS and not wait_at_random(process, out, seconds[kind]) then
            process:kill("sigkill")
            kills = kills + 1
          end
          finish(process)
          complete = process.signal == 0
          assert.is_true(not complete or process.code == 0, process.err)
          if lfs.attributes(out .. "/run.h5") then
            stock.read(out .. "/run.h5")
            if not complete then steps[#steps + 1] = steps_of(out) end
          end
        end
        same(dir .. "/" .. kind, out)
      end
      print(("# killed after step %s; %d rounds"):format(table.concat(steps, " "), round))
    end)
  end

  for _, signal in ipairs { "sigterm", "sigusr1", "sigint" } do
    it(("at %s saves, ends with status 75 and goes on with --resume"):format(signal), function()
      local out = dir .. "/" .. signal
      local process = start(out, kinds.tga)
      wait_for(function() return steps_of(out) > 10 end)
      process:kill(signal)
      finish(process)
      assert.same({ 75, 0 }, { process.code, process.signal }, process.err)
      assert.matches("interrupted by " .. signal:upper() .. " after step %d+", process.err)
      assert.equal(out, last_line(process.out))
      local state = assert(runfile.open(out)):status()
      assert.equal("interrupted", state.status)
      assert.matches("interrupted by " .. signal:upper(), state.message)
      process = finish(start(out, kinds.tga, { "--resume" }))
      assert.equal(0, process.code, process.err)
      same(dir .. "/tga", out)
      process = finish(start(out, kinds.tga, { "--resume" }))
      assert.equal(0, process.code)
      assert.matches("is complete: 3 epochs", process.err)
      assert.equal(out, last_line(process.out))
    end)
  end

  it("ends at once at a second Ctrl-C, in the middle of a step", function()
    local out = dir .. "/twice"
    local process = start(out, kinds.tga, { "--pause", "30" })
    wait_for(function() return steps_of(out) > 0 end)
    process:kill("sigint")
    local ended = process:wait(0.5)
    assert.is_false(ended, ("status %s, signal %s: %s"):format(process.code, process.signal, process.err))
    process:kill("sigint")
    assert.is_true(process:wait(5))
    assert.equal(2, process.signal)
    assert.equal("killed", assert(runfile.open(out)):status().status)
  end)

  it("leaves a file that other tools read while it runs", function()
    local out = dir .. "/live"
    local process = start(out, kinds.tga, { "--pause", "0.3" })
    wait_for(function() return steps_of(out) > 32 end) -- val and layers are there
    local read = 0
    for _ = 1, 4 do
      if pcall(stock.read, out .. "/run.h5") then read = read + 1 end
    end
    assert.is_nil(process.code)
    process:kill("sigterm")
    finish(process)
    assert.is_true(read >= 3, ("read %d times of 4"):format(read)) -- a reader may meet a record half-way
    assert.equal(75, process.code)
    stock.check_plots(out .. "/run.h5")
  end)
end)
