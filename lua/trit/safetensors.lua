--- trit.safetensors: weights in the exchange format of the same name.
--
--     net:load_state_dict(trit.safetensors.load("resnet18.safetensors"))     -- raises what is wrong
--     assert(trit.safetensors.save("mine.safetensors", net:state_dict()))    -- true | nil, sentence
--
--     local f <close> = assert(trit.safetensors.open(path))                  -- or nil, sentence
--     f:names()  f:shape(name)  f:dtype(name)  f.metadata                     -- "F32", { key = text }
--     f:read(name)   -- tensor f32 | nil, sentence; of F32 F64 F16 BF16 I8 ... U64 BOOL
--     f:bytes(name)  -- its bytes as they stand | nil, sentence
--
-- save(path, tensors, { dtype = "F32" | "F16" | "BF16", metadata = { key = text } }): a value may also be
-- { dtype =, shape =, bytes = }, written as it is.  The file appears whole or not at all.
--
-- The file: length of the header (8 bytes, little-endian), a JSON header
-- { NAME: { dtype, shape, data_offsets: [begin, end] }, __metadata__: { ... } }, the numbers in
-- row-major order.  Offsets count from the end of the header; every byte belongs to exactly one
-- tensor.  What breaks these rules is refused with a sentence that says which.

local core = require "trit.core"
local dkjson = require "dkjson"
local json = require "trit.json"
local wholefile = require "trit.wholefile"

local safetensors = {}

local LENGTH_BYTES = 8
local MAX_HEADER = 100 * 1000 * 1000 -- bytes, the format's limit
local MAX_DIMS = 8                   -- of our tensors
local ALIGN = 8                      -- the numbers start at a multiple
local METADATA = "__metadata__"

local SIZE = { F64 = 8, F32 = 4, F16 = 2, BF16 = 2, I64 = 8, I32 = 4, I16 = 2, I8 = 1, U64 = 8, U32 = 4,
  U16 = 2, U8 = 1, BOOL = 1 } -- bytes of one number

local function refuse(path, fmt, ...)
  return nil, ("safetensors: '%s': "):format(path) .. fmt:format(...)
end

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

