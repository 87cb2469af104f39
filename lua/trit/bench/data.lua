--- trit bench data: images a second through the loader (read, decode, augment, batch), beside the bare
-- decoder on the same files (of folder:DIR and shapes10): one thread that reads and decodes at full size
-- and does nothing else.

local bench = { name = "data", summary = "the data pipeline, beside the bare JPEG decoder" }

local ROUNDS = 5

function bench.setup(parser)
  parser:option("--data", "data set"):default("shapes10"):argname("SPEC")
  parser:option("--batch", "images a batch"):default("64"):convert(math.tointeger):argname("N")
  parser:option("--size", "side of the images of a batch (default: the data set's)"):convert(math.tointeger)
    :argname("PIXELS")
  parser:option("--augment", "steps joined by +"):default("rrc+flip"):argname("STEPS")
  parser:flag("--draft", "the loader may decode at 1/2, 1/4 or 1/8, as Pillow's draft mode does")
  parser:option("--workers", "loader threads"):default("1"):convert(math.tointeger):argname("N")
  parser:option("--images", "at most so many"):default("2000"):convert(math.tointeger):argname("N")
  parser:option("--rounds", "measured rounds"):default(tostring(ROUNDS)):convert(math.tointeger):argname("N")
  parser:flag("--json", "one JSON document")
end

--- The directory of the JPEG files of a set, or nil: shapes10 is a folder too, and says where.
local function folder_of(data)
  local dir = data.spec:match("^folder:(.*)$")
  if data.kind == "shapes10" then dir = data.note:match("^in (.*)$") end
  if not dir then return nil end
  return require("lfs").attributes(dir .. "/train") and dir .. "/train" or dir
end

--- JPEG files below a folder, sorted; at most `most`, evenly spread as the option `limit` takes them.
local function files_below(dir, most)
  local lfs, list = require "lfs", {}
  local function visit(path)
    local names = {}
    for name in lfs.dir(path) do
      if name:sub(1, 1) ~= "." then names[#names + 1] = name end
    end
    table.sort(names)
    for _, name in ipairs(names) do
      local full = path .. "/" .. name
      if lfs.attributes(full, "mode") == "directory" then
        visit(full)
      elseif name:lower():match("%.jpe?g$") then
        list[#list + 1] = full
      end
    end
  end
  visit(dir)
  if #list <= most then return list end
  local taken = {}
  for i = 0, most - 1 do taken[i + 1] = list[i * #list // most + 1] end
  return taken
end

local function open(trit, args)
  local steps = {}
  for step in args.augment:gmatch("[^+]+") do steps[#steps + 1] = step end
  return trit.data.open(args.data, { batch = args.batch, size = args.size, augment = steps, seed = 1,
    workers = args.workers, cache = 0, draft = args.draft or false, limit = args.images })
end

--- One pass over the training images -> images.
local function pass(data, epoch)
  local n = 0
  for x in data:train(epoch) do n = n + x:shape()[1] end
  return n
end

function bench.run(args)
  local trit = require "trit"
  local data = open(trit, args)
  local images, epoch, total = 0, 0, 0
  local candidates = { { name = ("loader, %d worker%s"):format(args.workers, args.workers == 1 and "" or "s"),
    run = function()
      epoch = epoch + 1
      images = pass(data, epoch)
    end } }
  local dir = folder_of(data)
  local files = dir and files_below(dir, args.images) or {}
  if #files > 0 then
    candidates[2] = { name = "bare decoder, 1 thread", run = function()
      local seconds, pixels = trit.core.decode_images(files)
      total = pixels
      return seconds
    end }
  end
  local rows = require("trit.measure").rounds(candidates, { rounds = args.rounds, seconds = 0 })
  rows[1].images_per_second = images / rows[1].median
  rows[1].per_worker = rows[1].images_per_second / args.workers
  if rows[2] then
    rows[2].images_per_second = #files / rows[2].median
    rows[2].per_worker = rows[2].images_per_second
    rows[2].megapixels_per_second = total / rows[2].median * 1e-6
    rows[1].ratio = rows[1].per_worker / rows[2].per_worker
  end
  local head = { data = args.data, batch = args.batch, shape = data.shape, augment = args.augment,
    images = images, cpu = trit.core.cpu(), results = rows }
  if args.json then
    print(require("trit.json").encode(head, { indent = true }))
    return 0
  end
  print(("# data %s, %s, %d images of %dx%d; %s"):format(args.data, args.augment, images, data.shape[2],
    data.shape[3], head.cpu))
  local lines = {}
  for i, r in ipairs(rows) do
    lines[i] = { r.name, ("%.0f"):format(r.images_per_second), ("%.0f"):format(r.per_worker),
      ("%.1f"):format(100 * r.iqr / r.median), r.ratio and ("%.2f"):format(r.ratio) or "" }
  end
  print(require("trit.term").table({ "candidate", "images/s", "per worker", "iqr %", "of the bare decoder" },
    lines, { false, true, true, true, true }))
  if not rows[2] then print(("no bare decoder: %s is no folder of JPEG files"):format(args.data)) end
  return 0
end

return bench
