--- What a network computes, as a list: one pass in evaluation mode with a hook on every op.
--
--   trace.run(net, { 3, 32, 32 }) -> { input = x, output = y, records = { record, ... } }
--
-- A record is { op =, out =, inputs = { tensor or nil ... n = }, options =, shape = of out }.  Weights
-- that a quantizer made carry a record too: layers[tensor] = { name =, module = }.

local core = require "trit.core"
local weight = require "trit.nn.weight"

local trace = {}

local function shape_text(t) return table.concat(t:shape(), ",") end

--- Runs `fn` with everything put back in order afterwards, also on failure.
local function with_hooks(hook, effective, fn)
  local old_effective, old_grad = weight.effective, core.grad_enabled(false)
  local old_hook = core.op_hook(hook)
  weight.effective = effective
  local ok, result = pcall(fn)
  core.op_hook(old_hook)
  weight.effective = old_effective
  core.grad_enabled(old_grad)
  if not ok then error(result, 0) end
  return result
end

--- Everything that `net` does to one image of `shape` {C,H,W}.
function trace.run(net, shape)
  local names, layers, records, in_layer = {}, {}, {}, false
  for name, module in net:quantizable() do names[module] = name end
  local x = core.zeros({ 1, shape[1], shape[2], shape[3] })
  local function hook(op, out, options, ...)
    if in_layer then return end -- a quantizer written in Lua is made of ops, too
    records[#records + 1] = { op = op, out = out, options = options, inputs = table.pack(...),
      shape = out:shape() }
  end
  local effective = weight.effective
  local was_training = net.training
  net:eval()
  local output = with_hooks(hook, function(module)
    in_layer = true
    local w = effective(module)
    in_layer = false
    w:keep() -- the packing looks at it after the pass
    layers[w] = { name = names[module], module = module }
    return w, nil
  end, function() return net(x) end)
  if was_training then net:train() end
  if type(output) ~= "userdata" then
    error("export: the network returns a " .. type(output) .. ", not one tensor", 0)
  end
  return { input = x, output = output, records = records, layers = layers,
    output_text = "[" .. shape_text(output) .. "]" }
end

return trace
