-- tier: fast
-- Checkpoints: exact round trip, rotation, and every kind of damage.
local core = require "trit.core"
local checkpoint = require "trit.checkpoint"
local lfs = require "lfs"

local dir

local function spoil(path, at, byte) -- overwrite one byte; at < 0 counts from the end
  local f = assert(io.open(path, "r+b"))
  local size = f:seek("end")
  f:seek("set", at < 0 and size + at or at)
  local old = f:read(1):byte()
  f:seek("set", at < 0 and size + at or at)
  f:write(string.char(old ~ (byte or 1)))
  f:close()
end

local function cut(path, bytes)
  local f = assert(io.open(path, "rb"))
  local text = f:read("a")
  f:close()
  f = assert(io.open(path, "wb"))
  f:write(text:sub(1, #text - bytes))
  f:close()
end

describe("checkpoint", function()
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(lfs.mkdir(dir))
  end)
  after_each(function() os.execute("rm -rf '" .. dir .. "'") end)

  local function save(step, extra)
    local what = { tensors = { ["net/conv1.weight"] = core.randn({ 4, 3, 3, 3 }, { seed = step }) },
                   meta = { step = step } }
    for k, v in pairs(extra or {}) do what[k] = v end
    return assert(checkpoint.save(dir, what))
  end

  it("gives back the same bits, whatever the layout in memory", function()
    local w = core.randn({ 5, 4, 3, 3 }, { seed = 1, layout = "hwio" })
    local odd = core.tensor { 0 / 0, 1 / 0, -1 / 0, 0, -0.0, 1e-42, 3.4028234e38 }
    local meta = { lr = 0.1 + 0.2, third = 1 / 3, count = math.maxinteger, inf = math.huge,
                   list = { 1, 2.5 }, named = { n = 7 }, text = "a\n\"b\"", flag = false }
    assert(checkpoint.save(dir, { tensors = { w = w, ["a/b.c"] = odd, s = core.tensor(7) },
                                  meta = meta }))
    local c = assert(checkpoint.load(dir))
    assert.is_nil(c.note)
    assert.same(meta, c.meta)
    assert.equal("integer", math.type(c.meta.count))
    assert.same(w:totable(), c.tensors.w:totable())
    assert.same(w:shape(), c.tensors.w:shape())
    assert.equal(7, c.tensors.s:item())
    local back, want = c.tensors["a/b.c"]:totable(), odd:totable()
    assert.is_true(back[1] ~= back[1])
    for i = 2, #want do assert.equal(string.pack("f", want[i]), string.pack("f", back[i])) end
  end)

  it("keeps the last two and the best", function()
    for step = 1, 5 do save(step, { best = step == 2 }) end
    local names = {}
    for name in lfs.dir(dir) do
      if name:sub(1, 1) ~= "." then names[#names + 1] = name end
    end
    table.sort(names)
    assert.same({ "best.h5", "checkpoint-000004.h5", "checkpoint-000005.h5" }, names)
    assert.equal(5, checkpoint.load(dir).meta.step)
    assert.equal(2, checkpoint.load(dir, "best").meta.step)
  end)

  it("falls back to the one before when the newest is damaged, and says so", function()
    save(1)
    local newest = save(2)
    local size = lfs.attributes(newest, "size")
    for _, at in ipairs { 0, 100, size // 3, size // 2, size - 33, -1, -20, -32 } do
      spoil(newest, at)
      local c = assert(checkpoint.load(dir))
      assert.equal(1, c.meta.step, "byte " .. at)
      assert.matches("checkpoint%-000002%.h5' is ", c.note)
      assert.matches("continuing from", c.note)
      spoil(newest, at) -- the same change again restores it
    end
    assert.is_nil(checkpoint.load(dir).note)
    for _, bytes in ipairs { 1, 31, 1000 } do
      cut(newest, bytes)
      local c = assert(checkpoint.load(dir))
      assert.equal(1, c.meta.step)
      assert.matches("cut off", c.note)
    end
  end)

  it("finds every flipped bit of a file", function()
    local path = save(1)
    math.randomseed(7)
    local size = lfs.attributes(path, "size")
    for _ = 1, 200 do
      local at, bit = math.random(0, size - 1), 1 << math.random(0, 7)
      spoil(path, at, bit)
      assert.is_nil(core.checkpoint_verify(path), ("byte %d, bit %d"):format(at, bit))
      spoil(path, at, bit)
    end
    assert.is_true(core.checkpoint_verify(path))
  end)

  it("says what is missing", function()
    local none, why = checkpoint.load(dir)
    assert.is_nil(none)
    assert.matches("none in", why)
    none, why = checkpoint.load(dir .. "/nowhere")
    assert.is_nil(none)
    assert.matches("no such file or directory", why)
    none, why = checkpoint.save(dir .. "/nowhere", { tensors = {} })
    assert.is_nil(none)
    assert.matches("no directory", why)
    local ok, message = pcall(function() checkpoint.save(dir, { tensor = {} }) end)
    assert.is_false(ok)
    assert.matches("test_checkpoint.lua:%d+: checkpoint.save: unknown field", message)
    ok, message = pcall(checkpoint.save, dir, { tensors = { w = 3 } })
    assert.is_false(ok)
    assert.matches("'w' is a number, not a tensor", message)
  end)

  it("leaves the old file and no temporary when writing fails", function()
    save(1)
    local path, why = checkpoint.save(dir, { tensors = { [("x"):rep(5000)] = core.tensor(1) } })
    assert.is_nil(path)
    assert.matches("too long a name", why)
    assert.equal(1, checkpoint.load(dir).meta.step)
    assert.is_nil(lfs.attributes(dir .. "/checkpoint-000002.h5.tmp", "mode"))
  end)

  it("is an ordinary HDF5 file", function()
    local f <close> = assert(require("trit.h5").open(save(1)))
    assert.same({ 4, 3, 3, 3 }, f:shape("tensors/net/conv1.weight"))
    assert.equal("trit checkpoint", f:attr("", "format"))
  end)
end)
