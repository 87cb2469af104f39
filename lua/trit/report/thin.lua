--- Making long series short enough to draw, without losing what the eye would see.
local thin = {}

local function is_number(v)
  return type(v) == "number" and v == v and v ~= math.huge and v ~= -math.huge
end

--- Means of `points` { { x, y }, ... } over at most `most` runs of neighbours; numbers only.
-- A curve of noisy values becomes their local mean; a short series stays as it is.
function thin.mean(points, most)
  local good = {}
  for _, p in ipairs(points) do
    if is_number(p[1]) and is_number(p[2]) then good[#good + 1] = p end
  end
  if #good <= most then return good end
  local out = {}
  for k = 1, most do
    local first, last = (k - 1) * #good // most + 1, k * #good // most
    local x, y = 0, 0
    for i = first, last do x, y = x + good[i][1], y + good[i][2] end
    out[k] = { x / (last - first + 1), y / (last - first + 1) }
  end
  return out
end

--- Places of at most `most` of n records, evenly spread, first and last among them.
function thin.places(n, most)
  local list = {}
  if n <= most then
    for i = 1, n do list[i] = i end
  elseif most == 1 then
    list[1] = n
  else
    for k = 0, most - 1 do list[k + 1] = 1 + (k * (n - 1) + (most - 1) // 2) // (most - 1) end
  end
  return list
end

--- Counts of equally wide bins joined to about `most` bins, equally wide too; their sum stays.
-- Returns counts, edges.
function thin.bins(counts, edges, most)
  local join, odd = math.ceil(#counts / most), #counts % 2
  if join == 1 then return counts, edges end
  -- Joined from the middle outwards, so that a symmetric histogram stays symmetric and the middle of
  -- a bin stays one: groups * join must be odd where the number of bins is.  The outermost may reach
  -- beyond the old edges, where nothing was counted.
  if odd == 1 and join % 2 == 0 then join = join + 1 end
  local groups = math.ceil(#counts / join)
  if (groups * join) % 2 ~= odd then groups = groups + 1 end
  local start = (#counts - groups * join) // 2
  local width, out, borders = (edges[#edges] - edges[1]) / #counts, {}, {}
  for g = 0, groups - 1 do
    local sum = 0
    for b = math.max(1, start + g * join + 1), math.min(#counts, start + (g + 1) * join) do
      sum = sum + counts[b]
    end
    out[g + 1] = sum
    borders[g + 1] = edges[1] + (start + g * join) * width
  end
  borders[groups + 1] = edges[1] + (start + groups * join) * width
  return out, borders
end

return thin
