-- tests/tools/lint.lua - the rules of the house that no other tool checks.
--   lua5.4 tests/tools/lint.lua        from the top of the source tree
-- Prints path:line: rule for every breach; exit status 1 if there is one.

local lfs = require "lfs"

local MAX_FILE_LINES = 600
local MAX_COLUMNS = { c = 100, h = 100, lua = 110, cmake = 110, sh = 100 }

-- Layers of core, bottom up.  A file may include its own layer and those below.
local LAYER = { base = 1, kernels = 2, gemm = 3, conv = 4, tensor = 5, quant = 6, ops = 7,
  autograd = 8 }
-- These stand beside each other on `tensor`: they see it, what is below, and themselves.
local SIDE = { optim = true, data = true, io = true, infer = true }
-- Public headers: the lowest layer that may include each.
local PUBLIC = { base = 1, rows = 2, conv = 3, tensor = 5, quant = 6, op = 7, gradcheck = 8, optim = "optim",
  data = "data", io = "io", stats = "io", hist = "io", infer = "infer", onnx = "io" }

-- A foreign library is included by the files of one place only.
local LIBRARY = {
  ["blis.h"] = "^core/gemm/gemm_blis%.c$", ["hdf5.h"] = "^core/io/h5",
  ["hdf5_hl.h"] = "^core/io/h5", ["turbojpeg.h"] = "^core/data/[%w_]*jpeg[%w_]*%.[ch]$",
  ["onnx.pb-c.h"] = "^core/io/onnx%.c$",
  ["spng.h"] = "^core/data/[%w_]*png[%w_]*%.[ch]$", ["pthread.h"] = "^core/",
  ["lua.h"] = "^bindings/", ["lauxlib.h"] = "^bindings/", ["lualib.h"] = "^bindings/",
}

-- Patterns forbidden in code of core (comments removed): Lua pattern -> reason.
local CORE_FORBIDDEN = {
  ["%f[%w_]exit%s*%("] = "core never exits", ["%f[%w_]_exit%s*%("] = "core never exits",
  ["%f[%w_]abort%s*%("] = "core never aborts",
  ["%f[%w_]assert%s*%("] = "core never aborts: check and return a status",
  ["%f[%w_]printf%s*%("] = "core never prints", ["%f[%w_]puts%s*%("] = "core never prints",
  ["%f[%w_]perror%s*%("] = "core never prints",
  ["%f[%w_]fprintf%s*%(%s*std"] = "core never prints",
  ["%f[%w_]longjmp%s*%("] = "core never jumps", ["%f[%w_]setjmp%s*%("] = "core never jumps",
}

-- Forbidden in every file, comments included.  Written in pieces so that this file passes.
local FORBIDDEN = {
  ["%f[%w]TO" .. "DO%f[%W]"] = "unfinished marker", ["%f[%w]FIX" .. "ME%f[%W]"] = "unfinished marker",
  ["%f[%w]XX" .. "X%f[%W]"] = "unfinished marker", ["%f[%w]HA" .. "CK%f[%W]"] = "unfinished marker",
  ["#%s*if%s+0%f[%W]"] = "dead code", ["/wo" .. "rk/"] = "machine path", ["/tmp/w" .. "t"] = "machine path",
  ["/ho" .. "me/%l"] = "machine path", ["/ro" .. "ot/"] = "machine path", ["\t"] = "tab",
  ["%s+$"] = "trailing space",
}

-- These files end in a descriptor and open with what they compute.
local NEEDS_HEAD = { "^core/ops/op_", "^core/quant/q_", "^core/optim/opt_", "^core/conv/", "^core/kernels/" }

local breaches = 0
local function breach(path, line, text)
  breaches = breaches + 1
  print(("%s:%d: %s"):format(path, line, text))
end

