-- tier: full
-- libtrit_infer: packed networks without HDF5, BLIS and Lua, and without the libraries of pictures in a
-- program that reads none; the same classes and probabilities as libtrit.
local trit = require "trit"
local lfs = require "lfs"

local source = os.getenv("TRIT_SOURCE") or "."
local build = os.getenv("TRIT_BUILD") or source .. "/build"
local infer = trit.infer

local function shell(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read("a")
  local _, _, code = pipe:close()
  return text, code
end

--- Names of the shared libraries a program loads.
local function libraries(program)
  local list = {}
  for name in shell(("ldd '%s'"):format(program)):gmatch("(lib[%w_+-]+)[^\n]*%.so") do list[name] = true end
  return list
end

local FOREIGN = { "hdf5", "blis", "lua", "xxhash", "protobuf" }
local PICTURES = { "jpeg", "spng", "libz" }

local function none_of(list, words)
  for name in pairs(list) do
    for _, word in ipairs(words) do assert.is_nil(name:find(word), name) end
  end
end

describe("libtrit_infer", function()
  local dir = os.tmpname()
  local model, net

  setup(function()
    os.remove(dir)
    lfs.mkdir(dir)
    net = trit.models.resnet8 { classes = 10, seed = 3 }
    trit.quantize(net, { { ".*", trit.quant.twn {} } })
    model = infer.export(net:eval(), { data = { shape = { 3, 32, 32 } } })
    assert(model:save(dir .. "/net.trit"))
  end)

  teardown(function() os.execute("rm -rf " .. dir) end)

  it("needs no library beyond libc and libm", function()
    if not lfs.attributes(build .. "/tests/alone_numbers") then return pending("no examples built") end
    local numbers = libraries(build .. "/tests/alone_numbers")
    local classify = libraries(build .. "/tests/alone_classify")
    assert.is_true(numbers.libc)
    none_of(numbers, FOREIGN)
    none_of(numbers, PICTURES)
    none_of(classify, FOREIGN)
    assert.is_true(classify.libturbojpeg)
    -- Nothing the archive leaves open belongs to them either.
    local symbols = shell(("nm -u '%s/core/libtrit_infer.a'"):format(build))
    assert.matches("U malloc", symbols)
    for _, prefix in ipairs { "H5", "bli_", "lua", "XXH" } do
      assert.is_nil(symbols:find("U " .. prefix), prefix)
    end
  end)

  it("computes what the runner of the Lua module computes", function()
    if not lfs.attributes(build .. "/tests/alone_numbers") then return pending("no examples built") end
    local x = trit.randn({ 1, 3, 32, 32 }, { seed = 4 })
    local file = assert(io.open(dir .. "/x", "wb"))
    for h = 1, 32 do
      for w = 1, 32 do
        for c = 1, 3 do file:write(string.pack("<f", x:get(1, c, h, w))) end
      end
    end
    file:close()
    local said, code = shell(("'%s/tests/alone_numbers' %s/net.trit <%s/x"):format(build, dir, dir))
    assert.equal(0, code, said)
    local p = trit.softmax(model:runner {}:run(x), { axis = -1 })
    local class, probability = said:match("^(%d+) ([%d.]+)\n$")
    assert.equal(math.tointeger(trit.argmax(p, { axis = -1 }):item()), tonumber(class) + 1)
    assert.is_true(math.abs(p:max():item() - tonumber(probability)) < 1e-5)
    said, code = shell(("'%s/tests/alone_numbers' %s/net.trit </dev/null"):format(build, dir))
    assert.equal("numbers: the model takes 3072 numbers\n1", said .. code)
  end)
end)
