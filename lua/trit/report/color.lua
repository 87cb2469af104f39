--- Colours of the runs: a few get one each; many share a ramp along an option or a result.
--
--     local scheme = color.scheme(data)      -- { style = CSS, name, choices = list or nil, low, high }
--
-- The ramp --q1 .. --q9 and the separate colours --s1 .. --s8 are in page.css, for both themes.
local color = {}

color.STEPS = 9    -- of the ramp
local SEPARATE = 8 -- runs that get a colour of their own

local function is_number(v) return type(v) == "number" and v == v end

-- Steps 1..9 for every run by the rank of its value, so that unevenly spaced options stay apart.
local function by_rank(data, get)
  local seen, order = {}, {}
  for _, run in ipairs(data.runs) do
    local v = get(run)
    if is_number(v) and not seen[v] then
      seen[v] = true
      order[#order + 1] = v
    end
  end
  if #order < 2 then return nil end
  table.sort(order)
  local step = {}
  for i, v in ipairs(order) do
    step[v] = 1 + math.floor((i - 1) / (#order - 1) * (color.STEPS - 1) + 0.5)
  end
  local out = {}
  for _, run in ipairs(data.runs) do
    local v = get(run)
    out[run.key] = is_number(v) and step[v] or 0
  end
  return out, order[1], order[#order], #order
end

local function choice(data, name, title, get, format)
  local steps, low, high, count = by_rank(data, get)
  if not steps then return nil end
  return { name = name, title = title, steps = steps, low = format:format(low), high = format:format(high),
    count = count }
end

local function choices_of(data)
  local list = {}
  for _, name in ipairs(data.varied) do
    list[#list + 1] = choice(data, "p." .. name, name, function(run) return run.params[name] end, "%.4g")
  end
  list[#list + 1] = choice(data, "top1", "top-1", function(run) return run.top1 end, "%.4f")
  list[#list + 1] = choice(data, "zeros", "zeros", function(run) return run.zeros end, "%.4f")
  return list
end

-- The option with the most values that is not a seed; results only when no option will do.
local function preferred(list)
  local best
  for _, c in ipairs(list) do
    local option = c.name:match("^p%.") and c.name ~= "p.seed"
    if option and (not best or c.count > best.count) then best = c end
  end
  return best or list[1]
end

local function separate(data)
  local rules = {}
  for i, run in ipairs(data.runs) do
    rules[i] = (".%s{--c:var(--s%d)}"):format(run.key, (i - 1) % SEPARATE + 1)
  end
  return { style = table.concat(rules, "\n") .. "\n" }
end

function color.scheme(data)
  if #data.runs <= SEPARATE then return separate(data) end
  local list = choices_of(data)
  local first = preferred(list)
  if not first then return separate(data) end
  local rules = {}
  for i, run in ipairs(data.runs) do
    local step = first.steps[run.key]
    rules[i] = (".%s{--c:var(--%s)}"):format(run.key, step > 0 and "q" .. step or "muted")
  end
  return { style = table.concat(rules, "\n") .. "\n", name = first.name, choices = list, low = first.low,
    high = first.high }
end

return color
