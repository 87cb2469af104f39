-- tier: fast
-- The command: exit statuses, sentences, streams, the user's line in errors.
local source = os.getenv("TRIT_SOURCE") or "."

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

--- Run trit with arguments; returns exit status, stdout, stderr.
local function trit(...)
  local words = {}
  for i, word in ipairs { ... } do words[i] = quote(word) end
  local out, err = os.tmpname(), os.tmpname()
  local _, how, code = os.execute(("%s/trit %s >%s 2>%s </dev/null"):format(quote(source),
    table.concat(words, " "), out, err))
  local result = { how == "exit" and code or 128 + code, read(out), read(err) }
  os.remove(out)
  os.remove(err)
  return table.unpack(result)
end

local script_path = os.tmpname()
local function script(text)
  local file = assert(io.open(script_path, "w"))
  file:write(text)
  file:close()
  return script_path
end

local name_of = script_path:gsub("%p", "%%%0")

describe("trit", function()
  teardown(function() os.remove(script_path) end)

  it("prints its version", function()
    local code, out = trit("--version")
    assert.equal(0, code)
    assert.matches("^trit %d+%.%d+%.%d+\n$", out)
  end)

  it("lists every command under --help, on stdout", function()
    local code, out, err = trit("--help")
    assert.equal(0, code)
    assert.equal("", err)
    for file in require("lfs").dir(source .. "/lua/trit/cli") do
      local name = file:match("^(%l+)%.lua$")
      if name and name ~= "main" then assert.matches("\n  " .. name .. " ", out) end
    end
  end)

  it("ends run with status 75 when a signal comes before a training", function()
    for _, name in ipairs { "sigterm", "sigusr1", "sigint" } do
      local code, _, err = trit("run", script(([[
        local uv = require "luv"
        uv.kill(uv.os_getpid(), "%s")
        for _ = 1, 1e9 do end]]):format(name)))
      assert.equal(75, code, name)
      assert.matches("interrupted", err)
    end
  end)

  it("ends run with status 75 when a signal comes after the last training, or at its end", function()
    for _, place in ipairs { "trit.train(options)\nkill()",
      "options.hooks.epoch = kill\ntrit.train(options)" } do
      local code, _, err = trit("run", script(([[
        local trit, uv = require "trit", require "luv"
        local function kill() uv.kill(uv.os_getpid(), "sigterm") end
        local data = trit.data.open("shapes10", { batch = 8, limit = 8 })
        local net = trit.models.small { classes = 10 }
        local options = { model = net, data = data, epochs = 1, hooks = {},
          optimizer = trit.optim.sgd(net:parameters(), { lr = 0.1 }) }
        %s
        for _ = 1, 1e9 do end]]):format(place)), "--out", script_path .. ".run")
      os.execute(("rm -rf '%s.run'"):format(script_path))
      assert.equal(75, code, place)
      assert.matches("interrupted by SIGTERM", err)
    end
  end)

  it("does not say a command's name twice", function()
    local code, _, err = trit("run", script([[error({ exit = 1, message = "run: no such thing" })]]))
    assert.equal(1, code)
    assert.equal("trit run: no such thing\n", err)
  end)

  it("answers --help after every command", function()
    for file in require("lfs").dir(source .. "/lua/trit/cli") do
      local name = file:match("^(%l+)%.lua$")
      if name and name ~= "main" then
        local code, out, err = trit(name, "--help")
        assert.equal(0, code, name)
        assert.matches("Usage: trit " .. name, out)
        assert.equal("", err)
      end
    end
  end)

  it("gives a command's help after the word help", function()
    local code, out, err = trit("help", "sweep")
    assert.equal(0, code)
    assert.equal("", err)
    assert.equal(select(2, trit("sweep", "--help")), out)
    assert.equal(select(2, trit("data", "make", "--help")), (select(2, trit("help", "data", "make"))))
    assert.equal(select(2, trit("--help")), (select(2, trit("help"))))
    code, out, err = trit("help", "docter")
    assert.equal(2, code)
    assert.equal("", out)
    assert.equal('trit: unknown command "docter"; did you mean doctor?\n', err)
  end)

  it("names the option that takes a number, and the command that was meant", function()
    for _, case in ipairs {
      { "option %-%-size takes a whole number, not \"abc\"", "summary", "resnet18", "--size", "abc" },
      { "option %-%-epochs takes a whole number, not \"2.5\"", "demo", "--epochs", "2.5" },
      { "option %-%-limit takes a [%a ]*number, not \"x\"", "eval", "net.trit", "--limit", "x" },
      { "option %-j takes a whole number, not \"x\"", "test", "-j", "x" },
    } do
      local code, out, err = trit(table.unpack(case, 2))
      assert.equal(2, code)
      assert.equal("", out)
      assert.matches(("^trit %s: %s; see trit %s %%-%%-help\n$"):format(case[2], case[1], case[2]), err)
    end
    local code, _, err = trit("data", "make", "shapes10", "--train", "x")
    assert.equal(2, code)
    assert.equal('trit data make: option --train takes a whole number, not "x"; ' ..
      "see trit data make --help\n", err)
    code, _, err = trit("data", "ls", "nosuch")
    assert.equal(1, code)
    assert.matches("^trit data ls: ", err)
  end)

  it("without a command is a usage error", function() assert.equal(2, (trit())) end)

  it("proposes the nearest command", function()
    local code, out, err = trit("docter")
    assert.equal(2, code)
    assert.equal("", out)
    assert.equal('trit: unknown command "docter"; did you mean doctor?\n', err)
  end)

  it("does not take its own files for commands", function()
    for _, word in ipairs { "main", "../cli/lua", "lua.lua" } do
      local code, _, err = trit(word)
      assert.equal(2, code)
      assert.matches("unknown command", err)
    end
  end)

  it("refuses unknown options with status 2", function()
    for _, words in ipairs { { "--nonsense" }, { "doctor", "--nonsense" }, { "lua", "--nonsense" },
      { "test", "faster" } } do
      local code, out, err = trit(table.unpack(words))
      assert.equal(2, code)
      assert.equal("", out)
      assert.matches("^trit[^\n]*\n$", err)
    end
  end)
end)

