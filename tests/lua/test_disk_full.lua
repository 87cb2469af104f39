-- tier: full
-- A disk that fills up: the run stops with one sentence, what is on disk stays good, and when there is
-- room again the run goes on to the bits of one that never stopped.  Needs root, for a small tmpfs.
local checkpoint = require "trit.checkpoint"
local compare = require "tests.tools.compare_runs"
local core = require "trit.core"
local lfs = require "lfs"
local runfile = require "trit.runfile"
local spawn = require "tests.tools.spawn"
local stock = require "tests.tools.stock"
local uv = require "luv"

local PATIENCE = 300 -- seconds a short run may take on a busy machine
-- KiB: too small for the run file, for the first checkpoint, for the run file to grow (thrice), for the
-- second and for the third checkpoint.
local SIZES = { 16, 64, 780, 1000, 1500, 2000, 2500 }
local ROOMY = 16384

local source = os.getenv("TRIT_SOURCE") or "."
local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/trit-full-XXXXXX"))
local disk = dir .. "/disk"
uv.os_setenv("TRIT_CACHE", dir .. "/cache")

local function mount(options)
  return (os.execute(("mount -t tmpfs -o %s tmpfs '%s' 2>/dev/null"):format(options, disk)))
end

local function run(out, more)
  local process = spawn.start(source .. "/trit", { "run", source .. "/tests/tools/short_run.lua", "--out",
    out, "--quiet", more })
  assert.is_true(process:wait(PATIENCE), "the run did not end")
  return process
end

describe("a full disk", function()
  assert(lfs.mkdir(disk))
  local mounted = mount("size=1m")
  if not mounted then
    os.remove(disk)
    pending("no tmpfs can be mounted here (it takes root): nothing is tested")
    return
  end
  local reference, sites = dir .. "/reference", {}
  setup(function() assert.equal(0, run(reference).code) end)
  teardown(function()
    spawn.stop_all()
    os.execute(("umount '%s'; rm -rf '%s'"):format(disk, dir))
  end)

  for _, kib in ipairs(SIZES) do
    it(("of %d KiB stops a run and harms nothing"):format(kib), function()
      local out = disk .. "/run"
      os.execute(("rm -rf '%s'"):format(out))
      assert(mount(("remount,size=%dk"):format(kib)))
      local process = run(out)
      assert.same({ 1, 0 }, { process.code, process.signal }, process.err)
      assert.matches("^trit run: [^\n]*: No space left on device\n$", process.err)
      sites[process.err:match("run%.h5") or process.err:match("checkpoint")] = true
      if lfs.attributes(out .. "/run.h5") then
        stock.read(out .. "/run.h5")
        local state = assert(runfile.open(out)):status()
        assert.is_true(state.status == "failed" or state.status == "killed", state.status)
      end
      for _, c in ipairs(checkpoint.list(out)) do assert.is_true(core.checkpoint_verify(c.path)) end
      assert(mount(("remount,size=%dk"):format(ROOMY)))
      process = run(out, "--resume")
      assert.equal(0, process.code, process.err)
      assert.same({}, (compare.differences(reference, out)))
    end)
  end

  it("was met in the run file and in a checkpoint", function()
    assert.same({ ["run.h5"] = true, checkpoint = true }, sites)
  end)
end)
