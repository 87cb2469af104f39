-- tier: fast
-- The run file: what is written comes back; missing fields, late series, resume, failure, locks.
local core = require "trit.core"
local h5 = require "trit.h5"
local json = require "trit.json"
local runfile = require "trit.runfile"
local runlog = require "trit.runlog"

local dir

local function nan(x) return x ~= x end

local function create(options)
  return assert(runlog.create(dir, options or { config = { seed = 1 } }))
end

describe("run file", function()
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
  end)
  after_each(function() os.execute("rm -rf '" .. dir .. "'") end)

  it("keeps series parallel when fields come late or are missing", function()
    local log = create()
    log:train { step = 1, epoch = 1, loss = 2, lr = 0.1 }
    log:train { step = 2, epoch = 1, loss = 0 / 0 }
    log:train { step = 3, epoch = 1, loss = 1 / 0, extra = 5 }
    local s = assert(runfile.open(dir)):series("train")
    assert.equal(3, s.n)
    assert.same({ 1, 2, 3 }, s.step)
    assert.equal("integer", math.type(s.step[1]))
    assert.is_true(s.lr[1] == 0.1 and nan(s.lr[2]) and nan(s.lr[3]))
    assert.is_true(s.loss[1] == 2 and nan(s.loss[2]) and s.loss[3] == math.huge)
    assert.is_true(nan(s.extra[1]) and nan(s.extra[2]) and s.extra[3] == 5)
    assert.is_true(s.wall_time[3] >= s.wall_time[1])
    log:finish("complete")
  end)

  it("counts zeros in histograms and takes a share of zeros elsewhere", function()
    local log = create { bins = 5 }
    log:val { step = 1, epoch = 1, top1 = 0.5, zeros = 0.25 }
    log:layer("fc.weight", { step = 1, weights = core.tensor { 0, 0, 1 } })
    log:finish("complete")
    local run = assert(runfile.open(dir))
    assert.equal(0.25, run:series("val").zeros[1])
    assert.equal(2, run:layer("fc.weight").hist.zeros[1])
    assert.equal("integer", math.type(run:layer("fc.weight").hist.zeros[1]))
  end)

  it("holds the layout that other tools expect", function()
    local log = create { config = { seed = 7, lr = 0.1 + 0.2 }, bins = 11 }
    local name = "layer1.0.conv1.weight"
    local w = core.tensor { -9, -0.5, 0, 0, 0.25, 0.5, 9 }
    for t = 1, 2 do
      log:layer(name, { step = 10 * t, epoch = t, weights = w, threshold = 0.3, scale = 0.5,
        codes = core.tensor { -1, -1, 0, 0, 0, t == 1 and 0 or 1, 1 } })
    end
    log:val { step = 20, epoch = 2, top1 = 0.5, top5 = 0.9, loss = 1 }
    log:train { step = 20, epoch = 2, loss = 1 }
    log:finish("complete")
    local f <close> = assert(h5.open(dir .. "/run.h5"))
    assert.same({ seed = 7, lr = 0.1 + 0.2 }, json.decode(f:read_strings("config")[1]))
    assert.equal("complete", f:attr("", "status"))
    assert.equal("trit run", f:attr("", "format"))
    assert.equal(1, f:attr("", "format_version"))
    assert.equal("train", f:attr("", "default"))
    local layer = "layers/" .. name
    assert.same({ 2, 11 }, f:shape(layer .. "/hist/counts"))
    assert.same({ 12 }, f:shape(layer .. "/hist/edges"))
    assert.same({ 2, 3 }, f:shape(layer .. "/occupancy"))
    for _, series in ipairs { "threshold", "scale", "mu", "sigma", "flips", "shapiro_w", "step" } do
      assert.same({ 2 }, f:shape(layer .. "/" .. series), series)
    end
    for _, series in ipairs { "zeros", "under", "over", "step" } do
      assert.same({ 2 }, f:shape(layer .. "/hist/" .. series), series)
    end
    assert.equal("NXdata", f:attr(layer .. "/hist", "NX_class"))
    assert.equal("counts", f:attr(layer .. "/hist", "signal"))
    assert.same({ "step", "edges" }, f:attr(layer .. "/hist", "axes"))
    assert.equal("loss", f:attr("train", "signal"))
    assert.equal("top1", f:attr("val", "signal"))
    assert.equal("s", f:attr("train/wall_time", "units"))
    local flips = f:read_numbers(layer .. "/flips")
    assert.is_true(nan(flips[1]))
    assert.equal(1 / 7, flips[2])
    assert.same({ 2, 2 }, { table.unpack(f:read_numbers(layer .. "/hist/zeros")) })
  end)

  it("takes zeros for a count in a histogram and for a share elsewhere", function()
    local log = create()
    log:val { step = 1, epoch = 1, top1 = 0.5, zeros = 0.25, under = 0.125 }
    log:layer("fc.weight", { step = 1, epoch = 1, weights = core.tensor { -1, 0, 0, 1 } })
    log:val { step = 2, epoch = 2, top1 = 0.5, zeros = 0.5, counts = 1.5 }
    log:finish("complete")
    local run = assert(runfile.open(dir))
    local val, hist = run:series "val", run:series "layers/fc.weight/hist"
    assert.same({ 0.25, 0.5 }, { val.zeros[1], val.zeros[2] })
    assert.equal(0.125, val.under[1])
    assert.equal(1.5, val.counts[2])
    assert.equal(2, hist.zeros[1])
    assert.equal("integer", math.type(hist.zeros[1]))
    local f <close> = assert(h5.open(dir .. "/run.h5"))
    assert.matches("^share", f:attr("val/zeros", "description"))
    assert.matches("exactly zero", f:attr("layers/fc.weight/hist/zeros", "description"))
  end)

  it("is in the oldest format and holds what was flushed while it is open", function()
    local log = create()
    log:train { step = 1, loss = 1 }
    local file = assert(io.open(dir .. "/run.h5", "rb"))
    assert.equal(0, file:read(9):byte(9)) -- version of the superblock
    file:close()
    for step = 2, 4 do
      log:train { step = step, loss = step }
      -- read by another process: within one, HDF5 shares what is not on disk yet
      local pipe = io.popen(("lua5.4 -e 'print(assert(require(%q).open(%q)):series(%q).n)'"):format(
        "trit.runfile", dir, "train"))
      assert.equal(step, pipe:read("n"))
      pipe:close()
    end
    assert.equal("running", assert(runfile.open(dir)):status().status)
    log:finish("complete")
  end)

  it("keeps the edges of a layer for the whole run, through a resume", function()
    local log = create()
    log:layer("w", { step = 1, weights = core.randn({ 1000 }, { seed = 1 }) })
    log:layer("w", { step = 2, weights = core.randn({ 1000 }, { seed = 2, std = 9 }) })
    log:train { step = 1, loss = 3 }
    log:train { step = 2, loss = 2 }
    log:train { step = 3, loss = 1 }
    log:finish("interrupted", "enough")
    local edges = assert(runfile.open(dir)):layer("w").hist.edges
    local again = assert(runlog.resume(dir, 2))
    again:layer("w", { step = 3, weights = core.randn({ 1000 }, { seed = 3, std = 9 }) })
    again:train { step = 3, loss = 0.5 }
    again:finish("complete")
    local run = assert(runfile.open(dir))
    local hist = run:layer("w").hist
    assert.same(edges, hist.edges)
    assert.same({ 1, 2, 3 }, hist.step)
    assert.is_true(hist.under[3] > 100 and hist.over[3] > 100)
    assert.same({ 3, 2, 0.5 }, run:series("train").loss)
    assert.equal("complete", run:status().status)
    assert.equal("", run:status().message)
  end)

  it("cuts series of unequal length, as a killed writer leaves them", function()
    local f = assert(h5.open(dir .. ".h5", "w"))
    f:set_attr("", "format", "trit run")
    f:close()
    local log = create()
    for step = 1, 3 do log:train { step = step, loss = step } end
    log:finish("complete")
    os.execute(("/usr/bin/python3 -c 'import h5py; f = h5py.File(\"%s\", \"r+\"); " ..
      "f[\"train/loss\"].resize((2,))' 2> /dev/null"):format(dir .. "/run.h5"))
    local check <close> = assert(h5.open(dir .. "/run.h5"))
    if check:shape("train/loss")[1] == 3 then return end -- no h5py here to make the damage
    local s = assert(runfile.open(dir)):series("train")
    assert.same({ 1, 2 }, s.step)
    assert.same({ 1, 2 }, s.loss)
    os.remove(dir .. ".h5")
  end)

  it("is marked failed with the message when an error passes", function()
    local ok = pcall(function()
      local log <close> = create()
      log:train { step = 1, loss = 1 }
      error("train: loss is nan at step 2", 0)
    end)
    assert.is_false(ok)
    local state = assert(runfile.open(dir)):status()
    assert.same({ "failed", "train: loss is nan at step 2" }, { state.status, state.message })
    do
      local log <close> = create()
      log:train { step = 1, loss = 1 }
    end
    assert.equal("interrupted", assert(runfile.open(dir)):status().status)
  end)

  it("has one writer", function()
    local log = create()
    local none, why = runlog.create(dir, {})
    assert.is_nil(none)
    assert.matches("is being written by process %d+ on ", why)
    log:finish("complete")
    create():finish("complete")
    assert.is_nil(require("lfs").attributes(dir .. "/run.h5.lock", "mode"))
  end)

  it("names mistakes at the caller's line", function()
    local log <close> = create()
    for mistake, call in pairs {
      ["needs its step"] = function() log:train { loss = 1 } end,
      ["loss must be a number or a table of numbers, got a string"] =
        function() log:train { step = 1, loss = "x" } end,
      ["cannot name a series"] = function() log:record("train", { step = 1, ["a/b"] = 1 }) end,
      ["unknown option \"bin\""] = function() runlog.create(dir .. "x", { bin = 3 }) end,
      ["status must be"] = function() log:finish("done") end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.is_truthy(message:find(mistake, 1, true), message)
      assert.matches("test_runfile.lua:%d+: ", message)
    end
    log:train { step = 1, loss = 1 }
    local ok, message = pcall(function() log:train { step = 2, loss = { 1, 2 } } end)
    assert.is_false(ok)
    assert.matches("series 'loss' of 'train'", message)
    log:train { step = 2, loss = 3 } -- the record that was refused leaves nothing behind
    assert.same({ 1, 2 }, assert(runfile.open(dir)):series("train").step)
  end)

  it("cannot be made where it must not", function()
    local none, why = runlog.create("/proc/nowhere/run", {})
    assert.is_nil(none)
    assert.matches("/proc/nowhere", why)
    none, why = runfile.open(dir)
    assert.is_nil(none)
    assert.matches("no such file or directory", why)
  end)

  it("says what its writing cost", function()
    local log = create()
    for step = 1, 50 do log:train { step = step, loss = 1 } end
    log:layer("w", { step = 50, weights = core.randn({ 10000 }, { seed = 1 }) })
    local cost = log:cost()
    assert.is_true(cost > 0 and cost < 5)
    log:finish("complete")
    assert.is_true(log:cost() >= cost)
    assert.is_true(assert(runfile.open(dir)):status().log_seconds >= cost)
  end)
end)

describe("json", function()
  it("keeps every double and integer", function()
    for _, x in ipairs { 0.1, 1 / 3, 1e-310, 1.7976931348623157e308, -0.0, 2 ^ 53, 123456789.125 } do
      assert.equal(string.pack("d", x), string.pack("d", json.decode(json.encode { x })[1]))
    end
    assert.equal("[9223372036854775807,1.0]", json.encode { math.maxinteger, 1.0 })
    assert.equal("{\"a\":null,\"b\":1e999}", (json.encode { a = 0 / 0, b = math.huge }))
    assert.equal("[]", json.encode(json.array {}))
  end)

  it("sorts keys and names damage", function()
    assert.equal("{\"a\":1,\"b\":{\"c\":2,\"d\":3}}", json.encode { b = { d = 3, c = 2 }, a = 1 })
    local none, why = json.decode("{\"a\":")
    assert.is_nil(none)
    assert.matches("JSON, character %d+", why)
  end)
end)
