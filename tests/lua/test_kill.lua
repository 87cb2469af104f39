-- tier: full
-- A real SIGKILL at random moments: the run file must open and be read whole by h5ls, h5dump, h5py
-- and by us; and while it is written.
local core = require "trit.core"
local uv = require "luv"
local runfile = require "trit.runfile"
local lfs = require "lfs"

local KILLS = tonumber(os.getenv("TRIT_KILLS")) or 20
local source = os.getenv("TRIT_SOURCE") or "."
local writer = source .. "/tests/tools/run_writer.lua"

local function run_tool(command)
  local pipe = io.popen(command .. " 2>&1; echo \"exit $?\"")
  local text = pipe:read("a")
  pipe:close()
  return text:match("exit (%d+)\n$") == "0", text
end

local reader = [[
import sys, h5py
f = h5py.File(sys.argv[1], "r")
n = [0]
def visit(name, o):
    if isinstance(o, h5py.Dataset): o[()]; n[0] += 1
    for k in o.attrs: o.attrs[k]
f.visititems(visit)
[f.attrs[k] for k in f.attrs]
print(n[0])
]]

local has_h5py = run_tool("/usr/bin/python3 -c 'import h5py'")
local has_tools = run_tool("h5ls --version && h5dump --version")

local function python(file)
  return run_tool(("/usr/bin/python3 -c '%s' '%s'"):format(reader, file))
end

local function start(dir, ...)
  local handle
  handle = assert(uv.spawn("lua5.4", { args = { writer, dir, ... }, stdio = { nil, nil, 2 } },
    function() handle:close() end))
  return handle
end

local function stop(handle)
  handle:kill("sigkill")
  uv.run("default")
end

local function wait_for(file)
  for _ = 1, 500 do
    if lfs.attributes(file, "mode") then return true end
    core.io_sleep(0.01)
  end
  return false
end

local function fresh_dir()
  local dir = os.tmpname()
  os.remove(dir)
  return dir
end

local function remove(dir)
  os.execute(("rm -rf '%s'"):format(dir))
end

describe("a run file whose writer is killed", function()
  if not has_h5py then pending("h5py is not installed: its part is left out") end
  if not has_tools then pending("h5ls and h5dump are not installed: their part is left out") end
  math.randomseed(20240611)

  for kill = 1, KILLS do
    local wait = math.random() ^ 2 * 0.8 -- seconds; early moments are the delicate ones
    it(("can be read whole, kill %d after %.0f ms"):format(kill, wait * 1000), function()
      local dir = fresh_dir()
      local file = dir .. "/run.h5"
      local handle = start(dir)
      assert.is_true(wait_for(file), "the writer did not start")
      core.io_sleep(wait)
      stop(handle)
      if has_tools then
        local ok, text = run_tool(("h5ls -r '%s'"):format(file))
        assert.is_true(ok and not text:find("ERROR"), "h5ls: " .. text:sub(-500))
        ok, text = run_tool(("h5dump '%s' | tail -n 3"):format(file))
        assert.is_true(ok and not text:find("error"), "h5dump: " .. text:sub(-500))
        ok, text = run_tool(("h5dump '%s' > /dev/null"):format(file))
        assert.is_true(ok, "h5dump: " .. text:sub(-500))
      end
      if has_h5py then
        local ok, text = python(file)
        assert.is_true(ok, "h5py: " .. text:sub(-500))
      end
      local run = assert(runfile.open(dir))
      assert.equal("killed", run:status().status)
      assert.equal(1, run:config().seed)
      local train = assert(run:series("train"))
      for i = 1, train.n do
        assert.equal(i, train.step[i])
        assert.equal(1 / i, train.loss[i])
      end
      for _, name in ipairs(run:layers()) do
        local layer = assert(run:layer(name))
        for i = 1, layer.hist.n do
          local sum = layer.hist.under[i] + layer.hist.over[i]
          for _, c in ipairs(assert(run:histogram(name, i))) do sum = sum + c end
          assert.equal(576, sum)
        end
      end
      remove(dir)
    end)
  end

  it("can be taken over by the next writer", function()
    local dir = fresh_dir()
    local handle = start(dir)
    assert.is_true(wait_for(dir .. "/run.h5"))
    core.io_sleep(0.3)
    local runlog = require "trit.runlog"
    local none, message = runlog.resume(dir, 5)
    assert.is_nil(none)
    assert.matches("is being written by process %d+", message)
    stop(handle)
    local log = assert(runlog.resume(dir, 5))
    log:train { step = 6, epoch = 0.06, loss = 9, lr = 0.1 }
    log:finish("complete")
    local train = assert(runfile.open(dir)):series("train")
    assert.same({ 1, 2, 3, 4, 5, 6 }, train.step)
    assert.equal(9, train.loss[6])
    remove(dir)
  end)
end)

describe("a run file being written", function()
  for _, pause in ipairs { "0", "0.01" } do
    it(("is read whole at every try, %s s between records"):format(pause), function()
      local dir = fresh_dir()
      local handle = start(dir, "6", pause)
      assert.is_true(wait_for(dir .. "/run.h5"))
      local last = 0
      for _ = 1, 30 do
        local run = assert(runfile.open(dir))
        local train, why = run:series("train")
        assert(train, why)
        assert.is_true(train.n >= last)
        last = train.n
        for _, name in ipairs(assert(run:layers())) do
          assert(run:layer(name))
        end
        assert(run:histogram("layer1.weight", -1))
        core.io_sleep(0.01)
      end
      assert.is_true(last > 10)
      stop(handle)
      remove(dir)
    end)
  end

  it("is read by h5py", function()
    if not has_h5py then return end
    local dir = fresh_dir()
    local handle = start(dir, "6", "0.1") -- ten records a second, faster than any training
    assert.is_true(wait_for(dir .. "/run.h5"))
    local seen, tries = 0, 5
    for _ = 1, tries do
      core.io_sleep(0.1)
      if python(dir .. "/run.h5") then seen = seen + 1 end
    end
    stop(handle)
    remove(dir)
    assert.is_true(seen >= tries - 1, ("h5py read the live file %d times of %d"):format(seen, tries))
  end)
end)
