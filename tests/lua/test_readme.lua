-- tier: full
-- The README's Lua runs as it stands there.
local source = os.getenv("TRIT_SOURCE") or "."

local function readme()
  local file = assert(io.open(source .. "/README.md"))
  local text = file:read("a")
  file:close()
  return text
end

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

--- Lua blocks of the README by the word their first line holds.
local function block(word)
  for code in readme():gmatch("```lua\n(.-)```") do
    if code:match("^[^\n]*" .. word) then return code end
  end
  error("no Lua block of the README begins with " .. word)
end

describe("README", function()
  local dir = os.tmpname()
  os.remove(dir)

  setup(function() assert(require("lfs").mkdir(dir)) end)
  teardown(function() os.execute("rm -rf " .. quote(dir)) end)

  it("has an experiment of about thirty lines that runs and logs", function()
    local code = block("threshold.lua")
    local _, lines = code:gsub("\n", "")
    assert.is_true(lines <= 32, lines .. " lines")
    local file = assert(io.open(dir .. "/threshold.lua", "w"))
    file:write(code)
    file:close()
    local pipe = io.popen(("%s/trit run %s --epochs 1 --quiet --out %s"):format(quote(source),
      quote(dir .. "/threshold.lua"), quote(dir .. "/run")))
    local out = pipe:read("a")
    assert.is_true((pipe:close()))
    assert.matches("layer1%.0%.conv1%S* +threshold %d", out)
    assert.matches("\ntop%-1 %d+%.%d+ %%, zeros %d+%.%d %%\n", out)
    assert.equal(dir .. "/run", out:match("([^\n]*)\n$"))
    local run <close> = assert(require("trit").h5.open(dir .. "/run/run.h5")) -- luacheck: ignore
    assert.equal("complete", run:attr("", "status"))
  end)

  it("has a quantizer whose output is the one it shows", function()
    local file = assert(io.open(dir .. "/percentile.lua", "w"))
    file:write(block("percentile.lua"))
    file:close()
    local pipe = io.popen(("%s/trit lua %s"):format(quote(source), quote(dir .. "/percentile.lua")))
    local out = pipe:read("a")
    assert.is_true((pipe:close()))
    assert.equal(readme():match("%$ %./trit lua percentile%.lua\n(.-)```"), out)
  end)

  it("looks only at runs that its commands made", function()
    local made = { ["runs/demo"] = true }
    for code in readme():gmatch("```sh\n(.-)```") do
      for run in code:gmatch("%-%-out (runs/%w+)") do made[run] = true end
      for run in code:gmatch("runs/%w+") do assert.is_true(made[run], run) end
    end
  end)

  it("names only commands, models and quantizers that exist", function()
    for name in readme():gmatch("`%./trit (%l+)") do
      local file = name == "help" and "main" or name
      assert.is_truthy(require("lfs").attributes(("%s/lua/trit/cli/%s.lua"):format(source, file)), name)
    end
    for path in readme():gmatch("`([%l_]+/[%w_/%.]*)`") do
      local ours = path:match("^core/") or path:match("^lua/") or path:match("^tests/")
        or path:match("^bindings/") or path:match("^experiments/")
      if ours and not path:match("NAME") then
        assert.is_truthy(require("lfs").attributes(source .. "/" .. path), path)
      end
    end
  end)
end)
