-- One published method on one network, data set and budget; sweep it to compare all of them:
--
--   ./trit sweep experiments/methods/compare.lua --method all --seeds 3 --out runs/methods
--   ./trit lua experiments/methods/table.lua runs/methods
--
-- Methods that fine-tune float weights spend --pretrain of the --epochs on them, those from scratch and
-- `float` train for all of them.  The pretrained weights of a seed are made once and kept in --float for all
-- methods; --from takes those of a run directory instead and leaves all --epochs to the method.

local trit = require "trit"

local p = trit.params {
  method = { "twn", doc = "method", choices = trit.methods.list() },
  data = { "shapes10", doc = "data set" },
  model = { "resnet8", doc = "network" },
  epochs = { 20, min = 1, doc = "passes over the training images, pretraining included" },
  pretrain = { 14, min = 0, doc = "of these in float, for methods that start from trained weights" },
  from = { "", doc = "run directory whose float weights to start from instead of pretraining" },
  float = { "runs/methods/float", doc = "directory where pretrained weights are kept" },
  batch = { 128, min = 1, doc = "images per step" },
  augment = { "flip", doc = "augmentation steps, joined by +" },
  lr = { 0.1, min = 0, doc = "peak learning rate, then a cosine to 0; methods scale it" },
  weight_decay = { 5e-4, min = 0, doc = "L2" },
  max_steps = { 0, min = 0, doc = "stop after so many steps (smoke runs); 0: do not" },
  seed = { 1, doc = "initial weights, order, augmentation" },
}

local augment = {}
for step in p.augment:gmatch("[^+]+") do augment[#augment + 1] = step end
local key = trit.core.hash(table.concat({ p.data, p.model, p.pretrain, p.batch, p.augment, p.lr,
  p.weight_decay, p.max_steps, p.seed }, " ")):sub(1, 12)
local data = trit.data.open(p.data, { batch = p.batch, augment = augment, seed = p.seed })
local result, net = trit.methods.train(p.method, {
  model = function() return trit.models.create(p.model, { classes = data.classes, seed = p.seed }) end,
  data = data, epochs = p.epochs, pretrain = p.pretrain, lr = p.lr, weight_decay = p.weight_decay,
  from = p.from ~= "" and assert(trit.checkpoint.load(p.from)).tensors or nil, seed = p.seed,
  kept = p.float .. "/" .. key, max_steps = p.max_steps > 0 and p.max_steps or nil })

trit.checkpoint.save(result.dir, { tensors = net:state_dict(), meta = { method = p.method,
  model = p.model, counters = net:counters_dict() } })
trit.methods.save(result, { model = p.model, data = p.data, epochs = p.epochs, seed = p.seed })
print(("%s: top-1 %.2f %% (best %.2f %%), zeros %.1f %%, %.2f bits, %.1f s an epoch"):format(p.method,
  100 * result.top1, 100 * result.best_top1, 100 * result.zeros, result.bits, result.epoch_seconds))
