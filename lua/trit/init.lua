--- trit: neural networks with ternary weights.
-- `require "trit"` gives one table: tensors and ops directly, the rest as lazily loaded parts
-- (trit.nn, trit.models, trit.quant, trit.optim, trit.schedule, trit.data, trit.train, trit.h5 ...).
-- No global is set.

local core = require "trit.core"

local trit = {
  core = core,
  version = core.version,
  tensor = core.tensor,
  zeros = core.zeros,
  ones = core.ones,
  randn = core.randn,
  rand = core.rand,
  threads = core.threads,
}

-- Parts loaded on first use: name -> module.
local parts = {
  trained = "trit.trained", report = "trit.report",
  nn = "trit.nn", models = "trit.models", quant = "trit.quant", optim = "trit.optim",
  schedule = "trit.schedule", data = "trit.data", h5 = "trit.h5", runlog = "trit.runlog",
  checkpoint = "trit.checkpoint", stats = "trit.stats", safetensors = "trit.safetensors",
  infer = "trit.infer", onnx = "trit.onnx", npy = "trit.npy", act = "trit.act",
  methods = "trit.methods", schemes = "trit.schemes",
}
local functions = { -- name -> { module, field }
  train = { "trit.train", "train" }, evaluate = { "trit.train", "evaluate" },
  params = { "trit.params", "declare" }, quantize = { "trit.quantize", "quantize" },
  quantize_activations = { "trit.act", "quantize" }, fn = { "trit.fn", "fn" },
  help = { "trit.help", "help" }, summary = { "trit.summary", "summary" },
}

setmetatable(trit, {
  __index = function(t, key)
    local value
    if core.ops[key] then
      value = core.ops[key]
    elseif parts[key] then
      value = require "trit.strict"(require(parts[key]), "trit." .. key)
    elseif functions[key] then
      value = require(functions[key][1])[functions[key][2]]
    else
      error(("trit has no field %q"):format(tostring(key)), 2)
    end
    rawset(t, key, value)
    return value
  end,
})

--- Every op is also a method: x:relu(), x:sum{ axes = {1} }.  Tensor methods come first.
for name, op in pairs(core.ops) do
  if not core.methods[name] then core.methods[name] = op end
end

--- Arithmetic: x + y, x - 1, 2 * x, x / y, -x.
local meta = debug.getregistry()["trit.tensor"]
meta.__add, meta.__sub, meta.__mul, meta.__div =
  core.ops.add, core.ops.sub, core.ops.mul, core.ops.div
meta.__unm = function(x) return core.ops.neg(x) end -- Lua hands the operand over twice

local grad_mode = {
  __close = function(self) core.grad_enabled(self.old) end,
}

--- Run `fn(...)` without recording gradients; returns what it returns.
function trit.no_grad(fn, ...)
  local guard <close> = setmetatable({ old = core.grad_enabled(false) }, grad_mode)
  return fn(...)
end

--- Loss of class scores against labels 1..C: trit.cross_entropy(logits [N,C], labels [N]
-- [, { label_smoothing = }]) -> scalar.  It is the op of that name.

--- Memory of the core in bytes: { live, peak, cached }.
function trit.memory() return core.memory() end

return trit
