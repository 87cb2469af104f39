-- tier: slow
-- Exported networks in onnx (its checker and reference implementation) and onnxruntime.  Needs a Python
-- with onnx, onnxruntime and safetensors: TRIT_INTEROP names its virtual environment (default
-- /opt/interop).
local trit = require "trit"
local core = require "trit.core"
local uv = require "luv"

local python = (os.getenv("TRIT_INTEROP") or "/opt/interop") .. "/bin/python -B"
local script = (os.getenv("TRIT_SOURCE") or ".") .. "/tests/peers/onnx_check.py"

local TOLERANCE = 1e-5 -- of the largest logit: float32 in another order

local cases = { -- network, options, quantizer, its options, weights, types of constants, who must run it
  { "resnet8", { size = 16 }, nil, nil, "float", "FLOAT,INT64", "runtime" },
  { "resnet8", { size = 16 }, "tga", {}, "int8", "FLOAT,INT64,INT8", "runtime" },
  { "resnet8", { size = 16 }, "tga", { granularity = "filter" }, "int2", "FLOAT,INT2,INT64", "reference" },
  { "resnet18", { size = 64, classes = 10 }, "wacv", { t_ex = 2 }, "int2", "FLOAT,INT2", "reference" },
  { "vgg7", { size = 16, width = 8 }, "twn", {}, "int2", "FLOAT,INT2", "reference" },
  { "vgg7", { size = 16, width = 8 }, "ttq", {}, "int8", "FLOAT,INT8", "runtime" },
  { "lenet5", {}, "twn", { granularity = "filter" }, "int8", "FLOAT,INT8", "runtime" },
  { "densenet_bc_40_12", { size = 16 }, "twn", {}, "int2", "FLOAT,INT2", "reference" },
  { "mobilenet_v2", { size = 64 }, "twn", { granularity = "filter" }, "int2", "FLOAT,INT2", "reference" },
  { "inception_v3", { size = 75, aux = false, classes = 10 }, nil, nil, "float", "FLOAT", "runtime" },
}

describe("onnx export", function()
  if not core.onnx_model(8, 17, "x") then
    pending(select(2, core.onnx_model(8, 17, "x")))
    return
  end
  if os.execute(python .. " -c 'import onnx, onnxruntime, safetensors' 2>/dev/null") ~= true then
    pending("there is no Python with onnx, onnxruntime and safetensors: not compared")
    return
  end

  local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/trit-onnx-XXXXXX"))
  teardown(function()
    for _, name in ipairs { "net.onnx", "in", "out" } do os.remove(dir .. "/" .. name) end
    os.remove(dir)
  end)

  --- Running statistics that matter, as after a training.
  local function stir(net)
    for name, t in pairs(net:state_dict()) do
      local seed = #name
      if name:match("running_mean$") then t:copy(trit.randn(t:shape(), { std = 0.1, seed = seed })) end
      if name:match("running_var$") then
        t:copy(trit.rand(t:shape(), { min = 0.5, max = 1.5, seed = seed }))
      end
    end
  end

  for _, c in ipairs(cases) do
    local name, options, method, given, weights, types, who = table.unpack(c, 1, 7)
    it(("computes what the network does: %s %s %s"):format(name, method or "float", weights), function()
      local net = trit.models.create(name, options):eval()
      stir(net)
      if method then trit.quantize(net, { { ".*", trit.quant.create(method, given) } }) end
      assert(trit.onnx.save(dir .. "/net.onnx", net, { weights = weights }))
      local x = trit.randn({ 2, table.unpack(net.input_shape) }, { seed = 1 })
      assert(trit.safetensors.save(dir .. "/in", { x = x }))
      local words = ("%s %s %s/net.onnx %s/in %s/out 2>&1"):format(python, script, dir, dir, dir)
      local pipe = assert(io.popen(words))
      local said = pipe:read("a")
      assert.is_true(pipe:close(), said)
      assert.are.equal(types, said:match("types (%S+)"), said)
      local results, y = trit.safetensors.load(dir .. "/out"), trit.no_grad(net, x)
      assert.is_truthy(results[who], said)
      for by, got in pairs(results) do
        local e = y:max_difference(got) / y:abs():max():item()
        assert.is_true(e <= TOLERANCE, ("%s is off by %.2g"):format(by, e))
      end
    end)
  end
end)
