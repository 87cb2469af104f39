-- What one busy foreign process costs a training step: steps alone and beside an endless loop, in turns.
-- About two minutes.
--
--   ./trit run experiments/bench/busy.lua [--model resnet20] [--batch 128] [--threads N]

local trit = require "trit"
local measure = require "trit.measure"
local uv = require "luv"
local step = dofile((arg[0]:gsub("[^/]*$", "step.lua")))

local p = trit.params {
  model = { "resnet20", doc = "network" },
  batch = { 128, min = 1, doc = "images a step" },
  rounds = { 5, min = 1, doc = "rounds, alone and beside the loop in each" },
  seconds = { 2.0, min = 0.01, doc = "measured in a round of each" },
}

local LOOP = "while kill -0 $PPID; do :; done" -- ends with us, should we be killed
local process

local function quiet()
  if process then process:kill("sigkill") end
  while process do uv.run("once") end
end

local function busy()
  quiet()
  process = assert(uv.spawn("/bin/sh", { args = { "-c", LOOP } }, function()
    process:close()
    process = nil
  end))
end

local function seconds()
  return step { model = p.model, batch = p.batch, threads = trit.threads(), rounds = 3,
    seconds = p.seconds }.results[1].median
end

local list = { { name = "alone", ready = quiet, run = seconds },
  { name = "beside a busy process", ready = busy, run = seconds } }
local ok, rows = pcall(measure.rounds, list, { rounds = p.rounds, seconds = 0 })
quiet()
if not ok then error(rows, 0) end
print(("# %s, batch %d, threads: %d; %s"):format(p.model, p.batch, trit.threads(), trit.core.cpu()))
for i, row in ipairs(rows) do
  measure.set_ratio(row, list[i], list[1])
  print(("%-22s %8.1f ms a step, ratio %s"):format(row.name, 1e3 * row.median, measure.ratio_text(row)))
end
