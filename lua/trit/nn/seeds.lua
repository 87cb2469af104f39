--- nn.seeds(seed): a function that gives one layer after the other its seed, so that no two layers of
-- a network draw the same numbers and two networks of one seed are alike.

local STRIDE = 1000 -- room for that many layers before the next seed's begin

return function(seed)
  local last = (seed or 0) * STRIDE
  return function()
    last = last + 1
    return last
  end
end
