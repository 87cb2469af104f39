-- tier: full
-- The demo, with one epoch of each network: its table, its packed models, and that it goes on.
local source = os.getenv("TRIT_SOURCE") or "."

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

local dir = os.tmpname()
os.remove(dir)

-- The demo with more words, stopped after `seconds` if given -> exit status, what it wrote to both streams.
local function demo(more, seconds)
  local stop = seconds and (" & sleep %g; kill -TERM $!; wait $!"):format(seconds) or ""
  local pipe = io.popen(("%s/trit demo --epochs 1 --tune 1 --quiet --out %s %s 2>&1%s"):format(quote(source),
    quote(dir), more, stop))
  local text = pipe:read("a")
  local _, _, code = pipe:close()
  return code or 0, text
end

describe("trit demo", function()
  teardown(function() os.execute("rm -rf " .. quote(dir)) end)

  it("goes on with --resume, as it says when it is interrupted", function()
    local code, text = demo("", 2)
    assert.equal(75, code)
    assert.matches("trit demo: interrupted by SIGTERM .* with %-%-resume it goes on\n", text)
    code, text = demo("--resume")
    assert.equal(0, code, text)
    assert.matches("float' goes on after step %d", text)
    assert.matches("\nfloat +%d+%.%d%d%%", text)
    assert.matches("/tga/model%.trit: %d+ bytes; 0 of %d+ codes differ", text)
    assert.is_nil(require("lfs").attributes(dir .. "/float/before-1"))
  end)
end)
