--- k-bit gradients of DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160).  The layer's output y passes
-- unchanged; dL/dy is quantized before it goes on into the layer: per sample, M = max|g|, N = 2^k - 1,
--   f = 2M (round(N clip(g/(2M) + 1/2 + xi/N, 0, 1))/N - 1/2),  xi ~ U(-1/2, 1/2).
-- Unbiased away from the extremes; a sample without gradient stays so.  Draws are a function of (seed,
-- layer, number of the backward pass).

local core = require "trit.core"
local fn = require "trit.fn"
local act = require "trit.act"

local ops = core.ops
local STREAM_QUANT = 5
local SEEDS = 2 ^ 20 -- draws told apart within one seed and layer
local LAYERS = 256 -- streams of the core are fewer; layers take multiples of it

--- The quantized gradient for given noise xi, shaped like g.
local function quantize(g, bits, xi)
  local shape, n = g:shape(), 2 ^ bits - 1
  local flat = ops.reshape(g, { shape = { shape[1], g:numel() // shape[1] } })
  local top = flat:abs():max { axis = 2, keepdims = true }
  local safe = ops.where(top:gt(0), top, top + 1)
  local noise = ops.reshape(xi, { shape = flat:shape() })
  local unit = (flat / (safe * 2) + 0.5 + noise / n):clamp { min = 0, max = 1 }
  local f = (act.round(unit * n) / n - 0.5) * (top * 2)
  return ops.reshape(f, { shape = shape })
end

--- Give a quantizer of activations its count of draws, and pass(y), whose gradient is quantized.
local function give_pass(self, bits, seed)
  self:buffer("draws", core.zeros { 1 })
  local function backward(_, g)
    local draw = self.draws:item()
    self.draws:fill(draw + 1)
    local number = math.tointeger(seed * SEEDS + draw % SEEDS)
    local stream = STREAM_QUANT + LAYERS * (rawget(self, "salt") or 0)
    return quantize(g, bits, core.rand(g:shape(), { seed = number, stream = stream, min = -0.5, max = 0.5 }))
  end
  self.pass = fn.fn { name = "dorefa_gradient", forward = function(_, y) return y * 1 end,
    backward = backward }
end

--- A layer's output y on its way out: as it is, where no gradient will come back.
local function output(self, _, y) return core.grad_enabled() and self.pass(y) or y end

local SEED = { 0, min = 0, max = 1e6, doc = "of the noise" }

local kind = act.define { name = "dorefa_gradient",
  doc = "y = x; dL/dx is dL/dy in 2^bits levels of every sample's range, rounded at random  " ..
    "(arXiv:1606.06160)",
  options = { bits = { 6, min = 1, max = 16, doc = "bits of a gradient" }, seed = SEED },
  init = function(self) give_pass(self, self.options.bits, self.options.seed) end,
  forward = function(_, x) return x end,
  output = output }
kind.quantize, kind.give_pass, kind.output, kind.seed = quantize, give_pass, output, SEED
return kind
