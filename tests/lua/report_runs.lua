-- Runs without training, and checks of pages, for the tests of the report.
local assert = require "luassert"
local core = require "trit.core"
local runlog = require "trit.runlog"

local M = {}

--- A run of `o.layers` layers and `o.epochs` epochs without training.
function M.make(path, o)
  local layers = {}
  for k = 1, o.layers do
    layers[k] = { name = ("layer%d.conv.weight"):format(k), quantizer = o.quantizer,
      options = { init = o.params.init } }
  end
  local log = assert(runlog.create(path, { bins = o.bins, shapiro = o.layers < 10,
    config = { model = "resnet20", quantizer = o.quantizer, params = o.params, layers = layers } }))
  local w = core.randn({ 500 }, { seed = o.params.seed or 1 })
  local codes = core.ops.sign(w)
  for epoch = 1, o.epochs do
    for step = 1, o.steps or 3 do
      log:train { step = (epoch - 1) * (o.steps or 3) + step, epoch = epoch, loss = 1 / epoch, lr = 0.1 }
    end
    local step = epoch * (o.steps or 3)
    log:val { step = step, epoch = epoch, top1 = o.top1 - 0.1 / epoch, loss = 1 / epoch, zeros = o.zeros }
    for k, layer in ipairs(layers) do
      local ternary = o.quantizer ~= "float"
      log:layer(layer.name, { step = step, epoch = epoch, weights = w, codes = ternary and codes or nil,
        threshold = ternary and 0.1 * k + 0.02 * epoch or nil, center = ternary and 0.05 or nil,
        scale = ternary and 1.1 or nil })
    end
  end
  log:finish("complete")
end

local VOID = { meta = true }

--- Check that elements nest and ids are unique, that texts hold no bare "<" or "&"; returns the tags
-- counted.
function M.well_formed(text)
  local stack, count, ids = {}, {}, {}
  text = text:gsub("^<!DOCTYPE html>\n", "")
  for _, raw in ipairs { "script", "style" } do
    text = text:gsub("(<" .. raw .. ">).-(</" .. raw .. ">)", "%1%2")
  end
  local at = 1
  while true do
    local first, last, close, name, attributes, empty = text:find("<(/?)([%w]+)([^<>]-)(/?)>", at)
    local between = text:sub(at, (first or #text + 1) - 1)
    assert.is_nil(between:find("<", 1, true), "a bare < in: " .. between:sub(1, 80))
    assert.is_nil(between:gsub("&%w+;", ""):find("&", 1, true), "a bare & in: " .. between:sub(1, 80))
    if not first then break end
    if close == "/" then
      assert.equal(table.remove(stack), name, "at " .. text:sub(math.max(1, first - 60), last))
    else
      count[name] = (count[name] or 0) + 1
      local rest = attributes:gsub('%s+[%w%-]+="[^"<]*"', "")
      assert.equal("", (rest:gsub("%s", "")), "attributes of " .. name .. ": " .. attributes)
      local id = attributes:match('%sid="([^"]*)"')
      if id then
        assert.is_nil(ids[id], "id twice: " .. id)
        ids[id] = true
      end
      if empty == "" and not VOID[name] then stack[#stack + 1] = name end
    end
    at = last + 1
  end
  assert.same({}, stack)
  for target in text:gmatch('href="#([^"]*)"') do
    assert.is_true(ids[target], "a link to nowhere: #" .. target)
  end
  return count
end

--- Nothing in it may lead outside.
function M.closed(text)
  for _, pattern in ipairs { "https?://", "src=", "url%(", "@import", "<link", "<iframe", "<object",
    'href="[^#]', "fetch%(", "XMLHttpRequest", "WebSocket", "import%(" } do
    assert.is_nil(text:match(pattern), pattern)
  end
  assert.is_truthy(text:find("default-src 'none'", 1, true))
end

return M
