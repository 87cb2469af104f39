-- Accuracy and zero share of a ternary ResNet-8 against where its thresholds start (init, a fraction of
-- max|w|), what they are centered on, and how fast they learn: He & Fan 2019, section 3.
--
-- TGA starts from float weights, trained once per seed and kept in --float for all points, or from
-- scratch.  With shapes10 a point takes about half a minute on one core, the float weights of a seed
-- a minute and a half:
--
--   ./trit sweep experiments/threshold_sweep.lua --init 0.02,0.05,0.1,0.2 --center all --seeds 3 --jobs 2
--   ./trit sweep experiments/threshold_sweep.lua --init 0.05..0.3 --lr_th log:1e-4..1e-1 \
--       --search halton --points 24 --stop asha --jobs 2

local trit = require "trit"
local once = require "trit.sweep.once"

local p = trit.params {
  data = { "shapes10", doc = "data set" },
  images = { 0, min = 0, doc = "use only so many training images; 0 for all" },
  init = { 0.05, min = 0, max = 1, doc = "initial threshold, fraction of max|w|" },
  center = { "mean", choices = { "mean", "zero" }, doc = "cuts at mu +- delta or at +- delta" },
  lr_th = { 0.001, min = 0, doc = "peak learning rate of the thresholds; 0 keeps them" },
  lr = { 0.02, min = 0, doc = "peak learning rate, then a cosine to 0" },
  epochs = { 2, min = 1, doc = "ternary passes over the training images" },
  start = { "float", choices = { "float", "scratch" }, doc = "weights to begin with" },
  float_epochs = { 8, min = 1, doc = "passes of the float network" },
  float_lr = { 0.1, min = 0, doc = "its peak learning rate" },
  float = { "runs/threshold_sweep/float", doc = "directory where float weights are kept" },
  seed = { 1, doc = "initial weights, order, augmentation" },
}

local data = trit.data.open(p.data, { batch = 128, augment = { "flip" }, limit = p.images, seed = p.seed })
local net = trit.models.resnet8 { classes = data.classes, seed = p.seed }

local function train(epochs, lr, options)
  options.model, options.data, options.epochs = net, data, epochs
  options.optimizer = trit.optim.sgd(net:parameters(),
    { lr = lr, momentum = 0.9, nesterov = true, weight_decay = 5e-4 })
  options.schedule = trit.schedule.cosine { epochs = epochs }
  return trit.train(options)
end

if p.start == "float" then
  local key = ("%s %d %d %g %d"):format(p.data, p.images, p.float_epochs, p.float_lr, p.seed)
  local dir = ("%s/%s"):format(p.float, trit.core.hash(key):sub(1, 12))
  local function find() return (trit.checkpoint.load(dir .. "/weights")) end
  local kept = once(dir .. "/weights", find, function()
    local float = train(p.float_epochs, p.float_lr, { out = dir, label = "float" })
    assert(trit.checkpoint.save(dir .. "/weights",
      { tensors = net:state_dict(), meta = { key = key, top1 = float.top1 } }))
  end)
  net:load_state_dict(kept.tensors)
  print(("float: top-1 %.2f %%"):format(100 * kept.meta.top1))
end

trit.quantize(net, { { ".*", trit.quant.tga { init = p.init, center = p.center } } })
local result = train(p.epochs, p.lr, { lr_th = p.lr_th, label = "tga" })
print(("tga: top-1 %.2f %%, zeros %.1f %%, %.0f s"):format(100 * result.top1, 100 * result.zeros,
  result.seconds))
