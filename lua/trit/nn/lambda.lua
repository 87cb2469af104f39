--- nn.lambda(fn): a function as a module, for sequences: nn.lambda(trit.relu).

local options = require "trit.options"
local Module = require "trit.nn.module"

local Lambda = Module.class("lambda")

function Lambda:init(fn)
  local meta = type(fn) ~= "function" and getmetatable(fn)
  if type(fn) ~= "function" and not (meta and meta.__call) then
    options.fail("lambda", "needs a function, got %s", type(fn))
  end
  self.fn = fn
end

function Lambda:forward(...) return self.fn(...) end

return Lambda