describe("trit lua", function()
  it("runs a script with its arguments", function()
    local code, out = trit("lua", script 'print(arg[0] ~= nil, arg[2], require("trit").version, ...)',
      "--flag", "two words")
    assert.equal(0, code)
    assert.matches("^true\ttwo words\t%d[%d.]+\t%-%-flag\ttwo words\n$", out)
  end)

  it("gives the script's exit status", function() assert.equal(7, (trit("lua", script "os.exit(7)"))) end)

  it("names the line of an error, without inner traceback", function()
    local code, out, err = trit("lua", script "local x = nil\nprint('before')\nx.y = 1")
    assert.equal(1, code)
    assert.equal("before\n", out)
    assert.matches("^trit lua: " .. name_of .. ":3: attempt to index[^\n]*\n$", err)
  end)

  it("names the user's line when an op refuses its operands", function()
    local code, _, err = trit("lua", script [[
local trit = require "trit"
local x = trit.zeros { 2, 3 }
local function inner()
  return trit.add(x, trit.zeros { 4, 5 }) + 1
end
inner()]])
    assert.equal(1, code)
    assert.matches("^trit lua: " .. name_of .. ":4: add: ", err)
    assert.matches("%[2,3%]", err)
    assert.matches("%[4,5%]", err)
  end)

  it("names the user's line when the Lua half raises", function()
    local code, _, err = trit("lua", script "local trit = require 'trit'\n\nreturn trit.no_such_part")
    assert.equal(1, code)
    assert.matches("^trit lua: " .. name_of .. ":3: trit has no field", err)
  end)

  it("fails when memory has run out", function()
    if (os.getenv("LD_PRELOAD") or ""):match("asan") then return end -- its shadow needs more
    local path = script "local t = {}\nfor i = 1, 99 do t[i] = ('x'):rep(100000000) end"
    local pipe = io.popen(("ulimit -d 1000000; %s/trit lua %s 2>&1; echo $?"):format(quote(source), path))
    assert.equal("trit lua: not enough memory\n1\n", pipe:read("a"))
    pipe:close()
  end)

  it("shows a traceback when asked", function()
    local path = script "error('here')"
    local _, _, err = trit("lua", path)
    assert.not_matches("traceback", err)
    local pipe = io.popen(("TRIT_TRACE=1 %s/trit lua %s 2>&1"):format(quote(source), path))
    assert.matches("stack traceback", pipe:read("a"))
    pipe:close()
  end)

  it("reports a syntax error at its line", function()
    local code, _, err = trit("lua", script "local a = 1\nlocal = 2")
    assert.equal(1, code)
    assert.matches("^trit lua: " .. name_of .. ":2: ", err)
  end)

  it("reports a missing file", function()
    local code, _, err = trit("lua", "no/such.lua")
    assert.equal(1, code)
    assert.equal("trit lua: cannot open no/such.lua: No such file or directory\n", err)
  end)

  it("reports errors that are no strings", function()
    local code, _, err = trit("lua", script [[
local mine = { __tostring = function() return "mine" end }
error(setmetatable({}, mine))]])
    assert.equal(1, code)
    assert.equal("trit lua: mine\n", err)
  end)
end)

