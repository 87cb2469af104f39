-- tier: slow
-- Our safetensors files in the library of that name, and its files here.  Needs a Python with
-- safetensors and numpy: TRIT_INTEROP names its virtual environment (default /opt/interop).
local trit = require "trit"
local uv = require "luv"

local python = (os.getenv("TRIT_INTEROP") or "/opt/interop") .. "/bin/python -B"
local script = (os.getenv("TRIT_SOURCE") or ".") .. "/tests/peers/safetensors_check.py"

describe("safetensors and its own library", function()
  if os.execute(python .. " -c 'import safetensors, numpy' 2>/dev/null") ~= true then
    pending("there is no Python with safetensors and numpy: not compared")
    return
  end

  local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/trit-safetensors-XXXXXX"))
  teardown(function()
    os.remove(dir .. "/in")
    os.remove(dir .. "/out")
    os.remove(dir)
  end)

  it("agree on a network", function()
    local state = trit.models.resnet8 { seed = 2 }:state_dict()
    assert(trit.safetensors.save(dir .. "/in", state, { metadata = { format = "pt" } }))
    local pipe = assert(io.popen(("%s %s %s/in %s/out"):format(python, script, dir, dir)))
    local seen = 0
    for line in pipe:lines() do
      local name, kind, shape, sum = line:match("^(%S+) (%S+) (%S+) (%S+)$")
      local t = state[name]
      seen = seen + 1
      assert.are.equal("float32", kind)
      assert.are.equal(table.concat(t:shape(), "x"), shape)
      local allowed = 1e-4 * (1 + trit.sum(t:abs()):item()) -- our sum is in float32
      assert.is_true(math.abs(trit.sum(t):item() - tonumber(sum)) <= allowed, name)
    end
    assert.is_true(pipe:close())
    local count = 0
    for _ in pairs(state) do count = count + 1 end
    assert.are.equal(count, seen)
    local back = trit.safetensors.load(dir .. "/out")
    for name, t in pairs(state) do assert.is_true(t:equal(back[name]), name) end
    assert.are.same({ 1.5, -2, 65504, 2 ^ -24 }, back["extra.half"]:totable())
    assert.are.same({ 1, 0 }, back["extra.flags"]:totable())
    assert.are.equal(7, back["extra.count"]:item())
    assert.are.same({ 2, 1 }, back["extra.double"]:shape())
  end)
end)