local function files(dir, list)
  for name in lfs.dir(dir) do
    local path = dir == "." and name or dir .. "/" .. name
    if name:sub(1, 1) ~= "." or name == ".ci" then
      local mode = lfs.symlinkattributes(path, "mode")
      local generated = dir == "." and (name:match("^build") or name == "runs" or name == "datasets")
      if mode == "directory" and not generated then
        files(path, list)
      elseif mode == "file" then
        list[#list + 1] = path
      end
    end
  end
  return list
end

local function kind_of(path)
  if path == "trit" or path:match("^%.ci/") then return "sh" end
  if path:match("CMakeLists%.txt$") then return "cmake" end
  local ext = path:match("%.(%w+)$")
  return (ext == "c" or ext == "h" or ext == "lua" or ext == "cmake" or ext == "sh" or ext == "def"
    or ext == "md") and ext or nil
end

--- Columns of a line: code points, not bytes.
local function columns(line) return utf8.len(line) or #line end

--- May a file of `layer` include a header of `target` (a layer name or a number)?
local function allowed(layer, target)
  if layer == target then return true end
  if layer == "data" and target == "io" then return true end -- packed sets are HDF5 files
  if layer == "infer" and target == "data" then return true end -- models classify pictures
  local rank = type(target) == "number" and target or LAYER[target]
  if not rank then return false end
  if SIDE[layer] then return rank <= LAYER.tensor end
  return LAYER[layer] ~= nil and rank <= LAYER[layer]
end

local function check_include(path, number, header)
  local library = LIBRARY[header]
  if library and not path:match(library) and not path:match("^tests/") then
    breach(path, number, ("%s is included by one place only (%s)"):format(header, library))
  end
  local layer = path:match("^core/(%l+)/")
  local public = header:match("^trit/(%w+)%.h$")
  if path:match("^bindings/") then
    if header:match("/") and not public then
      breach(path, number, ("bindings include trit/*.h only, not %s"):format(header))
    end
  elseif layer and layer ~= "include" then
    local target = header:match("^(%l+)/")
    if public then target = PUBLIC[public] end
    if public and not target then
      breach(path, number, ("trit/%s.h has no layer in tests/tools/lint.lua"):format(public))
    elseif target and (public or LAYER[target] or SIDE[target]) and not allowed(layer, target) then
      breach(path, number, ("layer %s may not include %s"):format(layer, header))
    end
  end
end

--- The file without comments and string contents, line structure kept.
local function strip_c(text)
  local function blank(s) return (s:gsub("[^\n]", " ")) end
  text = text:gsub('\\"', "  "):gsub('"[^"\n]*"', blank)
  return (text:gsub("/%*.-%*/", blank):gsub("//[^\n]*", blank))
end

local function check_code(path, text)
  local number = 0
  for line in (strip_c(text) .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    for pattern, reason in pairs(CORE_FORBIDDEN) do
      if line:match(pattern) then breach(path, number, reason) end
    end
  end
end

local function check_head(path, text)
  for _, pattern in ipairs(NEEDS_HEAD) do
    if path:match(pattern) and path:match("%.[ch]$") and not text:match("^%s*/%*") then
      breach(path, 1, "the file opens with a comment: what it computes, equation, edge rules, source")
    end
  end
end

local function check(path)
  local kind = kind_of(path)
  if not kind then return end
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  local number = 0
  for line in text:gsub("\n$", ""):gmatch("([^\n]*)\n?") do
    number = number + 1
    for pattern, reason in pairs(FORBIDDEN) do
      if line:match(pattern) then breach(path, number, reason) end
    end
    if MAX_COLUMNS[kind] and columns(line) > MAX_COLUMNS[kind] then
      breach(path, number, ("%d columns, at most %d"):format(columns(line), MAX_COLUMNS[kind]))
    end
    local header = line:match('^%s*#%s*include%s*[<"]([^>"]+)[>"]')
    if header then check_include(path, number, header) end
  end
  if kind ~= "md" and number > MAX_FILE_LINES then
    breach(path, number, ("%d lines, at most %d"):format(number, MAX_FILE_LINES))
  end
  if text ~= "" and text:sub(-1) ~= "\n" then breach(path, number, "no newline at the end") end
  if path:match("^core/") and (kind == "c" or kind == "h") then
    check_code(path, text)
    check_head(path, text)
  end
end

local list = files(".", {})
table.sort(list)
for _, path in ipairs(list) do check(path) end
if breaches > 0 then
  print(("lint: %d breaches in %d files looked at"):format(breaches, #list))
  os.exit(1)
end
print(("lint: %d files keep the rules"):format(#list))
