--- The histograms of layers, in as much detail as the report has room for.
--
--     local plan = detail.plan(data, room, cost)        -- { bins, records, runs = set of keys }
--     local h = detail.read(run, layer, plan)           -- { counts, edges, x, low, high } or nil
--
-- counts: rows of counts, one per record kept; x: their epochs; low, high: the cuts, or false.
local runfile = require "trit.runfile"
local thin = require "trit.report.thin"

local detail = {}

-- Steps of detail, best first.
local LADDER = {
  { bins = 101, records = 24 }, { bins = 101, records = 12 }, { bins = 51, records = 12 },
  { bins = 51, records = 8 }, { bins = 35, records = 8 }, { bins = 35, records = 5 },
  { bins = 21, records = 5 }, { bins = 21, records = 3 },
}

--- The runs worth a picture when there is no room for all: the front, then by accuracy.
function detail.ranked(data)
  local list = table.move(data.runs, 1, #data.runs, 1, {})
  local place = {}
  for i, run in ipairs(list) do place[run] = i end
  table.sort(list, function(a, b)
    if a.front ~= b.front then return a.front end
    local x, y = a.top1 or -1, b.top1 or -1
    if x ~= y then return x > y end
    return place[a] < place[b]
  end)
  return list
end

--- How much of the histograms fits into `room` bytes.
-- cost(step): bytes of one layer's pictures at a step of detail, on average.
-- Returns { bins, records, runs = keys of the runs that are drawn, left_out = number of the others }.
function detail.plan(data, room, cost)
  local layers = 0
  for _, run in ipairs(data.runs) do layers = layers + #run.layers end
  local chosen, bytes
  for _, step in ipairs(LADDER) do
    chosen, bytes = step, cost(step)
    if layers * bytes <= room then break end
  end
  local plan = { bins = chosen.bins, records = chosen.records, runs = {}, left_out = 0 }
  local used = 0
  for i, run in ipairs(detail.ranked(data)) do
    used = used + #run.layers * bytes
    if used <= room or i == 1 then
      plan.runs[run.key] = true
    else
      plan.left_out = plan.left_out + 1
    end
  end
  return plan
end

-- The layer's record that was written at a step.
local function record_at(layer, step)
  for i = layer.n, 1, -1 do
    if layer.step[i] == step then return i end
  end
end

--- Histograms of a layer of a run, or nil when there are none.
function detail.read(run, layer, plan)
  local file = runfile.open(run.dir)
  local hist = file and file:series("layers/" .. layer.name .. "/hist")
  if not hist or hist.n == 0 or not hist.edges then return nil end
  local out = { counts = {}, x = {}, low = {}, high = {} }
  for _, k in ipairs(thin.places(hist.n, plan.records)) do
    local counts, edges = thin.bins(hist.counts[k], hist.edges, plan.bins)
    local record = record_at(layer, hist.step[k])
    local place = #out.counts + 1
    out.counts[place], out.edges = counts, edges
    out.x[place] = record and layer.x[record] or k
    out.low[place] = record and layer.low and layer.low[record] or false
    out.high[place] = record and layer.high and layer.high[record] or false
    out.weights = hist.under[k] + hist.over[k]
    for _, c in ipairs(hist.counts[k]) do out.weights = out.weights + c end
  end
  return out
end

return detail
