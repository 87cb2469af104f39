--- Reference values for tests: where they are, and comparing with the stated tolerances.
--
-- They stand beside the source tree (../shared/golden, or TRIT_SHARED); a small subset is committed
-- under tests/golden.  A case whose file is absent is skipped with a message.

local trit = require "trit"
local lfs = require "lfs"

local golden = {}

local source = os.getenv("TRIT_SOURCE") or "."
local shared = os.getenv("TRIT_SHARED") or source .. "/../shared"

--- Full path of a golden file, or nil.
function golden.path(name)
  for _, dir in ipairs { shared .. "/golden", source .. "/tests/golden" } do
    local path = dir .. "/" .. name
    if lfs.attributes(path, "mode") == "file" then return path end
  end
end

--- Is the file the full one, not the committed subset?
function golden.whole(name) return golden.path(name) ~= source .. "/tests/golden/" .. name end

--- Open a golden file or skip the running test.
function golden.open(name)
  local path = golden.path(name)
  if not path then return nil, ("golden file %s is not here: its cases are skipped"):format(name) end
  return trit.h5.open(path)
end

local function flatten(t, out)
  out = out or {}
  if type(t) ~= "table" then
    out[#out + 1] = t
    return out
  end
  for _, v in ipairs(t) do flatten(v, out) end
  return out
end

--- Largest |got - want| over the largest |want| (1e-30 at least), or over `scale`, the magnitude the
-- reference names for values that are zero but for rounding; NaN counts as infinite.
-- got: tensor or number table, want: flat table of numbers.
function golden.error(got, want, scale)
  local g = flatten(type(got) == "userdata" and got:totable() or got)
  assert(#g == #want, ("%d numbers where %d are expected"):format(#g, #want))
  local worst, largest = 0, 1e-30
  for i, w in ipairs(want) do
    local e = math.abs(g[i] - w)
    if not (e <= worst) then worst = e ~= e and math.huge or e end
    largest = math.max(largest, math.abs(w))
  end
  return worst / (scale or largest)
end

--- Assert that `got` is within `tolerance` of what the file holds at `path`.
function golden.check(f, path, got, tolerance, scale)
  local e = golden.error(got, f:read_numbers(path), scale)
  assert(e <= tolerance, ("%s is off by %.2g"):format(path, e))
end

return golden
