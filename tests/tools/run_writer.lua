-- Writes records until it is killed: lua run_writer.lua DIR [MOST_LAYERS [PAUSE]]
-- PAUSE: seconds between steps, default 0: as fast as it can.  New layers and late series keep
-- coming, so that kills fall into making groups as well as into appending.
local core = require "trit.core"
local runlog = require "trit.runlog"

local dir, most_layers, pause = arg[1], tonumber(arg[2]) or 60, tonumber(arg[3]) or 0
local most_steps = 100000
local log = assert(runlog.create(dir, { config = { seed = 1, script = "run_writer" }, shapiro = false }))
local w = core.randn({ 8, 8, 3, 3 }, { seed = 1 })
local step = 0
while step < most_steps do
  step = step + 1
  log:train { step = step, epoch = step / 100, loss = 1 / step, lr = 0.1 }
  if step % 3 == 0 then
    for layer = 1, math.min(4 + step // 10, most_layers) do
      log:layer(("layer%d.weight"):format(layer), {
        step = step, epoch = step / 100, weights = w, codes = w, threshold = 0.1, scale = 0.2,
      })
    end
    log:val { step = step, epoch = step / 100, top1 = 10, [("extra%d"):format(step // 30)] = 1 }
  end
  core.io_sleep(pause)
end
log:finish("complete")
