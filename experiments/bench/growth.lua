-- Cost as work grows: images a second, memory and residual of training steps against batch, depth and width,
-- and threads, in the form of experiments/bench/README.md.  About four minutes on two cores.
--
--   ./trit run experiments/bench/growth.lua [--threads N] [--batches 1,8,64] [--networks resnet20,resnet20:2]

local trit = require "trit"
local step = dofile((arg[0]:gsub("[^/]*$", "step.lua")))

local p = trit.params {
  batches = { "1,2,4,8,16,32,64,128,256", doc = "batches to try with the first network" },
  networks = { "resnet20,resnet20:2,resnet20:3,resnet20:4,resnet32,resnet44,resnet56,resnet110",
    doc = "networks, with :WIDTH where the channels are not the usual ones" },
  batch = { 128, min = 1, doc = "images a step where the batch is not what grows" },
  rounds = { 5, min = 1, doc = "measured rounds of a point" },
  seconds = { 2.0, min = 0.01, doc = "measured in a point" },
}

-- One table: a column per point, given by its title and what is different about it.
local function print_table(corner, points)
  local rows = { { corner }, { "---" }, { "images/s" }, { "RSS MiB" }, { "residual" } }
  for i, point in ipairs(points) do
    local r = step { model = point.model, width = point.width, batch = point.batch or p.batch,
      threads = point.threads or trit.threads(), rounds = p.rounds, seconds = p.seconds }
    rows[1][i + 1], rows[2][i + 1] = point.title, "---:"
    rows[3][i + 1] = ("%.0f"):format(r.images_per_second)
    rows[4][i + 1] = ("%.0f"):format(r.results[1].memory / 2 ^ 20)
    rows[5][i + 1] = ("%.0e"):format(r.residual)
  end
  for _, row in ipairs(rows) do print(("| %s |"):format(table.concat(row, " | "))) end
  print()
  io.stdout:flush()
end

local networks = {}
for name, width in p.networks:gmatch("([^,:]+):?([^,]*)") do
  networks[#networks + 1] = { title = name .. (width ~= "" and ", x" .. width or ""), model = name,
    width = tonumber(width) or 1 }
end
local first, batches, threads = networks[1], {}, {}
for batch in p.batches:gmatch("%d+") do
  batches[#batches + 1] = { title = batch, model = first.model, width = first.width, batch = tonumber(batch) }
end
for n = 1, trit.threads() do
  threads[n] = { title = tostring(n), model = first.model, width = first.width, threads = n }
end

print(("# %s, %s, threads: %d\n"):format(trit.core.cpu(), trit.core.isa(), trit.threads()))
print_table(first.title .. ", batch", batches)
print_table(("batch %d: network"):format(p.batch), networks)
print_table(("%s, batch %d: threads"):format(first.title, p.batch), threads)
