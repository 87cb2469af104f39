--- A threshold scan after training: accuracy and zeros as functions of the threshold, no training.
--
--     local result = scan.run { net = net, data = data, deltas = { 0.5, 0.6, 0.7 } }
--
-- At every delta the weights of the scanned layers are ternarized anew from the trained float
-- weights and the test images are evaluated.  A layer that has a quantizer keeps its rule and only
-- its threshold moves; a float layer takes the rule `scale`:
--
--   tga   cuts at mu +- delta, scale mu + sigma lambda(delta / sigma)   (He & Fan 2019)
--   twn   cuts at +- delta, scale mean(|w| : |w| > delta)               (Li & Liu 2016)
--
-- delta is in units of the layer's sigma (of each filter's where the quantizer works per filter), or of
-- the weights with unit = "weight".  Layers that are not scanned stay as they were trained.
local core = require "trit.core"
local quant = require "trit.quant"
local stats = require "trit.stats"

local scan = {}

local FALLBACK = { -- rule -> options of the trained-threshold quantizer that follows it
  tga = { scale = "one_sided", center = "mean" },
  twn = { scale = "sample_mean", center = "zero" },
}

-- A quantizer of the kind tga with its thresholds at `delta`: z sigma of each row, or absolute.
local function placed(options, weight, z, absolute)
  local all = { clip_sigma = "none" }
  for name, value in pairs(options) do
    if name ~= "clip_sigma" then all[name] = value end
  end
  local q = quant.create("tga", all)
  local rows, cuts = q:stats(weight), {}
  for r, row in ipairs(rows) do cuts[r] = { absolute or z * row.sigma } end
  q.delta:copy(core.tensor(cuts))
  return q
end

-- Two trained scales, the zone moves: t is a fraction of max|w|.
local function move_ttq(own, layer, z, absolute)
  local options = {}
  for name, value in pairs(own.options) do options[name] = value end
  options.sparsity, options.t = "none", math.min(1, (absolute or z * layer.sigma) / layer.max)
  return quant.create("ttq", options):load_state_dict(own:state_dict())
end

local function one_term(own, name)
  return own.options[name] == nil or tonumber(own.options[name]) == 1
end

-- Quantizer name -> function(own) -> mover, or nil and why it has no single threshold to move.
local movers = {
  tga = function(own)
    if not one_term(own, "n_thresholds") then return nil, "it has several thresholds" end
    return function(layer, z, absolute) return placed(own.options, layer.weight, z, absolute) end
  end,
  twn = function(own)
    local options = { scale = "sample_mean", center = "zero", granularity = own.options.granularity }
    return function(layer, z, absolute) return placed(options, layer.weight, z, absolute) end
  end,
  ttq = function(own)
    if own.options.granularity ~= "layer" then return nil, "its thresholds follow max|w| of each filter" end
    return function(layer, z, absolute) return move_ttq(own, layer, z, absolute) end
  end,
}
function movers.wacv(own)
  if not one_term(own, "t_ex") then return nil, "it has several thresholds" end
  return movers.twn(own)
end

-- What moves the threshold of a layer, and the name of the rule.
local function mover_of(name, module, scale)
  local own = rawget(module, "quantizer")
  if scale or not own then
    local options = FALLBACK[scale or "tga"]
    return function(layer, z, absolute) return placed(options, layer.weight, z, absolute) end,
      scale or "tga"
  end
  if not movers[own.name] then
    core.raise(("scan: layer '%s' has the quantizer %s, whose threshold the scan does not know; ask for " ..
      "the rule tga or twn instead"):format(name, own.name))
  end
  local mover, why = movers[own.name](own)
  if not mover then
    core.raise(("scan: layer '%s': the threshold of %s cannot be moved, %s; ask for the rule tga or twn " ..
      "instead"):format(name, own.name, why))
  end
  return mover, own.name
end

-- Trained threshold in sigma and share of zeros of a layer that has a quantizer.
local function trained_cut(module)
  local own = rawget(module, "quantizer")
  if not own then return nil end
  local row = own:stats(module.weight)[1]
  return row.delta and row.delta / row.sigma, row.delta, row.occupancy[2]
end

