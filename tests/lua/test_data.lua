-- tier: fast
-- Data sets from Lua: options, iteration, errors at the script's line, real sets where present.
local trit = require "trit"
local lfs = require "lfs"

local tmp = os.tmpname()
os.remove(tmp)
lfs.mkdir(tmp)
local made = tmp .. "/made"
trit.data.make("shapes10", made, { train = 60, test = 20 })
local spec = "folder:" .. made

local function collect(...)
  local out = {}
  for x, y in ... do
    out[#out + 1] = { x = x:totable(), y = y:totable(), shape = x:shape() }
  end
  return out
end

-- The script's line stands before the sentence.
local function raises(pattern, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches(pattern, message)
  assert.matches("test_data%.lua:%d+: ", message)
end

describe("trit.data", function()
  teardown(function() os.execute(("rm -rf '%s'"):format(tmp)) end)

  it("describes what it opened", function()
    local d = trit.data.open(spec, { batch = 16, augment = { { "crop", pad = 2 }, "flip" } })
    assert.equal(10, d.classes)
    assert.equal("arrow", d.class_names[1])
    assert.same({ 3, 32, 32 }, d.shape)
    assert.equal(60, d.train_size)
    assert.equal(20, d.test_size)
    assert.equal(4, d.batches)
    assert.matches("60 train %+ 20 test images, 10 classes", d:describe())
    assert.matches("crop pad=2, flip", d:describe())
    assert.matches("^xxh3:%x+$", d:checksum())
    assert.equal(16, d.options.batch)
    assert.equal("replace", d.options.on_error)
  end)

  it("gives channels x height x width batches and labels from 1", function()
    local d = trit.data.open(spec, { batch = 16 })
    local batches = collect(d:train(1))
    assert.equal(4, #batches)
    assert.same({ 16, 3, 32, 32 }, batches[1].shape)
    assert.same({ 12, 3, 32, 32 }, batches[4].shape)
    local seen = {}
    for _, b in ipairs(batches) do for _, y in ipairs(b.y) do seen[y] = (seen[y] or 0) + 1 end end
    for c = 1, 10 do assert.equal(6, seen[c]) end
    assert.equal(3, #collect(trit.data.open(spec, { batch = 16, drop_last = true }):train(1)))
    assert.equal(2, #collect(d:test()))
    assert.equal(2, #collect(d:val()))
  end)

  it("repeats a pass bit for bit, whatever the workers, and resumes inside it", function()
    local options = { batch = 16, augment = { "crop", "flip" }, seed = 3, workers = 1 }
    local whole = collect(trit.data.open(spec, options):train(2))
    for workers = 2, 3 do
      options.workers, options.cache = workers, workers == 3 and 0 or nil
      local d = trit.data.open(spec, options)
      assert.same(whole, collect(d:train(2)))
      local rest = collect(d:train(2, 3))
      assert.equal(2, #rest)
      assert.same(whole[3], rest[1])
      assert.same(whole[4], rest[2])
    end
    options.seed = 4
    assert.not_same(whole, collect(trit.data.open(spec, options):train(2)))
  end)

  it("augments by epoch and seed, in file order too", function()
    local options = { batch = 60, augment = { "crop" }, shuffle = false }
    local d = trit.data.open(spec, options)
    local one, two = collect(d:train(1))[1], collect(d:train(2))[1]
    assert.same(one.y, two.y)
    assert.not_same(one.x, two.x)
    options.seed = 8
    assert.not_same(one.x, collect(trit.data.open(spec, options):train(1))[1].x)
    assert.same(collect(d:test()), collect(d:test()))
  end)

  it("releases a pass that break leaves", function()
    local d = trit.data.open(spec, { batch = 4, cache = 0 })
    for _ = 1, 20 do
      for x in d:train(1) do -- luacheck: ignore 512
        assert.equal(4, x:shape()[1])
        break
      end
    end
    collectgarbage()
    assert.is_true(d:wait_seconds() >= 0)
    d:close()
    raises("data set is closed", function() return d:train(1) end)
  end)

  it("normalizes with the given mean and std", function()
    local plain = collect(trit.data.open(spec, { normalize = "none", shuffle = false }):train(1))
    local d = trit.data.open(spec, { mean = { 0.5, 0.25, 0 }, std = { 1, 0.5, 2 }, shuffle = false })
    local shifted = collect(d:train(1))
    for c, want in ipairs { { 0.5, 1 }, { 0.25, 0.5 }, { 0, 2 } } do
      local a, b = plain[1].x[7][c][9][5], shifted[1].x[7][c][9][5]
      assert.is_true(math.abs((a - want[1]) / want[2] - b) < 1e-6)
    end
    local measured = trit.data.open(spec, { normalize = "measure" })
    assert.is_true(measured.mean[1] > 0.3 and measured.mean[1] < 0.7)
    assert.matches("measured on 60", measured.norm)
  end)

  it("takes an even subset with limit", function()
    local d = trit.data.open(spec, { limit = 20, shuffle = false })
    local y = collect(d:train(1))[1].y
    for i = 1, 20 do assert.equal((i - 1) // 2 + 1, y[i]) end
  end)

  it("decodes at reduced size only when asked to", function()
    local core, dir = require "trit.core", tmp .. "/large"
    trit.data.make("shapes10", dir, { train = 20, test = 0, size = 128 })
    local function bytes(...)
      local list = {}
      for x in ... do list[#list + 1] = core.to_bytes(x, "f32") end
      return table.concat(list)
    end
    local function open(options)
      options.batch, options.augment = 20, { "rrc", "flip" }
      return trit.data.open("folder:" .. dir, options)
    end
    assert.is_true(bytes(open { size = 12, cache = 0 }:train(1)) == bytes(open { size = 12 }:train(1)))
    -- draft: other pixels, nearly the same picture; nothing where the crop is not twice as large
    local exact, draft = open { size = 12, cache = 0 }, open { size = 12, cache = 0, draft = true }
    assert.is_true(draft.scaled and not exact.scaled)
    for x in exact:train(1) do
      for y in draft:train(1) do
        local apart = x:max_difference(y)
        assert.is_true(apart > 0 and apart < 0.5, tostring(apart))
      end
    end
    assert.is_true(bytes(open { size = 110, cache = 0, draft = true }:train(1))
      == bytes(open { size = 110, cache = 0 }:train(1)))
  end)

  it("resizes to another size", function()
    local d = trit.data.open(spec, { size = 16, augment = { { "rrc", scale_min = 0.5 } } })
    assert.same({ 60, 3, 16, 16 }, collect(d:train(1))[1].shape)
    assert.same({ 20, 3, 16, 16 }, collect(d:test())[1].shape)
  end)

  it("packs a set that gives the same batches", function()
    local file = tmp .. "/packed.h5"
    assert.equal(0, trit.data.pack(spec, file))
    local options = { batch = 16, augment = { "crop" }, normalize = "none" }
    assert.same(collect(trit.data.open(spec, options):train(5)),
      collect(trit.data.open("h5:" .. file, options):train(5)))
  end)

  it("names mistakes at the script's line", function()
    raises("unknown option \"bach\"; known: augment, batch,", trit.data.open, spec, { bach = 3 })
    raises("no augmentation 'flop'; known: crop, flip", trit.data.open, spec, { augment = { "flop" } })
    raises("crop: unknown option \"padd\"; known: pad, fill", trit.data.open, spec,
      { augment = { { "crop", padd = 2 } } })
    raises("data.pack: unknown option \"sise\"; known: size", trit.data.pack, spec, tmp .. "/x.h5",
      { sise = 8 })
    raises("batch is 0 but must lie in", trit.data.open, spec, { batch = 0 })
    raises("'foo:bar' is none of cifar10:DIR", trit.data.open, "foo:bar")
    raises("no directory '/nowhere/at/all'", trit.data.open, "folder:/nowhere/at/all")
    raises("shapes10: 'nose=1' is not name=value with a name of train", trit.data.open,
      "shapes10:nose=1")
    local d = trit.data.open(spec)
    raises("epoch must be a whole number >= 0, got 1.5", function() d:train(1.5) end)
    raises("start must be a whole number >= 1, got 0", function() d:train(1, 0) end)
    raises("a data set has no field \"clases\"", function() return d.clases end)
    raises("exists already", trit.data.make, "shapes10", made)
  end)

  it("reports damaged files, each once, and goes on", function()
    local dir = tmp .. "/damaged"
    trit.data.make("shapes10", dir, { train = 20, test = 0 })
    local bad = io.open(dir .. "/train/disc/000003.jpg", "wb")
    bad:write("not an image")
    bad:close()
    local d = trit.data.open("folder:" .. dir, { batch = 8 })
    local stderr, said = io.stderr, {}
    io.stderr = { write = function(_, s) said[#said + 1] = s end } -- luacheck: ignore
    for epoch = 1, 3 do assert.equal(3, #collect(d:train(epoch))) end
    io.stderr = stderr -- luacheck: ignore
    assert.equal(1, #said)
    assert.matches("disc/000003.jpg: neither JPEG nor PNG.*the next one stands in", said[1])
    local report = d:report()
    assert.equal(1, report.bad)
    assert.matches("000003", report.files[1].problem)
    raises("train/disc/000003.jpg: neither JPEG nor PNG", function()
      for _ in trit.data.open("folder:" .. dir, { on_error = "fail" }):train(1) do end -- luacheck: ignore
    end)
    local check = trit.data.check("folder:" .. dir)
    assert.equal(1, check.bad)
    assert.equal(20, check.images)
    assert.matches("000003", check.files[1].problem)
    assert.equal(2, check.class_counts.train[1])
  end)

  it("checks a folder with entries that cannot be read", function()
    local dir = tmp .. "/entries"
    trit.data.make("shapes10", dir, { train = 20, test = 0 })
    local before = trit.data.open("folder:" .. dir):checksum()
    local content = trit.data.check("folder:" .. dir).checksum
    assert(lfs.link("nowhere", dir .. "/train/disc/link.jpg", true))
    assert(lfs.mkdir(dir .. "/train/disc/sub.png"))
    local check = trit.data.check("folder:" .. dir)
    assert.equal(22, check.images)
    assert.equal(2, check.bad)
    assert.matches("link.jpg", check.files[1].problem)
    assert.matches("sub.png", check.files[2].problem)
    assert.equal(content, check.checksum)
    assert.equal(before, trit.data.open("folder:" .. dir):checksum())
    trit.data.make("shapes10", tmp .. "/more", { train = 30, test = 0 })
    assert.not_equal(content, trit.data.check("folder:" .. tmp .. "/more").checksum)
  end)

  it("refuses test classes that are not trained, and says which test folder it takes", function()
    local dir = tmp .. "/classes"
    trit.data.make("shapes10", dir, { train = 20, test = 20 })
    assert(os.rename(dir .. "/test/disc", dir .. "/test/n01440764"))
    raises("folder: '.*/classes': test/ has 1 class folders that train/ has not: n01440764; "
      .. "train/ has 10: arrow, ...", trit.data.open, "folder:" .. dir)
    assert(os.execute(("rm -r '%s/test/n01440764'"):format(dir)))
    local d = trit.data.open("folder:" .. dir)
    assert.equal(10, d.classes)
    assert.equal(18, d.test_size)
    assert.equal("", d.note)
    assert(os.execute(("cp -r '%s/test' '%s/val'"):format(dir, dir)))
    assert.matches("test/ is there too, but val/ is used for testing",
      trit.data.open("folder:" .. dir):describe(), 1, true)
  end)

  it("opens the real sets where they are", function()
    local source = os.getenv("TRIT_SOURCE") or "."
    local shared = (os.getenv("TRIT_SHARED") or source .. "/../shared") .. "/data"
    if lfs.attributes(shared, "mode") ~= "directory" then
      pending("no shared data directory here: its sets are not opened")
      return
    end
    local d = trit.data.open("idx:" .. shared, { batch = 100 })
    assert.equal(8000, d.train_size)
    assert.equal(2000, d.test_size)
    assert.same({ 1, 28, 28 }, d.shape)
    local first = collect(trit.data.open("idx:" .. shared, { limit = 1, shuffle = false }):train(1))
    assert.equal(7, first[1].y[1] - 1) -- t10k starts with a seven
    local dir = tmp .. "/photos"
    lfs.mkdir(dir)
    assert(os.execute(("tar -xf '%s/imagenet-sample.tar' -C '%s'"):format(shared, dir)))
    local photos = trit.data.open("folder:" .. dir, { batch = 64, limit = 64 })
    assert.equal(334, photos.classes)
    assert.equal(0, photos.train_size)
    assert.same({ 64, 3, 224, 224 }, collect(photos:test())[1].shape)
    raises("no train images: only val/ is there", function() return photos:train(1) end)
    assert.equal(11, trit.data.check("folder:" .. dir).gray)
  end)
end)
