-- A training of a few seconds, as a user's script has it: nothing in it knows of going on.
--   trit run tests/tools/short_run.lua --method tga --out DIR
local trit = require "trit"

local p = trit.params {
  method = { "tga", doc = "weight quantizer, or float" },
  accumulate = { 1, doc = "batches per update" },
  epochs = { 3, doc = "passes over the training images" },
  images = { 480, doc = "training images" },
  every = { 0, doc = "steps between checkpoints; 0: as usual" },
  pause = { 0.0, doc = "seconds of idle computing in each step" },
}

local data = trit.data.open(("shapes10:train=%d,test=80,size=16"):format(p.images),
  { batch = 16, augment = { "crop", "flip" }, seed = 5, workers = 3 })
local net = trit.models.resnet8 { classes = data.classes, seed = 1 }
if p.method ~= "float" then trit.quantize(net, { { ".*", trit.quant.create(p.method) } }) end
local optimizer = trit.optim.sgd(net:parameters(), { lr = 0.05, momentum = 0.9, weight_decay = 1e-4 })

local function pause()
  local finish = trit.core.io_clock() + p.pause
  while trit.core.io_clock() < finish do end
end

trit.train { model = net, data = data, optimizer = optimizer, lr_th = 0.01, epochs = p.epochs,
  accumulate = p.accumulate, schedule = trit.schedule.cosine { epochs = p.epochs },
  hooks = { step = pause }, checkpoint_every = p.every > 0 and { steps = p.every } or nil }
