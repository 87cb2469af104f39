--- nn.lambda(fn): a function as a module, for sequences: nn.lambda(trit.relu).

local Module = require "trit.nn.module"

local Lambda = Module.class("lambda")

function Lambda:init(fn) self.fn = fn end
function Lambda:forward(...) return self.fn(...) end

return Lambda
