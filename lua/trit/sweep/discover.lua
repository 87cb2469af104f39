--- What a script declares, without running it: it is started and left at its trit.params.
local context = require "trit.context"
local core = require "trit.core"
local files = require "trit.sweep.files"

local discover = {}

local HASH_CHARS = 8 -- of the script's hash in the name of its copy

--- { path =, text =, hash = } of a script; nil and a sentence.
function discover.read(path)
  local text = files.read(path)
  if not text then return nil, ("cannot open %s"):format(path) end
  return { path = path, text = text, hash = core.hash(text) }
end

--- The options a script declares: name -> row of trit.params; nil and a sentence.
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
  local ok, failure = require("trit.script").run(script.path)
  context.on_params = nil
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
