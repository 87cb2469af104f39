-- The comparison of methods as a table: ./trit lua experiments/methods/table.lua DIR
--
-- Reads every result.json below DIR (compare.lua leaves one in each run directory); degradation is against
-- the method `float` of the same seeds.  Spread is the standard deviation over seeds.

local trit = require "trit"

local rows = trit.methods.table(arg[1] or "runs/methods")
print(("%-24s %5s %14s %14s %7s %7s %6s %8s  %s"):format("method", "seeds", "top-1 last", "best", "degr.",
  "zeros", "bits", "s/epoch", "published degradation"))
for _, r in ipairs(rows) do
  print(("%-24s %5d %7.2f +-%5.2f %7.2f +-%5.2f %7s %6.1f%% %6.2f %8.1f  %s"):format(r.method, r.seeds,
    100 * r.top1.mean, 100 * r.top1.std, 100 * r.best.mean, 100 * r.best.std,
    r.degradation and ("%.2f"):format(100 * r.degradation) or "-", 100 * r.zeros, r.bits, r.epoch_seconds,
    r.published))
end