describe("trit run", function()
  local PARAMS = [[
local trit = require "trit"
local p = trit.params {
  delta = { 0.05, min = 0, max = 1, doc = "threshold" }, epochs = { 3 }, fast = { false } }
print(p.delta, p.epochs, p.fast)
]]

  it("gives the script its options", function()
    local code, out = trit("run", script(PARAMS), "--delta", "0.1", "--epochs=7", "--fast")
    assert.equal(0, code)
    assert.equal("0.1\t7\ttrue\n", out)
    code, out = trit("run", "--fast", "false", script(PARAMS))
    assert.equal(0, code)
    assert.equal("0.05\t3\tfalse\n", out)
  end)

  it("lists the script's options under --help", function()
    local code, out, err = trit("run", script(PARAMS), "--help")
    assert.equal(0, code)
    assert.matches("%-%-delta +threshold %(0 to 1%) +%[default: 0.05%]", out)
    assert.equal("", err)
  end)

  it("refuses bad options with status 2 and one sentence", function()
    for _, words in ipairs { { "--nonsense", "1" }, { "--delta", "much" }, { "--delta", "2" },
      { "--epochs", "1.5" }, { "--threads", "0" }, { "--delta", "1", "--delta", "1" }, { "--resume" },
      { "--out" }, { "-x" } } do
      local code, out, err = trit("run", script(PARAMS), table.unpack(words))
      assert.equal(2, code, table.concat(words, " "))
      assert.equal("", out)
      assert.matches("^trit run: [^\n]*option[^\n]*\n$", (err:gsub("%-%-resume needs", "option %0")))
    end
  end)

  it("says that an option's value was forgotten, and what values it takes", function()
    local forgotten = script [[require("trit").params { epochs = { 1 }, name = { "" }, fast = { false } }]]
    for _, option in ipairs { "epochs", "name", "threads" } do
      local code, _, err = trit("run", forgotten, "--" .. option)
      assert.equal(2, code)
      assert.matches("^trit run: option %-%-" .. option .. " needs a value[^\n]*\n$", err)
    end
    assert.equal(0, (trit("run", forgotten, "--fast")))
    local code, _, err = trit("run", forgotten, "--threads", "1000")
    assert.equal(2, code)
    assert.matches("^trit run: option %-%-threads is 1000 but must lie in %[1, 256%]; see ", err)
    local _, out = trit("run", script [[require("trit").params {
      a = { 1, min = 0, max = 3, doc = "A" }, b = { 1, min = 0, doc = "B" }, c = { 1, max = 2, doc = "C" },
      d = { "", doc = "D" } }]], "--help")
    assert.matches("%-%-a +A %(0 to 3%)  %[default: 1%]", out)
    assert.matches("%-%-b +B %(from 0%)  %[default: 1%]", out)
    assert.matches("%-%-c +C %(up to 2%)  %[default: 1%]", out)
    assert.matches('%-%-d +D  %[default: ""%]', out)
  end)

  it("refuses options of a script that declares none", function()
    local code, _, err = trit("run", script "local x = 1", "--delta", "1")
    assert.equal(2, code)
    assert.matches("declares no options", err)
  end)

  it("without a script is a usage error", function()
    local code, _, err = trit("run")
    assert.equal(2, code)
    assert.equal("trit run: no script is named; see trit run --help\n", err)
  end)

  it("fails with status 1 when the script fails", function()
    local code, _, err = trit("run", script(PARAMS .. "error('the data ran out')"))
    assert.equal(1, code)
    assert.matches("^trit run: " .. name_of .. ":5: the data ran out\n$", err)
  end)

  it("ends stdout with the run directory", function()
    local code, out = trit("run", script [[
print("a result")
require("trit.context").run_dir = "runs/x"]])
    assert.equal(0, code)
    assert.equal("a result\nruns/x\n", out)
  end)

  it("passes an interruption on as status 75", function()
    assert.equal(75, (trit("run", script "error({ exit = 75, message = 'stopped at step 3' })")))
  end)

  it("sets the threads", function()
    local code, out = trit("run", script "print(require('trit').threads())", "--threads", "3")
    assert.equal(0, code)
    assert.equal("3\n", out)
  end)
end)