local function quoted(name) -- long or unprintable names stay readable in a sentence
  return ("%q"):format(#name > 80 and name:sub(1, 77) .. "..." or name):gsub("\\\n", "\\n")
end

local function is_size(v) return math.type(v) == "integer" and v >= 0 end

--- A list of whole numbers from 0 on, without holes or other keys?
local function is_sizes(t)
  if type(t) ~= "table" then return false end
  for k, v in pairs(t) do
    if math.type(k) ~= "integer" or k < 1 or k > #t or not is_size(v) then return false end
  end
  return true
end

--- Bytes of a tensor, or nil when that is no number Lua can hold.
local function byte_count(shape, size)
  local n = size
  for _, d in ipairs(shape) do
    if d > 0 and n > math.maxinteger // d then return nil end
    n = n * d
  end
  return n
end

--- What is wrong with one entry of the header, or nil.
local function entry_fault(e, data_bytes)
  if type(e) ~= "table" then return "is not an object" end
  if type(e.dtype) ~= "string" then return "has no dtype" end
  if not SIZE[e.dtype] then return ("has dtype %s, which is not read here"):format(quoted(e.dtype)) end
  if not is_sizes(e.shape) then return "has no shape of whole numbers" end
  if #e.shape > MAX_DIMS then
    return ("has %d dimensions, at most %d are possible"):format(#e.shape, MAX_DIMS)
  end
  local at = e.data_offsets
  if not is_sizes(at) or #at ~= 2 or at[1] > at[2] then return "has no data_offsets [begin, end]" end
  if at[2] > data_bytes then
    return ("ends at byte %d but there are %d"):format(at[2], data_bytes)
  end
  local need = byte_count(e.shape, SIZE[e.dtype])
  if need ~= at[2] - at[1] then
    return ("has %d bytes for %s [%s]"):format(at[2] - at[1], e.dtype, table.concat(e.shape, ","))
  end
end

--- Does every byte belong to exactly one tensor?  A sentence if not.
local function cover_fault(entries, data_bytes)
  local list = sorted_keys(entries)
  table.sort(list, function(a, b)
    local x, y = entries[a].data_offsets, entries[b].data_offsets
    if x[1] ~= y[1] then return x[1] < y[1] end
    if x[2] ~= y[2] then return x[2] < y[2] end
    return a < b
  end)
  local at = 0
  for _, name in ipairs(list) do
    local from = entries[name].data_offsets
    if from[1] ~= at then
      return ("tensor %s begins at byte %d, the one before it ends at %d"):format(quoted(name), from[1], at)
    end
    at = from[2]
  end
  if at ~= data_bytes then return ("%d bytes after the last tensor"):format(data_bytes - at) end
end

local function metadata_fault(m)
  if m == nil then return nil end
  if type(m) ~= "table" then return METADATA .. " is not an object" end
  for k, v in pairs(m) do
    if type(k) ~= "string" or type(v) ~= "string" then return METADATA .. " must map text to text" end
  end
end

--- The JSON reader keeps the last of two equal names.  Every entry has one data_offsets, so their number
-- tells whether something was lost.
local function repeats(text, entries, metadata)
  local _, count = text:gsub('"data_offsets"%s*:', "")
  local expected = entries.data_offsets and 1 or 0
  if metadata and metadata.data_offsets then expected = expected + 1 end
  for _ in pairs(entries) do expected = expected + 1 end
  return count ~= expected
end

--- Header text -> entries, metadata; or nil and what is wrong.
local function parse(text, data_bytes)
  if text:sub(1, 1) ~= "{" then return nil, "the header does not begin with {" end
  local ok, header, at, message = pcall(dkjson.decode, text, 1, nil, nil, nil)
  if not ok then return nil, "the header is nested too deeply" end
  if message then return nil, ("the header is not JSON: character %d: %s"):format(at, message) end
  if text:find("[^ \t\r\n]", at) then
    return nil, ("the header goes on after its end at character %d"):format(at)
  end
  local metadata = header[METADATA]
  local fault = metadata_fault(metadata)
  if fault then return nil, fault end
  header[METADATA] = nil
  for name, e in pairs(header) do
    if type(name) ~= "string" then return nil, "the header is a list, not an object" end
    fault = entry_fault(e, data_bytes)
    if fault then return nil, ("tensor %s %s"):format(quoted(name), fault) end
  end
  if repeats(text, header, metadata) then return nil, "a name or a field occurs twice in the header" end
  fault = cover_fault(header, data_bytes)
  if fault then return nil, fault end
  return header, metadata or {}
end

local File = {}
File.__index = File
File.__name = "trit.safetensors.file"

--- Open a file and check its header.  Returns the file, or nil and a sentence.
function safetensors.open(path)
  if type(path) ~= "string" then
    require("trit.core").raise("safetensors: a file's path expected, got " .. type(path))
  end
  local handle, why = io.open(path, "rb")
  if not handle then return nil, "safetensors: cannot open " .. why end
  local function fail(...)
    handle:close()
    return refuse(path, ...)
  end
  local size = handle:seek("end")
  if not size then return fail("not a file that can be read at any place") end
  if size < LENGTH_BYTES then return fail("%d bytes are no safetensors file", size) end
  handle:seek("set", 0)
  local prefix = handle:read(LENGTH_BYTES)
  if not prefix or #prefix ~= LENGTH_BYTES then return fail("the length of the header cannot be read") end
  local length = string.unpack("<i8", prefix)
  if length < 0 or length > size - LENGTH_BYTES then
    return fail("the header is said to have %s bytes but the file has %d: no safetensors file, or a part",
      length < 0 and ("%u"):format(length) or length, size)
  end
  if length > MAX_HEADER then
    return fail("a header of %d bytes, at most %d are allowed", length, MAX_HEADER)
  end
  local text = handle:read(length)
  if #(text or "") ~= length then return fail("the header is cut off") end
  local entries, rest = parse(text, size - LENGTH_BYTES - length)
  if not entries then return fail("%s", rest) end
  return setmetatable({ path = path, handle = handle, entries = entries, metadata = rest,
    start = LENGTH_BYTES + length }, File)
end

function File:close()
  if self.handle then self.handle:close() end
  self.handle = nil
end

File.__close = File.close
File.__gc = File.close

--- Names of all tensors, sorted.
function File:names() return sorted_keys(self.entries) end

local function entry(self, name)
  if not self.handle then error("safetensors: the file is closed", 3) end
  local e = self.entries[name]
  if not e then error(("safetensors: '%s' has no tensor %q"):format(self.path, tostring(name)), 3) end
  return e
end

function File:shape(name) return { table.unpack(entry(self, name).shape) } end
function File:dtype(name) return entry(self, name).dtype end

--- The bytes of a tensor, or nil and a sentence when they cannot be read.
function File:bytes(name)
  local at = entry(self, name).data_offsets
  local length = at[2] - at[1]
  if length == 0 then return "" end
  self.handle:seek("set", self.start + at[1])
  local bytes = self.handle:read(length)
  if #(bytes or "") ~= length then return refuse(self.path, "tensor %s is cut off", quoted(name)) end
  return bytes
end

--- A tensor as float32, or nil and a sentence.
function File:read(name)
  local e = entry(self, name)
  local bytes, why = self:bytes(name)
  if not bytes then return nil, why end
  return core.from_bytes(e.shape, e.dtype:lower(), bytes)
end

--- All tensors by name, ready for load_state_dict.  What is wrong with the file is raised at the caller's
-- line.
function safetensors.load(path)
  local f <close>, why = safetensors.open(path)
  if not f then core.raise(why) end
  local tensors = {}
  for _, name in ipairs(f:names()) do
    local t, reason = f:read(name)
    if not t then core.raise(reason) end
    tensors[name] = t
  end
  return tensors
end

-- ------------------------------------------------------------------------------------------ writing

--- dtype, shape, bytes of a value to be saved.
local function content(name, v, dtype)
  if type(v) ~= "table" then return dtype, v:shape(), core.to_bytes(v, dtype:lower()) end
  if not SIZE[v.dtype] or not is_sizes(v.shape) or type(v.bytes) ~= "string" then
    core.raise(("safetensors.save: %q must be a tensor or { dtype =, shape =, bytes = }"):format(name))
  end
  if byte_count(v.shape, SIZE[v.dtype]) ~= #v.bytes then
    core.raise(("safetensors.save: %q has %d bytes for %s [%s]"):format(name, #v.bytes, v.dtype,
      table.concat(v.shape, ",")))
  end
  return v.dtype, v.shape, v.bytes
end

local function size_of(name, v, dtype)
  if type(v) == "table" then return #select(3, content(name, v, dtype)) end
  return v:numel() * SIZE[dtype]
end

--- Length prefix and header for `names` in this order.
local function header_of(names, tensors, o)
  local header, at = {}, 0
  for _, name in ipairs(names) do
    local v = tensors[name]
    local size = size_of(name, v, o.dtype)
    header[name] = { dtype = type(v) == "table" and v.dtype or o.dtype, data_offsets = { at, at + size },
      shape = json.array(type(v) == "table" and { table.unpack(v.shape) } or v:shape()) }
    at = at + size
  end
  if next(o.metadata) then header[METADATA] = o.metadata end
  local text = json.encode(header)
  if text:sub(1, 1) ~= "{" then text = "{}" end
  text = text .. (" "):rep(-(LENGTH_BYTES + #text) % ALIGN)
  return string.pack("<i8", #text) .. text
end

local function save_options(o, tensors)
  for key in pairs(o) do
    if key ~= "dtype" and key ~= "metadata" then
      core.raise(("safetensors.save: unknown option %q; known: dtype, metadata"):format(tostring(key)))
    end
  end
  local dtype = o.dtype or "F32"
  if dtype ~= "F32" and dtype ~= "F16" and dtype ~= "BF16" then
    core.raise(("safetensors.save: option dtype is %q but must be F32, F16 or BF16"):format(tostring(dtype)))
  end
  local fault = metadata_fault(o.metadata)
  if fault then core.raise("safetensors.save: " .. fault) end
  for name in pairs(tensors) do
    if type(name) ~= "string" or name == METADATA then
      core.raise(("safetensors.save: %s is no name of a tensor"):format(tostring(name)))
    end
  end
  return { dtype = dtype, metadata = o.metadata or {} }
end

--- Save tensors by name.  Returns true, or nil and a sentence when the file cannot be written.
function safetensors.save(path, tensors, options)
  local o = save_options(options or {}, tensors)
  local names = sorted_keys(tensors)
  local ok, why = wholefile.write(path, function(put)
    local fine, reason = put(header_of(names, tensors, o))
    for _, name in ipairs(names) do
      if not fine then break end
      local _, _, bytes = content(name, tensors[name], o.dtype)
      fine, reason = put(bytes)
    end
    return fine, reason
  end)
  if not ok then return nil, "safetensors: " .. why end
  return true
end

return safetensors
