-- tier: full
-- Rectifiers of all families of networks in front of quantizers that look at signs, and of float layers.
local trit = require "trit"

describe("quantizers of signs", function()
  -- One network of every family, the first and last layer float as in the published networks.
  for name, o in pairs { resnet8 = {}, resnet18 = { size = 32 }, resnext50_32x4d = { size = 32 },
    densenet_bc_40_12 = {}, mobilenet_v2 = { size = 32 }, lenet5 = {}, vgg_small = { width = 8 },
    alexnet_bn = { size = 95 }, inception_v3 = { size = 75, aux = false }, small = {} } do
    it("see both signs, and a float classifier none below 0: " .. name, function()
      o.classes = 4
      local net, layers, least = trit.models.create(name, o), {}, {}
      for weight, layer in net:quantizable() do layers[#layers + 1] = { weight, layer } end
      local first, last = layers[1][1], layers[#layers]
      trit.quantize_activations(net, { { "^" .. first:gsub("%p", "%%%0") .. "$", false },
        { "^" .. last[1]:gsub("%p", "%%%0") .. "$", false }, { ".*", trit.act.bnn {} } })
      for _, l in ipairs(layers) do
        rawset(l[2].input or l[2], "forward", function(self, x)
          least[l[1]] = x:min():item()
          return getmetatable(self).forward(self, x)
        end)
      end
      local image = trit.models.info(name).options
      local x = trit.randn({ 4, image.channels[1], o.size or image.size[1], o.size or image.size[1] },
        { seed = 5 })
      trit.no_grad(function() net(x) end)
      for i = 2, #layers - 1 do assert.is_true(least[layers[i][1]] < 0, layers[i][1]) end
      assert.is_true(least[last[1]] >= 0)
    end)
  end

  it("see both signs in an auxiliary head, which runs in training alone", function()
    local net = trit.models.inception_v3 { classes = 4, size = 299 }
    trit.quantize_activations(net, { { "^AuxLogits%.conv1", trit.act.bnn {} } })
    local least
    rawset(net.AuxLogits.conv1.conv.input, "forward", function(_, x)
      least = x:min():item()
      return x
    end)
    trit.no_grad(function() net(trit.randn({ 2, 3, 299, 299 }, { seed = 5 })) end)
    assert.is_true(least < 0)
  end)
end)
