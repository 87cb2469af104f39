--- trit.npy: numpy's files, for reading.
--
--     local x = trit.npy.load("x.npy")          -- tensor f32
--     local all = trit.npy.load("all.npz")      -- name -> tensor, as numpy.savez wrote it
--
-- Little-endian numbers and booleans of up to 8 dimensions, in C or Fortran order.  What cannot be read
-- is raised at the caller's line: compressed archives (numpy.savez_compressed), objects, text.

local core = require "trit.core"

local npy = {}

local MAGIC, ZIP = "\x93NUMPY", "PK"
local KIND = { f4 = "f32", f8 = "f64", f2 = "f16", i1 = "i8", u1 = "u8", i2 = "i16", u2 = "u16", i4 = "i32",
  u4 = "u32", i8 = "i64", u8 = "u64", b1 = "bool" }
local MAX_DIMS = 8
local END_BYTES, ENTRY_BYTES, LOCAL_BYTES = 22, 46, 30 -- of a zip's records, without names
local MAX_COMMENT = 65535

local function refuse(fmt, ...) error({ npy = fmt:format(...) }, 0) end

--- The header's dictionary: kind, is it in Fortran order, shape.
local function header_of(text)
  local order, kind = text:match("'descr'%s*:%s*'([<>|=])(%w+)'")
  local fortran = text:match("'fortran_order'%s*:%s*(%a+)")
  local inside = text:match("'shape'%s*:%s*%(([%d%s,]*)%)")
  if not (kind and (fortran == "True" or fortran == "False") and inside) then
    refuse("no header of plain numbers: %q", text:sub(1, 80))
  end
  if not KIND[kind] or order == ">" then refuse("numbers of kind %s%s are not read here", order, kind) end
  local shape = {}
  for d in inside:gmatch("%d+") do
    shape[#shape + 1] = math.tointeger(tonumber(d)) or refuse("a dimension of %s", d)
  end
  if #shape > MAX_DIMS then refuse("%d dimensions, at most %d are possible", #shape, MAX_DIMS) end
  return KIND[kind], fortran == "True", shape
end

local function reversed(list)
  local out = {}
  for i = #list, 1, -1 do out[#out + 1] = list[i] end
  return out
end

--- Fortran order is C order of the reversed shape.
local function from_fortran(shape, kind, bytes)
  local axes = {}
  for i = #shape, 1, -1 do axes[#axes + 1] = i end
  return core.ops.permute(core.from_bytes(reversed(shape), kind, bytes), { axes = axes }):clone()
end

--- The tensor in the bytes of a .npy file.
local function parse(text)
  if text:sub(1, #MAGIC) ~= MAGIC or #text < 12 then refuse("not numpy's format") end
  local version = text:byte(7)
  if version < 1 or version > 3 then refuse("version %d of the format is unknown", version) end
  local length, at = string.unpack(version == 1 and "<I2" or "<I4", text, 9)
  if at + length - 1 > #text then refuse("the header is cut off") end
  local kind, fortran, shape = header_of(text:sub(at, at + length - 1))
  local bytes = text:sub(at + length)
  if fortran and #shape > 1 then return from_fortran(shape, kind, bytes) end
  return core.from_bytes(shape, kind, bytes)
end

--- Where the zip's list of entries begins, and how many there are.
local function directory_of(text)
  for at = #text - END_BYTES + 1, math.max(1, #text - END_BYTES - MAX_COMMENT), -1 do
    if text:sub(at, at + 3) == "PK\5\6" then
      local count, _, start = string.unpack("<I2I4I4", text, at + 10)
      return start + 1, count
    end
  end
  refuse("the archive has no end: it is cut off")
end

--- One entry of the list: name, its bytes, where the next begins.
local function entry_at(text, at)
  if at + ENTRY_BYTES - 1 > #text or text:sub(at, at + 3) ~= "PK\1\2" then
    refuse("the archive is damaged")
  end
  local method, _, _, _, packed, size, name_bytes, extra, comment =
    string.unpack("<I2I2I2I4I4I4I2I2I2", text, at + 10)
  local start = string.unpack("<I4", text, at + 42) + 1
  local name = text:sub(at + ENTRY_BYTES, at + ENTRY_BYTES + name_bytes - 1)
  if method ~= 0 then refuse("%s is compressed; numpy.savez writes what is read here", name) end
  if packed ~= size or start + LOCAL_BYTES - 1 > #text or text:sub(start, start + 3) ~= "PK\3\4" then
    refuse("%s is damaged, or larger than 4 GiB", name)
  end
  local own_name, own_extra = string.unpack("<I2I2", text, start + 26)
  local first = start + LOCAL_BYTES + own_name + own_extra
  if first + size - 1 > #text then refuse("%s is cut off", name) end
  return name, text:sub(first, first + size - 1), at + ENTRY_BYTES + name_bytes + extra + comment
end

local function archive(text)
  local at, count = directory_of(text)
  local tensors = {}
  for _ = 1, count do
    local name, bytes, next_at = entry_at(text, at)
    tensors[name:gsub("%.npy$", "")], at = parse(bytes), next_at
  end
  return tensors
end

--- A tensor of a .npy file, or name -> tensor of a .npz file.
function npy.load(path)
  local file, why = io.open(path, "rb")
  if not file then core.raise("npy: cannot open " .. why) end
  local text, reason = file:read("a")
  file:close()
  if not text then core.raise(("npy: cannot read '%s': %s"):format(path, reason)) end
  local ok, result = pcall(text:sub(1, 2) == ZIP and archive or parse, text)
  if ok then return result end
  local sentence = type(result) == "table" and result.npy or tostring(result):gsub("^[^\n]-:%d+: ", "")
  return core.raise(("npy: '%s': %s"):format(path, sentence))
end

return npy
