--- trit data ls|make|check|pack: data sets.

local data = { name = "data", group = "data", summary = "list, make, check and pack data sets" }

function data.setup(parser)
  parser:command_target("action")
  parser:require_command(true)

  local ls = parser:command("ls", "what specs there are; with a spec, what is in it")
  ls:argument("spec", "such as folder:DIR"):args("?")
  ls:flag("--json", "one JSON document")

  local make = parser:command("make", "write a generated set as a folder of JPEG files")
  make:argument("name", "shapes10")
  make:option("-o --out", "the directory; must not exist")
  for _, p in ipairs(require("trit.core").shapes10_params()) do
    make:option("--" .. p.name:gsub("_", "-"), ("%s (%s)"):format(p.doc, p.default))
      :convert(p.integer and math.tointeger or tonumber):target(p.name)
  end

  local check = parser:command("check",
    "decode every image; name what is damaged, misnamed, grey or CMYK")
  check:argument("spec", "such as folder:DIR")
  check:flag("--json", "one JSON document")
  check:flag("--all", "name every grey file too, not only the first ones")

  local pack = parser:command("pack", "write a set as one HDF5 file for h5:FILE")
  pack:argument("spec", "such as folder:DIR")
  pack:option("-o --out", "the file")
  pack:option("--size", "resize and centre-crop to so many pixels"):convert(math.tointeger)
end

local function json(value) print(require("dkjson").encode(value, { indent = true })) end

local function usage(message) error({ exit = 2, message = message }) end

local actions = {}

function actions.ls(args)
  local trit = require "trit"
  if not args.spec then
    local kinds = trit.data.kinds()
    if args.json then json(kinds) return 0 end
    for _, k in ipairs(kinds) do print(("%-26s %s"):format(k.usage, k.doc)) end
    return 0
  end
  local set = trit.data.open(args.spec)
  if args.json then
    json { spec = set.spec, kind = set.kind, train = set.train_size, test = set.test_size,
      classes = set.class_names, shape = set.shape, mean = set.mean, std = set.std,
      norm = set.norm, note = set.note, checksum = set:checksum() }
    return 0
  end
  print(set:describe())
  print("classes: " .. table.concat(set.class_names, " "))
  print("checksum: " .. set:checksum())
  return 0
end

function actions.make(args)
  local trit = require "trit"
  if args.name ~= "shapes10" then usage(("no generated set %q; there is shapes10"):format(args.name)) end
  if not args.out then usage("where to? give -o DIR") end
  local options = {}
  for _, p in ipairs(trit.data.shapes10_options()) do options[p.name] = args[p.name] end
  trit.data.make(args.name, args.out, options)
  io.stderr:write(("%s is ready: folder:%s\n"):format(args.name, args.out))
  return 0
end

local SHOWN_GREY = 5 -- grey files named without --all: they are common and harmless

local function describe(file)
  local words = {}
  if file.problem then return "damaged   " .. file.problem end
  if file.cmyk then words[#words + 1] = "CMYK" end
  if file.gray then words[#words + 1] = "grey" end
  if file.misnamed then words[#words + 1] = "content is " .. file.format end
  if file.warning then words[#words + 1] = file.warning end
  return ("%-9s %s"):format(table.concat(words, ", "), file.file)
end

local function class_table(r)
  local least, most = math.huge, 0
  for c in ipairs(r.class_names) do
    local n = r.class_counts.train[c] + r.class_counts.test[c]
    least, most = math.min(least, n), math.max(most, n)
  end
  print(("classes   %d, with %d to %d images"):format(#r.class_names, least, most))
  if #r.class_names > 20 then return end
  for c, name in ipairs(r.class_names) do
    print(("  %-20s train %7d  test %7d"):format(name, r.class_counts.train[c],
      r.class_counts.test[c]))
  end
end

function actions.check(args)
  local r = require("trit").data.check(args.spec)
  if args.json then
    json(r)
    return r.bad > 0 and 1 or 0
  end
  local grey = 0
  for _, file in ipairs(r.files) do
    local plain = file.gray and not (file.problem or file.misnamed or file.warning)
    grey = grey + (plain and 1 or 0)
    if not plain or args.all or grey <= SHOWN_GREY then print(describe(file)) end
  end
  if grey > SHOWN_GREY and not args.all then
    print(("          ... and %d more grey files (--all names them)"):format(grey - SHOWN_GREY))
  end
  print(("set       %s%s"):format(r.spec, r.note ~= "" and " (" .. r.note .. ")" or ""))
  print(("images    %d: %d train, %d test; %d to %d pixels high, %d to %d wide"):format(r.images,
    r.train, r.test, r.min_height, r.max_height, r.min_width, r.max_width))
  print(("found     %d damaged, %d CMYK, %d grey, %d misnamed, %d with decoder warnings"):format(r.bad,
    r.cmyk, r.gray, r.misnamed, r.warned))
  class_table(r)
  print("checksum  " .. r.checksum)
  print("policy    in training a damaged image is replaced by the next one; on_error = \"skip\" or"
    .. " \"fail\" change that")
  return r.bad > 0 and 1 or 0
end

function actions.pack(args)
  if not args.out then usage("where to? give -o FILE") end
  if args.size and args.size < 1 then usage("--size must be a whole number >= 1") end
  local left_out = require("trit").data.pack(args.spec, args.out, { size = args.size })
  io.stderr:write(("packed: h5:%s%s\n"):format(args.out,
    left_out > 0 and (" (%d damaged images left out)"):format(left_out) or ""))
  return 0
end

function data.run(args) return actions[args.action](args) end

return data
