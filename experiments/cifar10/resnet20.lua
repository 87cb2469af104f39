-- ResNet-20 on CIFAR-10: float, TGA from the float weights, TGA or another ternarizer from scratch.
-- He & Fan 2019; schedule in the spirit of He & Gong 2019, shortened by --epochs.
--
--   ./trit run experiments/cifar10/resnet20.lua --data folder:DIR --out runs/cifar10/float
--   ./trit run experiments/cifar10/resnet20.lua --data folder:DIR --method tga \
--       --from runs/cifar10/float --lr 0.02 --out runs/cifar10/tga
--   ./trit run experiments/cifar10/resnet20.lua --data folder:DIR --method tga --out runs/cifar10/scratch

local trit = require "trit"

local p = trit.params {
  data = { "folder:datasets/cifar10", doc = "data set: class folders or the binary version" },
  model = { "resnet20", doc = "network" },
  method = { "float", doc = "weight quantizer", choices = { "float", "tga", "wacv", "twn", "ttq" } },
  from = { "", doc = "run directory whose float weights to start from" },
  epochs = { 10, min = 1, doc = "passes over the training images" },
  batch = { 128, min = 1, doc = "images per step" },
  lr = { 0.1, min = 0, doc = "peak learning rate: one warm-up epoch, then a cosine to 0" },
  lr_th = { 0.001, min = 0, doc = "threshold learning rate (the author's code: the same as lr)" },
  weight_decay = { 5e-4, min = 0, doc = "L2, not on thresholds" },
  mode = { "sequential", doc = "TGA schedule", choices = { "sequential", "joint", "alternate" } },
  seed = { 1, doc = "initial weights, order, augmentation" },
}

local data = trit.data.open(p.data, { batch = p.batch, augment = { "crop", "flip" }, seed = p.seed })
local net = trit.models.create(p.model, { classes = data.classes, seed = p.seed })
if p.from ~= "" then net:load_state_dict(assert(trit.checkpoint.load(p.from)).tensors) end
if p.method ~= "float" then trit.quantize(net, { { ".*", trit.quant.create(p.method) } }) end

local optimizer = trit.optim.sgd(net:parameters(),
  { lr = p.lr, momentum = 0.9, nesterov = true, weight_decay = p.weight_decay })
local schedule = trit.schedule.warmup { epochs = 1,
  after = trit.schedule.cosine { epochs = p.epochs - 1 } }

local result = trit.train { model = net, data = data, optimizer = optimizer, schedule = schedule,
  epochs = p.epochs, lr_th = p.lr_th, schedule_mode = p.mode, label = p.method }
print(("%s: top-1 %.2f %% (best %.2f %%), zeros %.1f %%, %.2f bits, %.0f s"):format(p.method,
  100 * result.top1, 100 * result.best_top1, 100 * result.zeros, result.bits, result.seconds))