describe("the launcher", function()
  it("says in one sentence that it cannot build where it may not write", function()
    local pipe = io.popen(("env -u TRIT_NO_BUILD TRIT_BUILD=/proc %s/trit --version 2>&1; echo $?"):format(
      quote(source)))
    local text = pipe:read("a")
    pipe:close()
    assert.matches("^trit: cannot write to /proc to build there; [^\n]*\n1\n$", text)
  end)
end)

describe("experiments/cifar10/resnet20.lua", function()
  it("says what is wrong with --from", function()
    local cache = os.tmpname()
    os.remove(cache)
    local command = "TRIT_CACHE=%s %s/trit run %s/experiments/cifar10/resnet20.lua "
      .. "--data shapes10:train=64,test=32,size=16 --from /nowhere 2>&1; echo $?; rm -rf %s"
    local pipe = io.popen(command:format(cache, quote(source), quote(source), cache))
    local text = pipe:read("a")
    pipe:close()
    assert.matches("no such file or directory: '/nowhere'\n1\n$", text)
  end)
end)

describe("trit doctor", function()
  it("passes its own checks and prints one JSON document", function()
    local code, out = trit("doctor", "--json")
    local answer = require("dkjson").decode(out)
    assert.equal(0, code)
    assert.is_true(answer.ok)
    for _, row in ipairs(answer.checks) do assert.matches("^%a+$", row.status) end
  end)

  it("fails on an instruction set that is not there", function()
    local pipe = io.popen(("TRIT_ISA=mmx %s/trit doctor 2>&1; echo $?"):format(quote(source)))
    local text = pipe:read("a")
    pipe:close()
    assert.equal(1, select(2, text:gsub("TRIT_ISA=mmx: expected generic, avx2 or avx512", "")))
    assert.matches("\nfail  random numbers   as version\n", text)
    assert.matches("\n1\n$", text)
  end)
end)

describe("trit test", function()
  it("runs the tier full unless told otherwise", function()
    local code, out = trit("test", "--list")
    assert.equal(0, code)
    assert.matches("lua%.test_cli\n", out)
    assert.matches("asan%.build\n", out)
    code, out = trit("test", "fast", "--list")
    assert.equal(0, code)
    assert.matches("lua%.test_cli\n", out)
    assert.not_matches("asan", out)
  end)

  it("selects by pattern", function()
    local code, out = trit("test", "full", "-k", "^lint$", "--list")
    assert.equal(0, code)
    assert.matches("Total Tests: 1\n", out)
  end)
end)
