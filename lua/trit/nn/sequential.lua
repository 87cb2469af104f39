--- nn.sequential { m1, m2, ... }: each applied to the last one's result.  Names count from 0, as
-- torchvision's do.

local Module = require "trit.nn.module"

local Sequential = Module.class("sequential")

function Sequential:init(list)
  self.length = #list
  for i, m in ipairs(list) do self[tostring(i - 1)] = m end
end

--- Append a module; returns the sequence.
function Sequential:add(m)
  self[tostring(self.length)] = m
  self.length = self.length + 1
  return self
end

function Sequential:forward(x)
  for i = 0, self.length - 1 do x = self[tostring(i)](x) end
  return x
end

return Sequential
