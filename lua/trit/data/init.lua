--- trit.data: image sets as batches.
--
--     local data = trit.data.open("shapes10", { batch = 128, augment = { "crop", "flip" }, seed = 1 })
--     for x, y in data:train(epoch) do ... end      -- x f32[N,C,H,W], y f32[N] of classes 1..C
--     for x, y in data:test() do ... end
--
-- A pass is a function of (options, seed, epoch): threads, cache and the batch it starts at change
-- nothing.  `trit.data.options()` lists the options with their documentation.

local core = require "trit.core"
local check = require "trit.options"

local M = {}

local Data = {}
Data.__index = function(_, key)
  local value = Data[key]
  if value ~= nil then return value end
  return core.raise(("a data set has no field %q"):format(tostring(key)))
end
Data.__name = "trit.data"

local known = {}
for _, p in ipairs(core.data_params()) do known[p.name] = true end

local function unknown(name)
  local names = { "augment" }
  for k in pairs(known) do names[#names + 1] = k end
  table.sort(names)
  core.raise(("data: unknown option %q; known: %s"):format(tostring(name),
    table.concat(names, ", ")))
end

local function whole(value, what, least)
  local n = math.tointeger(value)
  if not n or n < least then
    core.raise(("data: %s must be a whole number >= %d, got %s"):format(what, least,
      tostring(value)))
  end
  return n
end

--- Open the set `spec` names.
-- spec     "shapes10[:name=value,...]", "folder:DIR", "cifar10:DIR", "idx:DIR", "h5:FILE"
-- options  batch, size, resize, seed, workers, cache, on_error, shuffle, drop_last, limit,
--          normalize, mean, std (trit.data.options()), and augment: a list of steps for training
--          images, each a name or { name, option = value } (trit.data.transforms())
-- returns  a data set with the fields classes, class_names, shape {C,H,W}, train_size, test_size,
--          batches, test_batches (per pass), mean, std, options, spec, kind, note, norm, cached
-- errors   raised at the caller's line: unknown option, missing or damaged files
function M.open(spec, options)
  local plain, augment = {}, nil
  if type(spec) ~= "string" then
    core.raise("data: a spec such as \"shapes10\" or \"folder:DIR\" expected, got " .. type(spec))
  end
  for name, value in pairs(options or {}) do
    if name == "augment" then augment = value
    elseif known[name] then plain[name] = value
    else unknown(name) end
  end
  local box = core.data_open(spec, plain, augment)
  local self = { box = box, told = 0, named = {} }
  for name, value in pairs(box:facts()) do self[name] = value end
  self.augment = augment or {}
  return setmetatable(self, Data)
end

--- Look at every image: { images=, bad=, gray=, cmyk=, misnamed=, warned=, min_height= ...,
-- class_names=, class_counts = { train=, test= }, checksum=, files = { { split=, file=, problem=,
-- gray=, cmyk=, misnamed=, format=, height=, width=, warning= }, ... } }.
function M.check(spec) return core.data_check(spec) end

--- Write the set as one HDF5 file for "h5:FILE"; options.size: pixels to resize and cut to.
-- Returns the number of damaged images, which are left out.
function M.pack(spec, file, options)
  return core.data_pack(spec, check.check("data.pack", options, { "size" }).size or 0, file)
end

--- Make a generated set as a folder: trit.data.make("shapes10", dir, { train = 10000, ... }).
function M.make(name, dir, options)
  if name ~= "shapes10" then core.raise(("data: only shapes10 can be made, not %s"):format(name)) end
  core.shapes10_make(options or {}, dir)
end

--- Options of the generated set shapes10.
function M.shapes10_options() return core.shapes10_params() end

--- The options of open, with defaults, ranges and documentation.
function M.options() return core.data_params() end
--- The augmentation steps, with their parameters.
function M.transforms() return core.data_transforms() end
--- The kinds of specs.
function M.kinds() return core.data_kinds() end

-- Damaged images are named on stderr once, when they are met.
local function tell(self)
  local list = self.box:bad()
  local named = self.named
  for _, bad in ipairs(list) do
    local key = bad.split .. bad.index
    if not named[key] then
      named[key] = true
      io.stderr:write(("data: %s (%s image %d; %s)\n"):format(bad.problem, bad.split, bad.index,
        self.options.on_error == "skip" and "left out" or
        self.options.on_error == "fail" and "stopping" or "the next one stands in"))
    end
  end
  self.told = #list
end

local function iterate(self, split, epoch, start)
  local pass = self.box:batches(split, epoch, start - 1)
  local box = self.box
  local function step()
    local x, y = pass:next()
    if box:bad_count() > self.told then tell(self) end
    return x, y
  end
  return step, nil, nil, pass -- the 4th value is closed when the loop ends, by break too
end

--- Batches of one training pass: for x, y in data:train(epoch [, start]) do ... end
-- epoch  >= 0, selects order and augmentation; start: first batch, from 1 (default 1), so that a
--        pass stopped after k batches goes on with start = k + 1
function Data:train(epoch, start)
  return iterate(self, "train", whole(epoch or 1, "epoch", 0), whole(start or 1, "start", 1))
end

--- Batches of the test images, in file order, resized and centre-cropped, never augmented.
function Data:test(start) return iterate(self, "test", 0, whole(start or 1, "start", 1)) end
Data.val = Data.test

--- Seconds the script waited for batches so far.
function Data:wait_seconds() return self.box:wait_seconds() end

--- Damaged images met so far: { bad = n, policy =, files = { { split=, index=, problem= } } }.
function Data:report()
  local files = self.box:bad()
  return { bad = #files, policy = self.options.on_error, files = files }
end

--- "xxh3:..." of labels and pixels; for folders of labels, names and file sizes unless
-- `content` is true (then every file is read).
function Data:checksum(content) return self.box:checksum(content or false) end

--- Close before the collector does; running passes end on their own.
function Data:close() self.box:close() end
Data.__close = Data.close

local function triple(v)
  local out = {}
  for i, x in ipairs(v) do out[i] = ("%.4f"):format(x) end
  return table.concat(out, ", ")
end

--- One paragraph: what was opened and what is done to it.
function Data:describe()
  local steps = {}
  for i, s in ipairs(self.augment) do
    local text = type(s) == "table" and s[1] or s
    if type(s) == "table" then
      local names = {}
      for k in pairs(s) do if k ~= 1 then names[#names + 1] = k end end
      table.sort(names)
      for _, k in ipairs(names) do text = ("%s %s=%s"):format(text, k, tostring(s[k])) end
    end
    steps[i] = text
  end
  local s = self.shape
  local lines = {
    ("%s: %d train + %d test images, %d classes, batches of %d x %dx%dx%d"):format(self.spec,
      self.train_size, self.test_size, self.classes, self.options.batch, s[1], s[2], s[3]),
    ("mean {%s} std {%s} (%s); augmentation: %s"):format(triple(self.mean), triple(self.std),
      self.norm, #steps > 0 and table.concat(steps, ", ") or "none"),
  }
  if self.note ~= "" then lines[#lines + 1] = self.note end
  return table.concat(lines, "\n")
end
Data.__tostring = function(self) return self:describe() end

return M
