-- tier: slow
-- Every family of networks against the same network in PyTorch, in float64: names, logits, loss, every
-- gradient, running statistics, evaluation.  Needs a Python with torch: TRIT_PEER names its virtual
-- environment (default /opt/peer); without one the cases are skipped.  TRIT_PEER_SHOW=1 prints errors.
local trit = require "trit"
local json = require "trit.json"
local uv = require "luv"

local python = (os.getenv("TRIT_PEER") or "/opt/peer") .. "/bin/python"
local script = (os.getenv("TRIT_SOURCE") or ".") .. "/tests/peers/compare.py"

-- Relative to the largest value of the tensor compared; gradients to the 2-norm of all of them.  Float32
-- flips some ReLUs near 0, and batch norms over few values amplify that: how much is a matter of
-- the network, so the peer's own float32 error, times SLACK, is allowed where it is larger.
local LOGITS, LOSS, BUFFER, GRADIENT = 1e-4, 1e-5, 1e-4, 1e-4
local SLACK = 4

local cases = {
  { "lenet5", {}, 8 }, { "vgg7", { width = 16 }, 8 }, { "vgg_small", { width = 16 }, 8 },
  { "alexnet_bn", { size = 99, classes = 20 }, 8 }, { "resnet20", {}, 4 },
  { "resnet110", { width = 4 }, 4 }, { "resnet18", { size = 64 }, 4 }, { "resnet50", { size = 64 }, 4 },
  { "resnext50_32x4d", { size = 64 }, 4 }, { "resnext29_8x64d", { size = 16 }, 4 },
  { "densenet121", { size = 64 }, 4 }, { "densenet_bc_100_12", { size = 16 }, 4 },
  { "mobilenet_v2", { size = 96, dropout = 0 }, 4 },
  { "mobilenet_v2", { size = 64, dropout = 0, width = 0.35 }, 4 },
  { "inception_v3", { size = 139, dropout = 0, aux = false }, 4 },
  { "inception_v3", { size = 299, dropout = 0 }, 2 },
}

local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/trit-peer-XXXXXX"))

local function shell(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- What PyTorch makes of the network and the batch, by name.
local function reference(name, net, x, labels)
  local tensors = net:state_dict()
  tensors["test.x"], tensors["test.y"] = x, trit.tensor(labels)
  assert(trit.safetensors.save(dir .. "/in.safetensors", tensors))
  local f = assert(io.open(dir .. "/options.json", "w"))
  f:write(json.encode(net.model_options))
  f:close()
  local words = { python, "-B", script, name, dir .. "/options.json", dir .. "/in.safetensors",
    dir .. "/out.safetensors" }
  for i, w in ipairs(words) do words[i] = shell(w) end
  assert.is_true(os.execute(table.concat(words, " ")) == true, name .. ": the peer failed")
  return trit.safetensors.load(dir .. "/out.safetensors")
end

local function close(what, got, want, limit)
  local scale = math.max(want:abs():max():item(), 1e-30)
  local e = got:max_difference(want) / scale
  assert.is_true(e <= limit, ("%s is off by %.2g of its largest value, allowed %.2g"):format(what, e, limit))
end

--- The share of all gradients that differs: |got - want| / |want| over every parameter at once.
local function gradient_error(net, want)
  local difference, length, list = 0, 0, net:parameters()
  for i, p in ipairs(list) do
    local w = want["grad." .. list.names[i]]
    local d = p.grad - w
    difference = difference + (d * d):sum():item()
    length = length + (w * w):sum():item()
  end
  return math.sqrt(difference / length)
end

--- Weights that make every sum count: batch norm gains and shifts away from 1 and 0.
local function stir(net)
  local list, k = net:parameters(), 0
  for _, p in ipairs(list) do
    if #p:shape() == 1 then
      k = k + 1
      p:copy(p + trit.randn(p:shape(), { std = 0.1, seed = 1000 + k }))
    end
  end
end

local function compare(case)
  local name, options, batch = table.unpack(case)
  options.seed = 7
  local net = trit.models.create(name, options)
  trit.no_grad(stir, net)
  local input, labels, shifted = net.input_shape, {}, {}
  for i = 1, batch do
    labels[i] = (i * 7) % net.model_options.classes
    shifted[i] = labels[i] + 1
  end
  local x = trit.randn({ batch, table.unpack(input) }, { seed = 3 })
  local want = reference(name, net, x, labels)
  local peer = want.float32:totable()
  local logits_limit = math.max(LOGITS, SLACK * peer[2])
  local logits, aux = net:train()(x)
  close("logits", logits, want.logits, logits_limit)
  local y, smooth = trit.tensor(shifted), { label_smoothing = 0.1 }
  local loss = trit.cross_entropy(logits, y, smooth)
  assert.are.equal(want.aux ~= nil, aux ~= nil)
  if aux then
    close("auxiliary logits", aux, want.aux, logits_limit)
    loss = loss + trit.cross_entropy(aux, y, smooth) * net.aux_weight
  end
  close("loss", trit.reshape(loss, { shape = { 1 } }), want.loss, LOSS)
  loss:backward()
  local e, limit = gradient_error(net, want), math.max(GRADIENT, SLACK * peer[1])
  if os.getenv("TRIT_PEER_SHOW") then
    io.stderr:write(("%s: gradients off by %.2g, the peer's float32 by %.2g\n"):format(name, e, peer[1]))
  end
  assert.is_true(e <= limit, ("gradients are off by %.2g, allowed %.2g"):format(e, limit))
  for key, t in pairs(net:state_dict()) do
    if key:match("%.running_") then close(key, t, want["buffer." .. key], BUFFER) end
  end
  close("evaluation", trit.no_grad(net:eval(), x), want.eval, logits_limit)
end

describe("networks against PyTorch", function()
  teardown(function()
    for _, name in ipairs { "in.safetensors", "out.safetensors", "options.json" } do
      os.remove(dir .. "/" .. name)
    end
    os.remove(dir)
  end)

  if not uv.fs_stat(python) then
    pending(("there is no %s: the networks are not compared"):format(python))
    return
  end
  for _, case in ipairs(cases) do
    it(("agree for %s %s"):format(case[1], json.encode(case[2])), function() compare(case) end)
  end
end)
