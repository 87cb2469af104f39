--- What a piece of work could take at least on this processor, and which limit that is.
--
--   local roof = require("trit.roofline").measure()
--   local limit, seconds = roof:bound { macs = 1e8, bits = 8, bytes = 5e5, block = 3e6 }
--
-- Two limits, both measured just before and with the threads in use: "multiply" - multiply-adds at the rate
-- of the instructions for them (bits > 0: products of bytes; 0: float32) - and "memory" - every byte of
-- weights, input and result read once at the rate of reading a block of `block` bytes over and over,
-- which is that of the cache or memory the whole working set lies in.  Multiply-adds are those of the plain
-- sums: Winograd does with fewer and may pass 100 %.

local core = require "trit.core"

local Roof = {}
Roof.__index = Roof

local SECONDS = 0.15 -- of each measurement

--- Rates of this moment, 1e9 a second.
local function measure()
  return setmetatable({ products = core.peak_products(SECONDS), adds = core.peak_gflops(SECONDS) / 2,
    reading = {} }, Roof)
end

--- GB/s of reading `block` bytes again and again.
function Roof:rate(block)
  block = math.max(4096, math.tointeger(block // 1))
  self.reading[block] = self.reading[block] or core.peak_reading(SECONDS, block)
  return self.reading[block]
end

--- work: macs, bits, bytes, block.  Returns the limit's name and the least seconds.
function Roof:bound(work)
  local multiply = work.macs / ((work.bits > 0 and self.products or self.adds) * 1e9)
  local memory = work.bytes / (self:rate(work.block) * 1e9)
  if multiply >= memory then return "multiply", multiply end
  return "memory", memory
end

return { measure = measure }
