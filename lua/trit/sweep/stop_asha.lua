--- Asynchronous successive halving (Li et al. 2020, ASHA) over epochs: rungs at from, from*factor,
-- from*factor^2, ...  A run that reaches a rung goes on if it is among the best 1/factor of those that
-- have reached it, and stops there otherwise.  The first factor-1 to arrive go on.  A stopped run goes on
-- later if it has come to be among the best of its rung.
local asha = { name = "asha", doc = "not among the best 1/factor of the runs at a rung of epochs" }

-- Number and epoch of the highest rung the curve has reached; 0 when none.
local function rung_of(o, curve)
  local last, k, epoch = curve.epoch[#curve.epoch] or 0, 0, o.from
  while epoch <= last do
    k, epoch = k + 1, epoch * o.factor
  end
  return k, epoch / o.factor
end

-- Value at the first record that is not before epoch e.
local function value_at(curve, e)
  for i, epoch in ipairs(curve.epoch) do
    if epoch >= e then return curve.value[i] end
  end
end

-- Is `mine` among the best at the rung's epoch?  Also its rank and the number of runs there.
local function qualifies(o, mine, others, epoch)
  local v, count, rank = value_at(mine, epoch), 1, 1
  for _, curve in ipairs(others) do
    local other = value_at(curve, epoch)
    if other then
      count = count + 1
      if other > v or v ~= v then rank = rank + 1 end
    end
  end
  return count < o.factor or rank <= count // o.factor, rank, count
end

--- What is remembered of a run that starts at the end of `mine`: rungs it has passed are not judged again.
function asha.memory(o, mine)
  return { rung = rung_of(o, mine) }
end

--- A sentence if the run is to be stopped.  o: from (first rung), factor; mine, others: curves of which
-- more is better.
function asha.judge(o, mine, others, memory)
  local k, epoch = rung_of(o, mine)
  if k <= memory.rung then return nil end
  memory.rung = k
  local good, rank, count = qualifies(o, mine, others, epoch)
  if good then return nil end
  return ("successive halving: place %d of %d at epoch %d, %d go on"):format(rank, count, epoch,
    count // o.factor)
end

--- May a run that was stopped go on?
function asha.promote(o, mine, others)
  local k, epoch = rung_of(o, mine)
  if k == 0 then return false end
  local good, _, count = qualifies(o, mine, others, epoch)
  return good and count >= o.factor
end

return asha
