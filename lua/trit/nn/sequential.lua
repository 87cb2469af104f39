--- nn.sequential { m1, m2, ... }: each applied to the last one's result.  Names count from 0, as
-- torchvision's do.

local options = require "trit.options"
local Module = require "trit.nn.module"

local Sequential = Module.class("sequential")

local function check(i, m)
  if not Module.is(m) then options.fail("sequential", "element %d is a %s, not a module", i, type(m)) end
  return m
end

function Sequential:init(list)
  options.check("sequential", list, {}, type(list) == "table" and #list or 0)
  self.length = 0
  for _, m in ipairs(list) do self:add(m) end
end

--- Append a module; returns the sequence.
function Sequential:add(m)
  self[tostring(self.length)] = check(self.length + 1, m)
  self.length = self.length + 1
  return self
end

function Sequential:forward(x)
  for i = 0, self.length - 1 do x = self[tostring(i)](x) end
  return x
end

return Sequential
