--- What growth.lua and busy.lua share: one `trit bench train` in a process of its own, whose memory is then
-- its own too.  step { model =, width =, batch =, threads =, rounds =, seconds = } -> its JSON document.
local json = require "trit.json"

local root = arg[0]:match("^(.*)/experiments/bench/[^/]*$") or "."

return function(o)
  local command = ("'%s/trit' bench train --json --model '%s' --width %s --batch %d --threads %d " ..
    "--rounds %d --seconds %s"):format(root, o.model, o.width or 1, o.batch, o.threads, o.rounds, o.seconds)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  if not pipe:close() then error("this did not end well: " .. command, 0) end
  return json.decode(text)
end
