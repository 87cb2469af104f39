-- Every op against float64 reference values, forward and backward.
local trit = require "trit"
local golden = require "tests.lua.golden"

-- Largest error relative to the expected tensor's magnitude, as the reference's README suggests:
-- sums of many products 1e-5 (1e-4 where convolution takes Winograd), everything else 1e-6.
local PRODUCTS = { conv2d = true, linear = true, matmul = true, batch_norm = true }
local function tolerance(op) return PRODUCTS[op] and 1e-5 or 1e-6 end

-- The reference's names -> ours.
local OPS = {
  batch_norm_train = { "batch_norm", { training = true } },
  batch_norm_eval = { "batch_norm", { training = false } },
  softmax_cross_entropy = { "cross_entropy" },
  softmax_cross_entropy_soft = { "cross_entropy_soft" },
}
local OPERANDS = { beta = "bias", gamma = "weight" }
local LATER = { distillation = "the distillation loss is not part of this release" }
local FROM_ONE = { axis = true, axes = true } -- the reference counts axes from 0, Lua from 1

-- Lists come back as tables, numbers as numbers.
local function from_one(v)
  if type(v) == "number" then return v + 1 end
  local t = {}
  for i, a in ipairs(v) do t[i] = a + 1 end
  return t
end

local function options(info, attrs, preset)
  local o = {}
  for _, p in ipairs(info.params) do
    local v = attrs[p.name]
    if v ~= nil then o[p.name] = FROM_ONE[p.name] and from_one(v) or v end
    if p.choices == "false=0|true=1" and v ~= nil then o[p.name] = v ~= 0 and v ~= false end
    if preset and preset[p.name] ~= nil then o[p.name] = preset[p.name] end
  end
  return o
end

-- Inputs by our operand names; labels count from 1.
local function read_inputs(f, case)
  local inputs = {}
  for _, name in ipairs(f:list(case .. "/in")) do
    local t = f:read(case .. "/in/" .. name)
    if name == "labels" then t = t + 1 end
    inputs[OPERANDS[name] or name] = t
  end
  return inputs
end

local function operand_list(info, inputs)
  local list, names, n = {}, {}, 0
  for name in info.operands:gmatch("[^,]+") do
    local plain = name:gsub("[?.]", "")
    if name:find("...", 1, true) then
      for i = 0, 15 do
        if not inputs[plain .. i] then break end
        n = n + 1
        list[n], names[n] = inputs[plain .. i], plain .. i
      end
    else
      n = n + 1
      list[n], names[n] = inputs[plain], plain
    end
  end
  return list, names, n
end

-- Differences above the tolerance, as text.
local function compare(f, case, op, results)
  local bad = {}
  for _, name in ipairs(f:list(case .. "/out")) do
    local path = case .. "/out/" .. name
    local got = results[name]
    if not got then
      bad[#bad + 1] = name .. " is missing"
    else
      local want = f:read_numbers(path)
      local e = golden.error(got, want, f:attr(path, "scale"))
      if not (e <= tolerance(op)) then
        bad[#bad + 1] = ("%s is off by %.2g, allowed %.2g"):format(name, e, tolerance(op))
      end
    end
  end
  return table.concat(bad, "; ")
end

local function run(f, case, attrs)
  local map = OPS[attrs.op] or { attrs.op }
  local info = trit.core.op_info(map[1])
  assert(info, "no op " .. map[1])
  local inputs = read_inputs(f, case)
  local list, names, n = operand_list(info, inputs)
  local differentiable = f:exists(case .. "/out/grad_" .. names[1])
    or f:exists(case .. "/out/grad_x")
  for i = 1, n do
    local golden_name = names[i]
    for theirs, ours in pairs(OPERANDS) do
      if ours == golden_name and f:exists(case .. "/in/" .. theirs) then golden_name = theirs end
    end
    names[i] = golden_name
    if list[i] and f:exists(case .. "/out/grad_" .. golden_name) then list[i]:requires_grad(true) end
  end
  list[n + 1] = options(info, attrs, map[2])
  local y = trit.core.ops[map[1]](table.unpack(list, 1, n + 1))
  local results = { y = y, running_mean = inputs.running_mean, running_var = inputs.running_var }
  if differentiable then
    local g = inputs.grad_y
    if g and #y:shape() ~= #g:shape() then g = trit.reshape(g, { shape = y:shape() }) end
    y:backward(g)
    for i = 1, n do
      if list[i] and list[i].grad then results["grad_" .. names[i]] = list[i].grad end
    end
  end
  return compare(f, case, map[1], results)
end

describe("reference values of ops", function()
  local f, why = golden.open("ops.h5")
  if not f then
    pending(why)
    return
  end
  for _, case in ipairs(f:list("")) do
    local attrs = f:attrs(case)
    if LATER[attrs.op] then
      pending(case .. ": " .. LATER[attrs.op])
    else
      it(case, function() assert.equal("", run(f, case, attrs)) end)
    end
  end
end)
