-- tier: fast
-- Options: a misspelt name, a fraction where a count belongs, a value out of range are one sentence at
-- the script's line.
local trit = require "trit"
local nn = trit.nn

local function refuses(sentence, fn)
  it("refuse: " .. sentence, function()
    local ok, message = pcall(fn)
    assert.is_false(ok)
    assert.matches("^[^\n]*test_options%.lua:%d+: [^\n]*$", message)
    assert.is_truthy(message:find(": " .. sentence, 1, true), message)
  end)
end

describe("models", function()
  refuses('resnet20: unknown option "clases"; known: ', function() trit.models.resnet20 { clases = 10 } end)
  refuses('small: unknown option "sed"; known: ', function() trit.models.create("small", { sed = 1 }) end)
  refuses('unknown model "resnet21"; known: ', function() trit.models.create("resnet21") end)
  refuses('resnet8: options must be a table, got number', function() trit.models.resnet8(10) end)
end)

describe("layers", function()
  local conv = nn.conv2d
  refuses('conv2d: unknown option "strid"; known: ', function() conv { 3, 4, kernel = 3, strid = 2 } end)
  refuses("conv2d: unknown option 3; known: ", function() conv { 3, 4, 5, kernel = 3 } end)
  refuses("conv2d: needs { in, out, kernel = k }", function() conv { 3, 4 } end)
  refuses("conv2d: groups is 2 but must divide in, 3, and out, 4",
    function() conv { 3, 4, kernel = 3, groups = 2 } end)
  refuses("conv2d: groups must be a whole number >= 1, got 3.7",
    function() conv { 4, 4, kernel = 3, groups = 3.7 } end)
  refuses("conv2d: kernel must be a whole number >= 1, got 2.5", function() conv { 4, 4, kernel = 2.5 } end)
  refuses("conv2d: kernel[2] must be a whole number >= 1, got 0",
    function() conv { 4, 4, kernel = { 3, 0 } } end)
  refuses("conv2d: in must be a whole number >= 1, got x", function() conv { "x", 4, kernel = 3 } end)
  refuses("conv2d: option stride is 1.5 but must be a whole number", function()
    conv { 1, 1, kernel = 3, stride = 1.5 }(trit.zeros { 1, 1, 8, 8 })
  end)
  refuses('linear: unknown option "bais"; known: ', function() nn.linear { 3, 4, bais = false } end)
  refuses("linear: out must be a whole number >= 1, got 0", function() nn.linear { 3, 0 } end)
  refuses('batch_norm: unknown option "ep"; known: ', function() nn.batch_norm { 3, ep = 1 } end)
  refuses("batch_norm: channels must be a whole number >= 1, got -1", function() nn.batch_norm { -1 } end)
  refuses("dropout: unknown option 1; known: p, seed", function() nn.dropout { 1.5 } end)
  refuses("dropout: p is 1.5 but must lie in [0, 1]", function() nn.dropout { p = 1.5 } end)
  refuses("sequential: element 2 is a number, not a module",
    function() nn.sequential { nn.linear { 2, 2 }, 3 } end)
  refuses('sequential: unknown option "x"; known: none',
    function() nn.sequential { x = nn.linear { 2, 2 } } end)
  refuses("lambda: needs a function, got nil", function() nn.lambda() end)

  it("take every documented option", function()
    local x = trit.randn({ 2, 4, 8, 8 }, { seed = 1 })
    local y = conv { 4, 6, kernel = { 3, 1 }, stride = { 1, 2 }, padding = { 1, 0 }, dilation = 1, groups = 2,
      bias = true, seed = 3 }(x)
    assert.are.same({ 2, 6, 8, 4 }, y:shape())
    y = nn.sequential { nn.batch_norm { 6, momentum = 0.2, eps = 1e-3 }, nn.dropout { p = 0, seed = 1 } }(y)
    assert.are.same({ 2, 6, 8, 4 }, y:shape())
    assert.are.same({ 2, 3 }, nn.linear({ 4, 3, bias = false, seed = 2 })(trit.zeros { 2, 4 }):shape())
    assert.are.equal(0, #nn.sequential({}):parameters())
  end)
end)

describe("ops", function()
  local x, w = trit.zeros { 1, 4, 8, 8 }, trit.zeros { 4, 4, 3, 3 }
  for _, name in ipairs { "stride", "padding", "dilation" } do
    refuses(("conv2d: option %s is 1.5 but must be a whole number"):format(name),
      function() trit.conv2d(x, w, { [name] = 1.5 }) end)
  end
  refuses("conv2d: option groups is 3.7 but must be a whole number",
    function() trit.conv2d(x, trit.zeros { 4, 1, 3, 3 }, { groups = 3.7 }) end)
  refuses("max_pool: option kernel is 2.5 but must be a whole number",
    function() trit.max_pool(x, { kernel = 2.5 }) end)
  refuses("slice: option start is 0.5 but must be a whole number",
    function() x:slice { start = { 0.5, 0, 0, 0 }, stop = { 1, 1, 1, 1 } } end)
  refuses("sum: option axes is 1.5 but must be a whole number", function() x:sum { axes = { 1.5 } } end)
  refuses("softmax: option axis is 1.5 but must be a whole number", function() x:softmax { axis = 1.5 } end)
  refuses("topk_correct: option k is 1.5 but must be a whole number",
    function() trit.topk_correct(trit.zeros { 2, 3 }, trit.ones { 2 }, { k = 1.5 }) end)
  refuses("data: option batch is 1.5 but must be a whole number",
    function() trit.data.open("shapes10:train=64,test=32", { batch = 1.5 }) end)
end)

describe("tensors", function()
  refuses('randn: unknown option "sed"; known: ', function() trit.randn({ 2 }, { sed = 1 }) end)
  refuses('rand: unknown option "std"; known: ', function() trit.rand({ 2 }, { std = 1 }) end)
  refuses('zeros: unknown option "layot"; known: layout',
    function() trit.zeros({ 2 }, { layot = "hwio" }) end)
  refuses("randn: seed must be a whole number >= 0, got -1",
    function() trit.randn({ 2 }, { seed = -1 }) end)
  refuses("rand: seed must be a whole number >= 0, got 1.5", function() trit.rand({ 2 }, { seed = 1.5 }) end)
end)

describe("trit.fn", function()
  local f = function(_, x) return x end
  refuses('fn: unknown option "backwards"; known: backward, forward, name',
    function() trit.fn { forward = f, backwards = f, backward = f } end)
end)

describe("load_state_dict", function()
  local state = trit.models.small({}):state_dict()
  state["fc2.bias"] = trit.zeros { 3 }
  refuses('load_state_dict: "fc2.bias" is f32[10] but f32[3] is to be loaded',
    function() trit.models.small({}):load_state_dict(state) end)

  local short, long = trit.models.small({}):state_dict(), trit.models.small({}):state_dict()
  short["fc2.bias"], long["fc3.bias"] = nil, trit.zeros { 3 }
  refuses('load_state_dict: "fc2.bias" is missing',
    function() return trit.models.small({}):load_state_dict(short) end)
  refuses('load_state_dict: "fc3.bias" is not a tensor of this model',
    function() return trit.models.small({}):load_state_dict(long) end)

  it("changes nothing when a tensor does not fit", function()
    local net = trit.models.small { seed = 7 }
    local before = net.conv1.weight:clone()
    assert.is_false(pcall(net.load_state_dict, net, state))
    assert.is_true(net.conv1.weight:equal(before))
  end)
end)
