-- tier: full
-- trit bench: every benchmark runs, prints its figures with a residual or a ratio, and speaks JSON.
local json = require "trit.json"

local source = os.getenv("TRIT_SOURCE") or "."

local function bench(arguments)
  local pipe = io.popen(("'%s/trit' bench %s --json 2>&1"):format(source, arguments))
  local text = pipe:read("a")
  assert.is_true((pipe:close()), text)
  return json.decode(text), text
end

describe("trit bench", function()
  it("train measures steps, where their time goes, and their distance from the exact path", function()
    local r = bench("train --model resnet8 --batch 16 --rounds 3 --seconds 0.2 --quant tga")
    assert.equal("tga", r.quant)
    assert.is_true(r.images_per_second > 0 and r.peak_gflops > 1 and r.results[1].memory > 1e6)
    assert.is_true(r.residual < 1e-2, r.residual)
    local sum = 0
    for _, f in ipairs(r.families) do sum = sum + f.ms end
    assert.is_true(math.abs(sum - r.profiled_ms) < 0.05 * r.profiled_ms, sum .. " of " .. r.profiled_ms)
  end)

  it("train measures a peer in turns", function()
    local r = bench("train --model resnet8 --batch 8 --rounds 3 --seconds 0.1 --peer " ..
      [["sh -c 'echo half a second; while read x; do echo 0.5; done'"]])
    assert.equal("half a second", r.results[2].name)
    assert.equal(0.5, r.results[2].median)
  end)

  it("quant measures quantizers", function()
    local r = bench("quant tga twn --shape 64,64,3,3 --seconds 0.02")
    assert.equal("tga", r.results[1].name)
    for _, q in ipairs(r.results) do
      assert.is_true(q.forward > 0 and q.both > 0 and q.residual < 1e-6)
    end
  end)

  it("data measures the loader", function()
    local r = bench("data --images 256 --rounds 2 --augment flip")
    assert.equal(256, r.images)
    assert.is_true(r.results[1].images_per_second > 0)
  end)

  it("feed: steps from memory and from the loader, and the wait between them", function()
    local r = bench("feed --model small --batch 32 --steps 3 --rounds 2 --cache 0 --threads 1")
    assert.equal(3, r.steps)
    assert.is_false(r.cached)
    assert.equal(1, r.results[1].ratio)
    assert.equal(0, r.results[1].waiting)
    assert.is_true(r.results[2].step_seconds > 0 and r.results[2].ratio > 0)
    assert.is_true(r.results[2].waiting >= 0 and r.results[2].waiting < 1)
    assert.is_true(bench("feed --model small --batch 32 --steps 2 --rounds 1 --cache 1e9").cached)
  end)

  it("names what it does not know", function()
    local pipe = io.popen(("'%s/trit' bench train --quant nothing 2>&1; echo status $?"):format(source))
    local text = pipe:read("a")
    pipe:close()
    assert.matches("%-%-quant is \"nothing\" but must be one of none, tga, tga%-joint, ttq, twn, wacv", text)
    assert.matches("status 1", text)
  end)
end)
