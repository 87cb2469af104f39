-- The comparison of methods as a table: ./trit lua experiments/methods/table.lua DIR
--
-- Reads every result.json below DIR (compare.lua leaves one in each run directory); degradation is against
-- the method `float` of the same seeds.  Spread is the standard deviation over seeds.

local trit = require "trit"

-- Mean and spread in percent; one seed has no spread.
local function percent(x, seeds)
  if seeds == 1 then return ("%.2f"):format(100 * x.mean) end
  return ("%.2f +-%5.2f"):format(100 * x.mean, 100 * x.std)
end

local rows = trit.methods.table(arg[1] or "runs/methods")
print(("%-24s %5s %14s %14s %7s %7s %6s %8s  %s"):format("method", "seeds", "top-1 last", "best", "degr.",
  "zeros", "bits", "s/epoch", "published degradation"))
for _, r in ipairs(rows) do
  print(("%-24s %5d %14s %14s %7s %6.1f%% %6.2f %8.1f  %s"):format(r.method, r.seeds,
    percent(r.top1, r.seeds), percent(r.best, r.seeds),
    r.degradation and ("%.2f"):format(100 * r.degradation) or "-", 100 * r.zeros, r.bits, r.epoch_seconds,
    r.published))
end
