-- tier: fast
-- numpy's files: written here byte by byte, and damaged.
local trit = require "trit"

local path = os.tmpname()

local function spit(text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

local function array(descr, shape, data, fortran, version)
  local head = ("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }"):format(descr,
    fortran and "True" or "False", shape)
  head = head .. (" "):rep(-(#head + 11) % 64) .. "\n"
  local length = (version or 1) == 1 and string.pack("<I2", #head) or string.pack("<I4", #head)
  return "\x93NUMPY" .. string.char(version or 1, 0) .. length .. head .. data
end

--- A zip of { name, bytes, method } entries, without checksums.
local function zip(entries)
  local body, list = "", ""
  for _, e in ipairs(entries) do
    local name, bytes, method = e[1], e[2], e[3] or 0
    list = list .. "PK\1\2" .. string.pack("<I2I2I2I2I2I2I4I4I4I2I2I2I2I2I4I4", 20, 20, 0, method, 0, 0, 0,
      #bytes, #bytes, #name, 0, 0, 0, 0, 0, #body) .. name
    body = body .. "PK\3\4" .. string.pack("<I2I2I2I2I2I4I4I4I2I2", 20, 0, method, 0, 0, 0, 0xffffffff,
      0xffffffff, #name, 4) .. name .. "\1\0\0\0" .. bytes
  end
  return body .. list .. "PK\5\6" .. string.pack("<I2I2I2I2I4I4I2", 0, 0, #entries, #entries, #list, #body, 0)
end

local function raises(pattern, text)
  spit(text)
  local ok, err = pcall(trit.npy.load, path)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(pattern, 1, true), tostring(err))
  assert.is_truthy(tostring(err):find("test_npy.lua:", 1, true), tostring(err))
end

describe("npy", function()
  teardown(function() os.remove(path) end)

  local floats = string.pack("<ffffff", 1, 2, 3, 4, 5, 6)

  it("reads arrays", function()
    spit(array("<f4", "2, 3", floats))
    assert.are.same({ { 1, 2, 3 }, { 4, 5, 6 } }, trit.npy.load(path):totable())
    spit(array("<f4", "2, 3", floats, true))
    assert.are.same({ { 1, 3, 5 }, { 2, 4, 6 } }, trit.npy.load(path):totable())
    spit(array("<i8", "2,", string.pack("<i8i8", -3, 1 << 40), false, 2))
    assert.are.same({ -3, 2 ^ 40 }, trit.npy.load(path):totable())
    spit(array("|b1", "", "\1"))
    assert.are.equal(1, trit.npy.load(path):item())
    spit(array("<f4", "0, 3", ""))
    assert.are.same({ 0, 3 }, trit.npy.load(path):shape())
  end)

  it("reads archives", function()
    spit(zip { { "w.npy", array("<f4", "6,", floats) }, { "b.npy", array("|u1", "2,", "\3\200") } })
    local all = trit.npy.load(path)
    assert.are.same({ 1, 2, 3, 4, 5, 6 }, all.w:totable())
    assert.are.same({ 3, 200 }, all.b:totable())
  end)

  it("says what is wrong", function()
    local good = array("<f4", "2, 3", floats)
    raises("not numpy's format", "hello")
    raises("not numpy's format", "")
    raises("version 9 of the format", array("<f4", "1,", "abcd", false, 9))
    raises("the header is cut off", good:sub(1, 40))
    raises("needs 24 bytes, there are 20", good:sub(1, -5))
    raises("numbers of kind >f4", array(">f4", "1,", "abcd"))
    raises("numbers of kind |O", array("|O", "1,", "abcd"))
    raises("no header of plain numbers", array("<f4", "x", "abcd"))
    raises("9 dimensions", array("<f4", "1,1,1,1,1,1,1,1,1", "abcd"))
    raises("a dimension of 99999999999999999999", array("<f4", "99999999999999999999,", "abcd"))
    raises("w.npy is compressed; numpy.savez writes", zip { { "w.npy", good, 8 } })
    raises("the archive has no end", zip({ { "w.npy", good } }):sub(1, -10))
    local ok, err = pcall(trit.npy.load, path .. "/none")
    assert.is_false(ok)
    assert.is_truthy(err:find("npy: cannot open", 1, true), err)
  end)

  it("survives any damage with a sentence or a result", function()
    local whole, state = zip { { "w.npy", array("<f4", "6,", floats) } }, 99
    local function random(n)
      state = (state * 1103515245 + 12345) & 0x7fffffff
      return (state >> 8) % n
    end
    for _ = 1, 1000 do
      local at = 1 + random(#whole)
      local text = random(2) == 0 and whole:sub(1, at) or
        whole:sub(1, at - 1) .. string.char(random(256)) .. whole:sub(at + 1)
      spit(text)
      local ok, err = pcall(trit.npy.load, path)
      assert.is_true(ok or tostring(err):find("npy: '", 1, true) ~= nil, tostring(err))
    end
  end)
end)
