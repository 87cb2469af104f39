--- What a script declares, without running it: it is started and left at its trit.params.
local context = require "trit.context"
local core = require "trit.core"
local files = require "trit.sweep.files"

local discover = {}

local HASH_CHARS = 8 -- of the script's hash in the name of its copy

--- { path =, text =, hash =, files = { path -> hash } } of a script; nil and a sentence.
function discover.read(path)
  local file, why = io.open(path)
  if not file then return nil, "cannot open " .. why end
  file:close()
  local text = files.read(path)
  if not text then return nil, ("cannot read %s"):format(path) end
  local hash = core.hash(text)
  return { path = path, text = text, hash = hash, files = { [path] = hash } }
end

-- Calls watch(path) for every Lua file that runs while call() does, however it was found; those of trit
-- and of the system are left out.
local function watching(watch, call)
  local own = assert(package.searchpath("trit.cli.main", package.path)):match("^(.*/)cli/")
  debug.sethook(function()
    local chunk = debug.getinfo(2, "S")
    local path = chunk.what == "main" and chunk.source:match("^@(.*)")
    if path and path:sub(1, #own) ~= own and path:sub(1, 5) ~= "/usr/" then watch(path) end
  end, "c")
  call()
  debug.sethook()
end

-- The script's own modules are part of what it is: with any of them its hash changes.
local function add_modules(script)
  local hashes = {}
  for path, hash in pairs(script.files) do
    if path ~= script.path then hashes[#hashes + 1] = hash end
  end
  table.sort(hashes)
  if #hashes > 0 then script.hash = core.hash(script.hash .. table.concat(hashes)) end
end

--- One of the script's modules that is not as it was; nil when all are.
function discover.changed(script)
  for path, hash in pairs(script.files) do
    if path ~= script.path and core.hash(files.read(path) or "") ~= hash then return path end
  end
end

--- The options a script declares: name -> row of trit.params; nil and a sentence.
-- The modules it loads until then join script.files and script.hash.
function discover.declared(script)
  if not script.text:match("params") then -- it would run to its end
    return nil, ("%s declares no options with trit.params, so there is nothing to sweep"):format(script.path)
  end
  local found
  context.script, context.argv = script.path, {}
  context.on_params = function(declared)
    found = declared
    error({ exit = 0 })
  end
  local ok, failure
  watching(function(path)
    if not script.files[path] then script.files[path] = core.hash(files.read(path) or "") end
  end, function() ok, failure = require("trit.script").run(script.path) end)
  context.on_params = nil
  add_modules(script)
  if found then return found end
  if not ok then return nil, failure.message end
  return nil, ("%s declares no options with trit.params"):format(script.path)
end

--- The runs are made from a copy in the sweep's directory, so that the script may be edited meanwhile.
-- Returns its path; nil and a sentence.
function discover.copy(script, dir)
  local name = script.path:match("([^/]+)$")
  local place = ("%s/script-%s"):format(dir, script.hash:sub(1, HASH_CHARS))
  local path = place .. "/" .. name
  if files.read(path) == script.text then return path end
  local ok, why = files.make_directory(place)
  if ok then ok, why = files.write(path, script.text) end
  if not ok then return nil, why end
  return path
end

return discover
