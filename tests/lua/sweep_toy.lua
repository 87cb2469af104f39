-- What the tests of trit sweep share: a toy experiment, the command, a directory of their own.
local core = require "trit.core"
local lfs = require "lfs"
local uv = require "luv"

local toy = {}

local source = os.getenv("TRIT_SOURCE") or "."

-- top1 rises over the epochs to 1 - (init - 0.3)^2 - seed/100; finished runs leave a line in FINISHED.
toy.SCRIPT = [[
local trit = require "trit"
local context = require "trit.context"
local p = trit.params {
  init = { 0.05, min = 0, max = 1, doc = "threshold" }, lr = { 0.1 }, depth = { 1 },
  method = { "tga", choices = { "tga", "twn", "ttq" } },
  epochs = { 3 }, pause = { 0.0, doc = "seconds per epoch" },
  how = { "well", doc = "well, error, crash, hungry, deaf" }, seed = { 1 } }
if p.how == "deaf" then require("luv").new_signal():start("sigterm", function() end) end
local log = assert(trit.runlog.create(context.out, { config = { params = context.params } }))
local best, hoard = 1 - (p.init - 0.3) ^ 2 - p.seed / 100, {}
for e = 1, p.epochs do
  trit.core.io_sleep(p.pause)
  if p.how == "hungry" then hoard[e] = ("x"):rep(50000000) end
  log:val { step = e, epoch = e, top1 = best * e / p.epochs, loss = 1 - best, zeros = p.init,
    threads = trit.threads() }
end
if p.how == "error" and not io.open("MENDED") then error("the data ran out") end
if p.how == "crash" then require("luv").kill(require("luv").os_getpid(), "sigabrt") end
log:finish("complete")
context.run_dir = context.out
local file = assert(io.open("FINISHED", "a"))
file:write(context.out, "\n")
file:close()
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

function toy.read(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read("a")
  file:close()
  return text
end

--- A fresh directory with toy.lua in it.
function toy.directory()
  local dir = os.tmpname()
  os.remove(dir)
  assert(lfs.mkdir(dir))
  write(dir .. "/toy.lua", toy.SCRIPT)
  return dir
end

toy.write = write

function toy.remove(dir) os.execute(("rm -rf '%s'"):format(dir)) end

local function top()
  if source:sub(1, 1) == "/" then return source end
  return lfs.currentdir() .. "/" .. source
end

--- The command as text for sh.
function toy.command(words)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = "'" .. tostring(word):gsub("'", "'\\''") .. "'" end
  return ("'%s/trit' %s"):format(top(), table.concat(quoted, " "))
end

--- trit with arguments, in dir; env: "NAME=VALUE ..." in front; input: text for stdin.
-- Returns exit status, stdout, stderr.
function toy.trit(dir, words, env, input)
  write(dir .. "/.in", input or "")
  local _, how, code = os.execute(("cd '%s' && %s %s >.out 2>.err <.in"):format(dir, env or "",
    toy.command(words)))
  return how == "exit" and code or 128 + code, toy.read(dir .. "/.out"), toy.read(dir .. "/.err")
end

--- The same without waiting.  Returns { pid =, code =, kill = function (signal), wait = function }.
function toy.start(dir, words)
  local p = {}
  local log = assert(uv.fs_open(dir .. "/.log", "a", 420))
  p.handle, p.pid = uv.spawn(top() .. "/trit", { args = words, cwd = dir, stdio = { nil, log, log } },
    function(code, signal)
      p.code, p.signal = code, signal
      p.handle:close()
    end)
  uv.fs_close(log)
  assert(p.handle, p.pid)
  function p.kill(signal)
    uv.run("nowait")
    if not p.code then p.handle:kill(signal) end
  end
  function p.wait()
    while not p.code do uv.run("once") end
    return p.code
  end
  return p
end

--- Ask until condition() holds, at most `seconds`.
function toy.until_true(condition, seconds)
  for _ = 1, (seconds or 20) * 50 do
    uv.run("nowait")
    local value = condition()
    if value then return value end
    core.io_sleep(0.02)
  end
  return false
end

--- Names in a directory below dir, sorted.
function toy.list(dir)
  local names = {}
  if lfs.attributes(dir, "mode") ~= "directory" then return names end
  for name in lfs.dir(dir) do
    if name:sub(1, 1) ~= "." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

return toy
