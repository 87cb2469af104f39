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

--- What a command that may fail says, with its status at the end.
local function output_of(arguments, command)
  local pipe = io.popen(("'%s/trit' %s %s 2>&1; echo status $?"):format(source, command or "bench",
    arguments))
  local text = pipe:read("a")
  pipe:close()
  return text
end

describe("trit.measure", function()
  it("takes ratios within rounds: median and quartiles", function()
    local measure = require "trit.measure"
    local calls, base, times = { 0, 0 }, { 1, 8, 2, 4 }, { 2, 1, 4, 3 }
    local function round(i) -- two calls go before: to warm up, and to see how long one takes
      calls[i] = calls[i] + 1
      return math.max(1, calls[i] - 2)
    end
    local list = { { name = "a", run = function() return base[round(1)] end },
      { name = "b", run = function()
        local r = round(2)
        return base[r] * times[r]
      end } }
    local row = measure.rounds(list, { rounds = 4, seconds = 0 })[2]
    measure.set_ratio(row, list[2], list[1])
    assert.same({ 2, 1, 3 }, { row.ratio, row.ratio_low, row.ratio_high })
    assert.equal("2.00 (1.00-3.00)", measure.ratio_text(row))
    assert.equal("2.000 (1.000-3.000)", measure.ratio_text(row, 3))
  end)
end)

local SIZES = "train --model resnet8 --batch 16 --rounds 3 --seconds 0.2 "

