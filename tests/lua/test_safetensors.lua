-- tier: fast
-- safetensors: round trips, formats, and files that are wrong in every way we could think of.
local trit = require "trit"
local uv = require "luv"

local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/trit-safetensors-XXXXXX"))
local path = dir .. "/x.safetensors"

local function spit(text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

local function slurp()
  local f = assert(io.open(path, "rb"))
  local text = f:read("a")
  f:close()
  return text
end

--- A file of a header text and data, with a right length unless one is given.
local function file(header, data, length)
  spit(string.pack("<i8", length or #header) .. header .. (data or ""))
end

local function refused(pattern)
  local f, why = trit.safetensors.open(path)
  assert.is_nil(f)
  assert.is_truthy(why:find(pattern, 1, true), why)
  assert.is_nil(why:find("\n"), "more than one line: " .. why)
end

local function raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(pattern, 1, true), tostring(err))
  assert.is_truthy(tostring(err):find("test_safetensors.lua:", 1, true), tostring(err))
end

describe("safetensors", function()
  teardown(function()
    os.remove(path)
    os.remove(dir)
  end)

  it("bring a network back bit by bit", function()
    local net = trit.models.resnet8 { seed = 3 }
    assert.is_true(trit.safetensors.save(path, net:state_dict(), { metadata = { format = "pt" } }))
    local again = trit.models.resnet8 { seed = 4 }
    again:load_state_dict(trit.safetensors.load(path))
    local state = again:state_dict()
    for name, t in pairs(net:state_dict()) do assert.is_true(t:equal(state[name]), name) end
    local f <close> = assert(trit.safetensors.open(path))
    assert.are.same({ format = "pt" }, f.metadata)
    assert.are.equal("F32", f:dtype("fc.weight"))
    assert.are.same({ 10, 64 }, f:shape("fc.weight"))
    assert.are.equal(0, (8 + string.unpack("<i8", slurp())) % 8)
  end)

  it("keep empty tensors, scalars and no tensors at all", function()
    assert.is_true(trit.safetensors.save(path, { a = trit.zeros { 0, 3 }, b = trit.reshape(trit.ones { 1 },
      { shape = {} }), c = trit.ones { 2 } }))
    local got = trit.safetensors.load(path)
    assert.are.same({ 0, 3 }, got.a:shape())
    assert.are.same({}, got.b:shape())
    assert.are.same({ 1, 1 }, got.c:totable())
    assert.is_true(trit.safetensors.save(path, {}))
    assert.are.same({}, trit.safetensors.load(path))
  end)

  it("read every number format", function()
    local cases = {
      { "F64", string.pack("<ddd", 1.5, -2, 1e300), { 1.5, -2, math.huge } },
      { "F16", string.pack("<I2I2I2I2I2I2", 0x3c00, 0xc000, 0x0001, 0x7c00, 0x7bff, 0x8000),
        { 1, -2, 2 ^ -24, math.huge, 65504, 0 } },
      { "BF16", string.pack("<I2I2I2", 0x3f80, 0xc040, 0x7f80), { 1, -3, math.huge } },
      { "I8", string.pack("<bb", -128, 7), { -128, 7 } }, { "U8", string.pack("<BB", 255, 0), { 255, 0 } },
      { "I16", string.pack("<hh", -300, 300), { -300, 300 } }, { "U16", string.pack("<H", 65535), { 65535 } },
      { "I32", string.pack("<i4", -70000), { -70000 } },
      { "U32", string.pack("<I4", 3000000000), { 3000000000 } },
      { "I64", string.pack("<i8", -5), { -5 } }, { "U64", string.pack("<I8", 1 << 40), { 2 ^ 40 } },
      { "BOOL", "\1\0", { 1, 0 } },
    }
    for _, c in ipairs(cases) do
      file(('{"x":{"dtype":"%s","shape":[%d],"data_offsets":[0,%d]}}'):format(c[1], #c[3], #c[2]), c[2])
      assert.are.same(c[3], trit.safetensors.load(path).x:totable())
    end
  end)

  it("round to half precision to nearest even", function()
    local x = { 1, 1 + 2 ^ -11, 1 + 3 * 2 ^ -11, -65519, 65520, 2 ^ -25, 3 * 2 ^ -25, 1e-9, 2 ^ -14,
      1023.75 * 2 ^ -24 }
    local want = { 1, 1, 1 + 2 ^ -9, -65504, math.huge, 0, 2 ^ -23, 0, 2 ^ -14, 2 ^ -14 }
    assert.is_true(trit.safetensors.save(path, { x = trit.tensor(x) }, { dtype = "F16" }))
    assert.are.same(want, trit.safetensors.load(path).x:totable())
    assert.is_true(trit.safetensors.save(path, { x = trit.tensor { 1, 1 + 2 ^ -8, 1 + 3 * 2 ^ -8, 0 / 0 } },
      { dtype = "BF16" }))
    local b = trit.safetensors.load(path).x:totable()
    assert.are.same({ 1, 1, 1 + 2 ^ -6 }, { b[1], b[2], b[3] })
    assert.is_true(b[4] ~= b[4])
  end)

  it("write bytes as they are", function()
    assert.is_true(trit.safetensors.save(path, { codes = { dtype = "U8", shape = { 3 }, bytes = "\0\1\2" } }))
    local f <close> = assert(trit.safetensors.open(path))
    assert.are.equal("\0\1\2", f:bytes("codes"))
    assert.are.same({ 0, 1, 2 }, f:read("codes"):totable())
    raises('"x" has 2 bytes for U8 [3]', trit.safetensors.save, path,
      { x = { dtype = "U8", shape = { 3 }, bytes = "ab" } })
    raises('unknown option "type"', trit.safetensors.save, path, {}, { type = "F16" })
    raises("option dtype is \"I8\"", trit.safetensors.save, path, {}, { dtype = "I8" })
    raises("__metadata__ must map text to text", trit.safetensors.save, path, {}, { metadata = { a = 1 } })
    raises("__metadata__ is no name", trit.safetensors.save, path, { __metadata__ = trit.zeros { 1 } })
  end)

  it("say what is wrong with a file", function()
    local e = '"dtype":"F32","shape":[2],"data_offsets":'
    local cases = {
      { "", nil, "2 bytes are no safetensors file", raw = "ab" },
      { "", nil, "0 bytes are no safetensors file", raw = "" },
      { "{}", nil, "said to have 99 bytes but the file has 10", 99 },
      { "{}", nil, "said to have 18446744073709551615 bytes", -1 },
      { "[]", nil, "does not begin with {" },
      { " {}", nil, "does not begin with {" },
      { "{", nil, "not JSON" },
      { "{} x", nil, "goes on after its end" },
      { ("{\"a\":" .. ("["):rep(200000)), nil, "header" },
      { '{"a":1}', nil, 'tensor "a" is not an object' },
      { '{"a":{}}', nil, "has no dtype" },
      { '{"a":{"dtype":"F9","shape":[],"data_offsets":[0,0]}}', nil, 'has dtype "F9", which is not read' },
      { '{"a":{"dtype":"F32","data_offsets":[0,0]}}', nil, "has no shape" },
      { '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', "abcd", "has no shape" },
      { '{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}', "abcd", "has no shape" },
      { '{"a":{"dtype":"F32","shape":{"x":1},"data_offsets":[0,4]}}', "abcd", "has no shape" },
      { '{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}', "abcd", "9 dimensions" },
      { '{"a":{"dtype":"F32","shape":[1]}}', "abcd", "has no data_offsets" },
      { '{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', "abcd", "has no data_offsets" },
      { '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}', "abcd", "has no data_offsets" },
      { '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775808]}}', "abcd",
        "has no data_offsets" },
      { '{"a":{"dtype":"F32","shape":[3000000000,3000000000,3000000000],"data_offsets":[0,4]}}', "abcd",
        "has 4 bytes for F32 [3000000000,3000000000,3000000000]" },
      { '{"a":{' .. e .. "[0,8]}}", "abcd", "ends at byte 8 but there are 4" },
      { '{"a":{' .. e .. "[0,4]}}", "abcd", "has 4 bytes for F32 [2]" },
      { '{"a":{' .. e .. "[0,8]}}", "abcdefghi", "1 bytes after the last tensor" },
      { '{"a":{' .. e .. '[0,8]},"b":{' .. e .. "[4,12]}}", "abcdefghijkl",
        "begins at byte 4, the one before it ends at 8" },
      { '{"a":{' .. e .. '[0,8]},"b":{' .. e .. "[9,17]}}", "abcdefghijklmnopq", "begins at byte 9" },
      { '{"a":{' .. e .. '[0,8]},"a":{' .. e .. "[0,8]}}", "abcdefgh", "occurs twice" },
      { '{"__metadata__":1}', nil, "__metadata__ is not an object" },
      { '{"__metadata__":{"a":1}}', nil, "must map text to text" },
    }
    for _, c in ipairs(cases) do
      if c.raw then spit(c.raw) else file(c[1], c[2], c[4]) end
      refused(c[3])
    end
    raises("cannot open " .. dir .. "/none", trit.safetensors.load, dir .. "/none")
    raises("safetensors:", trit.safetensors.load, dir)
    file('{"a":{"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,0]}}')
    local ok, err = pcall(trit.safetensors.load, path)
    assert.is_true(ok or tostring(err):find("tensor", 1, true) ~= nil, tostring(err))
  end)

  it("survive any damage with a sentence or a table", function()
    trit.safetensors.save(path, { ["conv1.weight"] = trit.ones { 2, 3 }, ["fc.bias"] = trit.ones { 4 } },
      { metadata = { made = "here" } })
    local whole, state = slurp(), 12345
    local function random(n) -- a small generator: the same damage in every run
      state = (state * 1103515245 + 12345) & 0x7fffffff
      return (state >> 8) % n
    end
    for _ = 1, 800 do
      local text = whole
      for _ = 0, random(3) do
        local at, kind = 1 + random(#text), random(4)
        if kind == 0 then
          text = text:sub(1, at - 1)
        elseif kind == 1 then
          text = text:sub(1, at - 1) .. string.char(random(256)) .. text:sub(at + 1)
        elseif kind == 2 then
          text = text:sub(1, at) .. text:sub(1 + random(#text))
        else
          text = text:sub(1, at - 1) .. tostring(random(1 << 20)) .. text:sub(at)
        end
        if text == "" then text = "x" end
      end
      spit(text)
      local ok, err = pcall(trit.safetensors.load, path)
      if not ok then assert.is_truthy(tostring(err):find("safetensors: ", 1, true), tostring(err)) end
    end
  end)

  it("leave the old file when writing fails", function()
    trit.safetensors.save(path, { a = trit.ones { 1 } })
    assert.is_true(uv.fs_mkdir(path .. ".tmp", 493))
    local ok, why = trit.safetensors.save(path, { a = trit.zeros { 1 } })
    os.remove(path .. ".tmp")
    assert.is_nil(ok)
    assert.is_truthy(why:find("safetensors: cannot write", 1, true))
    assert.are.same({ 1 }, trit.safetensors.load(path).a:totable())
    ok, why = trit.safetensors.save(dir .. "/none/x", {})
    assert.is_nil(ok)
    assert.is_truthy(why:find("cannot write", 1, true))
  end)
end)