--- Layers of a net whose weight name contains `pattern` or matches it; all without one.
-- scale: nil (each layer's own rule, tga for float layers), "tga" or "twn".
function scan.layers(net, pattern, scale)
  local list = {}
  for name, module in net:quantizable() do
    if not pattern or name:find(pattern, 1, true) or name:find(pattern) then
      local m = stats.moments(module.weight)
      local mover, rule = mover_of(name, module, scale)
      local z, cut, zeros = trained_cut(module)
      list[#list + 1] = { name = name, module = module, weight = module.weight, mover = mover,
        rule = rule, mu = m.mean, sigma = m.std, max = math.max(-m.min, m.max), count = m.n,
        trained_sigma = z, trained_delta = cut, trained_zeros = zeros,
        quantizer = rawget(module, "quantizer") }
    end
  end
  return list
end

-- Zeros of the scanned layers and, as trit.train counts them, of the whole net; bits per weight.
local function sparsity(net, layers)
  local zeros, count = 0, 0
  for _, layer in ipairs(layers) do
    local q = rawget(layer.module, "quantizer")
    for _, row in ipairs(q and q:stats(layer.weight) or {}) do
      zeros = zeros + row.occupancy[2] * row.count
    end
    count = count + layer.count
  end
  local all, bits = require("trit.train").sparsity(net)
  return zeros / count, all, bits
end

local function batch_norms(net)
  local list = {}
  for _, m in net:named_modules() do
    if m.kind == "batch_norm" then
      list[#list + 1] = { module = m, mean = m.running_mean:clone(), var = m.running_var:clone() }
    end
  end
  return list
end

local function restore_statistics(norms)
  for _, n in ipairs(norms) do
    n.module.running_mean:copy(n.mean)
    n.module.running_var:copy(n.var)
  end
end

local function measure(o, layers)
  if o.batch_norm > 0 then -- of the moved net; the other layers stay in evaluation and keep what they have
    require("trit.schemes").reestimate_bn(o.net, o.data, { batches = o.batch_norm })
  end
  local v = require("trit.train").evaluate(o.net, o.data:test())
  local zeros, all, bits = sparsity(o.net, layers)
  return { top1 = v.top1, top5 = v.top5, loss = v.loss, images = v.count, zeros = zeros,
    net_zeros = all, bits = bits }
end

-- One point: the layers at delta, everything put back afterwards.
local function point(o, layers, delta)
  local absolute = o.unit == "weight" and delta or nil
  local cut, weights = 0, 0
  for _, layer in ipairs(layers) do
    rawset(layer.module, "quantizer", layer.mover(layer, delta, absolute))
    cut, weights = cut + (absolute or delta * layer.sigma) * layer.count, weights + layer.count
  end
  local result = measure(o, layers)
  for _, layer in ipairs(layers) do rawset(layer.module, "quantizer", layer.quantizer) end
  restore_statistics(o.norms)
  result.delta, result.cut = delta, cut / weights
  return result
end

local function describe(layer)
  return { name = layer.name, rule = layer.rule, weights = layer.count, mu = layer.mu,
    sigma = layer.sigma, trained_sigma = layer.trained_sigma, trained_delta = layer.trained_delta,
    trained_zeros = layer.trained_zeros }
end

--- Scan.
-- o: net, data, deltas (list of numbers >= 0); pattern, scale as for scan.layers; unit "sigma"
-- (default) or "weight"; each: every layer on its own instead of all together; batch_norm: training
-- batches from which the batch-norm statistics are taken anew at each point (default 0: as trained);
-- progress: function(done, total).
-- Returns { unit, each, layers, trained = point, points }; a point is { delta, cut (mean, in units of
-- the weights), top1, top5, loss, images, zeros (of the scanned layers), net_zeros, bits, layer }.
function scan.run(o)
  o = setmetatable({ unit = o.unit or "sigma", batch_norm = o.batch_norm or 0 }, { __index = o })
  local layers = scan.layers(o.net, o.pattern, o.scale)
  if #layers == 0 then
    local names = {}
    for name in o.net:quantizable() do names[#names + 1] = name end
    core.raise(("scan: no layer matches \"%s\"; there are: %s"):format(o.pattern, table.concat(names, ", ")))
  end
  o.norms = batch_norms(o.net)
  local result = { unit = o.unit, each = o.each or false, layers = {}, points = {} }
  for i, layer in ipairs(layers) do result.layers[i] = describe(layer) end
  local groups = o.each and {} or { layers }
  if o.each then
    for i, layer in ipairs(layers) do groups[i] = { layer } end
  end
  local done, total = 0, #groups * #o.deltas + 1
  local function told()
    done = done + 1
    if o.progress then o.progress(done, total) end
  end
  o.net:eval()
  result.trained = measure(setmetatable({ batch_norm = 0 }, { __index = o }), layers)
  told()
  for _, group in ipairs(groups) do
    for _, delta in ipairs(o.deltas) do
      local p = point(o, group, delta)
      p.layer = o.each and group[1].name or nil
      result.points[#result.points + 1] = p
      told()
    end
  end
  return result
end

return scan