describe("trit bench", function()
  it("train measures steps, where their time goes, and their distance from the exact path", function()
    local r = bench(SIZES .. "--quant tga")
    assert.equal("tga", r.quant)
    assert.is_true(r.images_per_second > 0 and r.peak_gflops > 1 and r.results[1].memory > 1e6)
    assert.is_true(r.residual < 1e-2 and r.residual_first <= r.residual, r.residual)
    local sum, ms = 0, {}
    for _, f in ipairs(r.families) do sum, ms[f.name] = sum + f.ms, f.ms end
    assert.is_true(ms.optimizer > 0 and ms["rest (Lua)"] > 0 and ms["convolution forward"] > 0)
    assert.equal(0, ms.data)
    assert.is_true(math.abs(sum - r.profiled_ms) < 0.05 * r.profiled_ms, sum .. " of " .. r.profiled_ms)
  end)

  it("train counts the passes a step makes", function()
    local function multiply_adds(r) return r.gflops * r.results[1].median * 1e9 / 2 / r.batch end
    local float, tga = bench(SIZES), bench(SIZES .. "--quant tga")
    assert.same({ forward = 1, data_gradient = 1, weight_gradient = 1 }, float.passes)
    assert.same({ forward = 2, data_gradient = 2, weight_gradient = 1 }, tga.passes)
    assert.same(float.passes, bench(SIZES .. "--quant tga-joint").passes)
    -- All layers of ResNet-8, and the first: 3 channels to 16, 3x3, on 32x32 pixels.
    local all, first = require("trit").summary(require("trit").models.resnet8 {}).total.macs.float, 442368
    assert.near(3 * all - first, multiply_adds(float), 1)
    assert.near(5 * all - 2 * first, multiply_adds(tga), 1)
  end)

  it("train measures a peer in turns, told our threads and batch", function()
    local r = bench("train --model resnet8 --batch 8 --threads 1 --rounds 3 --seconds 0.1 --peer " ..
      [["sh -c 'echo {threads} at {batch}; while read x; do echo 0.5; done'" --peer ]] ..
      [["sh -c 'echo other {batch}; while read x; do echo 0.5; done'"]])
    local ours, told, other = table.unpack(r.results)
    assert.same({ "1 at 8", 0.5, 1 }, { told.name, told.median, told.threads })
    assert.same({ "other 8", "{threads}" }, { other.name, other.untold })
    assert.is_nil(other.threads)
    assert.same({ 1, 1, 1 }, { ours.ratio, ours.ratio_low, ours.ratio_high })
    assert.is_true(told.ratio_low <= told.ratio and told.ratio <= told.ratio_high and told.ratio > 1)
  end)

  it("train says in its report what was not told, which passes count and where the time goes", function()
    local text = output_of("train --model resnet8 --batch 8 --threads 1 --rounds 3 --seconds 0.1 --peer " ..
      [["sh -c 'echo other; while read x; do echo 0.5; done'"]])
    assert.matches("\nother +%? +500%.0 .* %d+%.%d%d %(%d+%.%d%d%-%d+%.%d%d%) ", text)
    assert.matches("\nother: its command lacks {threads} and {batch}, so it may do other work\n", text)
    assert.matches("%(1 forward pass, 1 data gradient, 1 weight gradient%)", text)
    assert.matches("\noptimizer +%d", text)
    assert.matches("\ndata +0%.00 +0%.0\n", text)
  end)

  it("train takes only numbers that make sense", function()
    for _, name in ipairs { "batch", "size", "threads", "rounds", "act-bits" } do
      for _, value in ipairs { "0", "2.5", "many" } do
        local said = "^trit bench train: %%-%%-%s must be a whole number >= 1, not %s; .*status 2\n$"
        assert.matches(said:format((name:gsub("%-", "%%-")), value),
          output_of(("train --%s %s"):format(name, value)))
      end
    end
    for _, name in ipairs { "seconds", "width" } do
      for _, value in ipairs { "0", "1e999", "many" } do
        local said = "^trit bench train: %%-%%-%s must be a number above 0, not %s; .*status 2\n$"
        assert.matches(said:format(name, value), output_of(("train --%s %s"):format(name, value)))
      end
    end
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
    assert.equal("bare decoder, 1 thread", r.results[2].name) -- on the files of shapes10
    assert.is_true(r.results[2].megapixels_per_second > 0 and r.results[1].ratio > 0)
  end)

  -- A peer that knows its residual and is started once for every number of threads.
  local PEER = [[--peer "sh -c 'printf \"half with %s\\tresidual 0.25\\n\" {threads}; ]] ..
    [[while read x; do echo 0.5; done'"]]

  local function check_limits(row)
    assert.is_true(row.limit == "multiply" or row.limit == "memory", row.limit)
    assert.is_true(row.share > 0 and row.share < 20, row.share)
  end

  it("infer measures networks, peers, numbers of threads and layers", function()
    local r = bench("infer --model resnet8 --size 16 --threads 1,2 --bits 0,8 --seconds 0.05 --layers " ..
      PEER)
    local names = {}
    for i, row in ipairs(r.rows) do
      names[i] = ("%s %d"):format(row.name:match("^[^,]+"), row.threads)
      assert.is_true(row.median > 0 and row.residual <= 0.25, row.residual)
      if row.threads == 2 then assert.is_true(not row.speedup == (row.name:match("^half") ~= nil)) end
    end
    assert.same({ "training graph 1", "packed 1", "packed 1", "half with 1 1", "training graph 2", "packed 2",
      "packed 2", "half with 2 2" }, names)
    assert.is_true(r.rows[2].memory > 5e6 and r.rows[2].memory < 80e6, r.rows[2].memory)
    assert.equal(0.25, r.rows[4].residual)
    assert.equal(1, r.rows[5].ratio) -- of the first with as many threads
    assert.is_true(r.rows[8].ratio_low <= r.rows[8].ratio and r.rows[8].ratio <= r.rows[8].ratio_high)
    assert.equal(4, #r.tables)
    for i, t in ipairs(r.tables) do
      assert.is_true(t.multiply > 0.1 and t.reading > 0.1)
      local bits, seconds = i % 2 == 0, 0
      for _, l in ipairs(t.layers) do
        check_limits(l)
        seconds = seconds + l.seconds
        assert.is_true(l.residual < (bits and 0.3 or 1e-4), l.residual)
        if l.kind == "conv" then assert.is_true(l.bytes_per_weight >= 0.2 and l.gmacs > 0) end
      end
      assert.is_true(seconds > 0)
      assert.is_true(t.layers[#t.layers].residual > 0)
    end
  end)

  it("linear measures layers beside float32 and peers", function()
    local r = bench("linear --rows 96 --columns 128 --batch 3 --threads 1,2 --seconds 0.02 " .. PEER)
    assert.equal(8, #r.results)
    assert.equal("half with 2", r.results[8].name)
    for i, row in ipairs(r.results) do
      assert.equal(i <= 4 and 1 or 2, row.threads)
      assert.is_true(row.residual <= 0.25)
      if row.bytes then check_limits(row) end
      assert.is_true(row.ratio_low <= row.ratio and row.ratio <= row.ratio_high)
      assert.is_nil(row.samples)
    end
    assert.is_true(r.results[2].bytes_per_weight < 0.5 and r.results[2].residual > 0)
    local pipe = io.popen(("'%s/trit' bench linear --rows 96 --columns 128 --seconds 0.02"):format(source))
    local text = pipe:read("a")
    pipe:close()
    assert.matches("candidate +threads +median us .* limit +of it +bytes/weight +residual\n", text)
    assert.matches("packed, u8 .* at most [%d.]+ G", text)
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

  it("ends with a sentence when a peer does not start or does not go on", function()
    for _, peer in ipairs { "false", "echo one; read x; echo 0.1" } do
      for _, name in ipairs { "train --model small --batch 4 --rounds 2", "linear --rows 32 --columns 32" } do
        local pipe = io.popen(("'%s/trit' bench %s --seconds 0.02 --peer '%s' --peer '%s' 2>&1"):format(
          source, name, "echo two; while read x; do echo 0.01; done", peer))
        local said = pipe:read("a")
        local _, how, code = pipe:close()
        assert.is_truthy(said:find(("peer '%s' ended"):format(peer), 1, true), said)
        assert.same({ "exit", 1 }, { how, code })
      end
    end
  end)

  it("an error while a peer runs ends the command, not by a crash", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write([[local m = require "trit.measure"
      m.peer "echo one; while read x; do echo 0.1; done"
      m.peer "false"
      error "stop here"]])
    file:close()
    local pipe = io.popen(("'%s/trit' lua '%s' 2>&1"):format(source, path))
    local said = pipe:read("a")
    local _, how, code = pipe:close()
    os.remove(path)
    assert.matches("stop here", said)
    assert.same({ "exit", 1 }, { how, code })
  end)

  it("names what it does not know", function()
    local text = output_of("train --quant nothing")
    assert.matches("%-%-quant is \"nothing\" but must be one of none, tga, tga%-joint, ttq, twn, wacv", text)
    assert.matches("status 1", text)
  end)
end)

describe("experiments/bench", function()
  local function script(words) return output_of(source .. "/experiments/bench/" .. words, "run") end

  it("growth.lua prints tables against batch, network and threads", function()
    local text = script("growth.lua --batches 1,2 --networks resnet8,resnet8:2 --batch 2 --threads 1 " ..
      "--rounds 1 --seconds 0.01")
    assert.matches("\n| resnet8, batch | 1 | 2 |\n| [-: |]+ |\n| images/s | %d+ | %d+ |", text)
    assert.matches("\n| batch 2: network | resnet8 | resnet8, x2 |\n.*\n| residual | %S+ | %S+ |", text)
    assert.matches("\n| resnet8, batch 2: threads | 1 |\n.*\nstatus 0\n$", text)
  end)

  it("busy.lua sets steps beside a busy process in relation to steps alone", function()
    local text = script("busy.lua --model small --batch 2 --rounds 1 --seconds 0.01")
    assert.matches("\nalone +%S+ ms a step, ratio 1%.00 ", text)
    assert.matches("\nbeside a busy process +%S+ ms a step, ratio %d", text)
    assert.matches("\nstatus 0\n$", text)
    assert.matches("known: .*this did not end well: .*status 1\n$", script "busy.lua --model none")
  end)
end)
