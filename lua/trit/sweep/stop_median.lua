--- Stop a run that is worse than half of the others were at the same epoch (Golovin et al. 2017, median
-- rule): its best value so far is below the median of theirs.
local median = { name = "median", doc = "worse than the median of the other runs at the same epoch" }

-- Best value up to and including epoch e; nil when the run has not come that far.
local function best_until(curve, e)
  local n = #curve.epoch
  if n == 0 or curve.epoch[n] < e then return nil end
  local best
  for i = 1, n do
    if curve.epoch[i] > e then break end
    local v = curve.value[i]
    if v == v and (not best or v > best) then best = v end
  end
  return best
end

local function median_of(list)
  table.sort(list)
  local m = #list // 2
  return #list % 2 == 1 and list[m + 1] or (list[m] + list[m + 1]) / 2
end

--- A sentence if the run is to be stopped.  o: from (first epoch judged), peers (fewest others);
-- mine, others: curves of which more is better.
function median.judge(o, mine, others)
  local e = mine.epoch[#mine.epoch]
  if not e or e < o.from then return nil end
  local values = {}
  for _, curve in ipairs(others) do values[#values + 1] = best_until(curve, e) end
  if #values < o.peers then return nil end
  local best, middle = best_until(mine, e), median_of(values)
  if best and best >= middle then return nil end
  return ("median rule: %.4g at epoch %g, the median of %d others is %.4g"):format(
    o.sign * (best or 0 / 0), e, #values, o.sign * middle)
end

return median
