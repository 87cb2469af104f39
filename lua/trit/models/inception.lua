--- Inception-v3 (Szegedy et al. 2016; methods 2.16): convolutions without bias, each with batch norm
-- (eps 1e-3) and ReLU; 299x299 pixels go through a stem and eleven mixed blocks of parallel branches.
--
--   trit.models.inception_v3 { classes = 1000, aux = true }
--
-- Names are torchvision's.  In training mode the module returns logits and the auxiliary head's logits;
-- the trainer adds the loss of those times aux_weight (0.4).  The published recipe smooths labels by
-- 0.1: trit.train { label_smoothing = 0.1 }.  Initial weights are normal, cut at two standard deviations:
-- 0.1, and 0.01 and 0.001 in the auxiliary head.  Parameters at 1000 classes: 27 161 264 with the
-- head, 23 834 568 without; without it images may be as small as 75 pixels.

local core = require "trit.core"
local nn = require "trit.nn"

local ops = core.ops

local EPS, STD, CUT = 1e-3, 0.1, 2
local AUX_SIZE = 299 -- smaller images leave the head's 5x5 convolution nothing to stand on

-- A convolution is { name, channels, kernel, stride, padding }; padding keeps the size at stride 1
-- unless it says so, and is 0 at stride 2.
local stem = {
  { "Conv2d_1a_3x3", 32, 3, 2 }, { "Conv2d_2a_3x3", 32, 3, 1, 0 }, { "Conv2d_2b_3x3", 64, 3 }, "max",
  { "Conv2d_3b_1x1", 80, 1 }, { "Conv2d_4a_3x3", 192, 3, 1, 0 }, "max",
}

-- A mixed block is a list of branches, joined along the channels; a branch is a chain of convolutions and
-- pools that may end in a fork of two.
local function block_a(pooled)
  return {
    { { "branch1x1", 64, 1 } },
    { { "branch5x5_1", 48, 1 }, { "branch5x5_2", 64, 5 } },
    { { "branch3x3dbl_1", 64, 1 }, { "branch3x3dbl_2", 96, 3 }, { "branch3x3dbl_3", 96, 3 } },
    { "avg", { "branch_pool", pooled, 1 } },
  }
end

local block_b = {
  { { "branch3x3", 384, 3, 2 } },
  { { "branch3x3dbl_1", 64, 1 }, { "branch3x3dbl_2", 96, 3 }, { "branch3x3dbl_3", 96, 3, 2 } },
  { "max" },
}

local ROW, COLUMN = { 1, 7 }, { 7, 1 }

local function block_c(c)
  return {
    { { "branch1x1", 192, 1 } },
    { { "branch7x7_1", c, 1 }, { "branch7x7_2", c, ROW }, { "branch7x7_3", 192, COLUMN } },
    { { "branch7x7dbl_1", c, 1 }, { "branch7x7dbl_2", c, COLUMN }, { "branch7x7dbl_3", c, ROW },
      { "branch7x7dbl_4", c, COLUMN }, { "branch7x7dbl_5", 192, ROW } },
    { "avg", { "branch_pool", 192, 1 } },
  }
end

local block_d = {
  { { "branch3x3_1", 192, 1 }, { "branch3x3_2", 320, 3, 2 } },
  { { "branch7x7x3_1", 192, 1 }, { "branch7x7x3_2", 192, ROW }, { "branch7x7x3_3", 192, COLUMN },
    { "branch7x7x3_4", 192, 3, 2 } },
  { "max" },
}

local block_e = {
  { { "branch1x1", 320, 1 } },
  { { "branch3x3_1", 384, 1 },
    { fork = { { "branch3x3_2a", 384, { 1, 3 } }, { "branch3x3_2b", 384, { 3, 1 } } } } },
  { { "branch3x3dbl_1", 448, 1 }, { "branch3x3dbl_2", 384, 3 },
    { fork = { { "branch3x3dbl_3a", 384, { 1, 3 } }, { "branch3x3dbl_3b", 384, { 3, 1 } } } } },
  { "avg", { "branch_pool", 192, 1 } },
}

local blocks = {
  { "Mixed_5b", block_a(32) }, { "Mixed_5c", block_a(64) }, { "Mixed_5d", block_a(64) },
  { "Mixed_6a", block_b }, { "Mixed_6b", block_c(128) }, { "Mixed_6c", block_c(160) },
  { "Mixed_6d", block_c(160) }, { "Mixed_6e", block_c(192) }, { "Mixed_7a", block_d },
  { "Mixed_7b", block_e }, { "Mixed_7c", block_e },
}
local AUX_AFTER = "Mixed_6e"

local pools = {
  max = function(x) return ops.max_pool(x, { kernel = 3, stride = 2 }) end,
  avg = function(x) return ops.avg_pool(x, { kernel = 3, stride = 1, padding = 1 }) end,
}

local BasicConv = nn.class("basic_conv")

local function padding_of(row)
  if row[5] then return row[5] end
  if (row[4] or 1) ~= 1 then return 0 end
  local k = type(row[3]) == "table" and row[3] or { row[3], row[3] }
  return { k[1] // 2, k[2] // 2 }
end

function BasicConv:init(cin, row, seed, std)
  self.conv = nn.conv2d { cin, row[2], kernel = row[3], stride = row[4] or 1, padding = padding_of(row),
    std = std or STD, cut = CUT, seed = seed() }
  self.bn = nn.batch_norm { row[2], eps = EPS }
end

function BasicConv:forward(x) return nn.relu(self.bn(self.conv(x))) end

--- Make the convolutions of a chain as children of `m`; returns the channels that come out.
local function build(m, chain, cin, seed)
  for _, step in ipairs(chain) do
    if step.fork then
      local out = 0
      for _, row in ipairs(step.fork) do
        m[row[1]] = BasicConv(cin, row, seed)
        out = out + row[2]
      end
      return out
    elseif not pools[step] then
      m[step[1]] = BasicConv(cin, step, seed)
      cin = step[2]
    end
  end
  return cin
end

--- Run a chain; what comes out is appended to `results`.
local function run(m, chain, x, results)
  for _, step in ipairs(chain) do
    if step.fork then
      for _, row in ipairs(step.fork) do results[#results + 1] = m[row[1]](x) end
      return
    end
    x = pools[step] and pools[step](x) or m[step[1]](x)
  end
  results[#results + 1] = x
end

local Mixed = nn.class("mixed")

function Mixed:init(cin, branches, seed)
  self.branches, self.out = branches, 0
  for _, chain in ipairs(branches) do self.out = self.out + build(self, chain, cin, seed) end
end

function Mixed:forward(x)
  local results = {}
  for _, chain in ipairs(self.branches) do run(self, chain, x, results) end
  results[#results + 1] = { axis = 2 }
  return ops.concat(table.unpack(results))
end

local Aux = nn.class("aux_head")

function Aux:init(cin, classes, seed)
  self.conv0 = BasicConv(cin, { "conv0", 128, 1 }, seed)
  self.conv1 = BasicConv(128, { "conv1", 768, 5, 1, 0 }, seed, 0.01)
  self.fc = nn.linear { 768, classes, std = 0.001, cut = CUT, seed = seed() }
end

function Aux:forward(x)
  x = self.conv1(self.conv0(ops.avg_pool(x, { kernel = 5, stride = 3 })))
  return self.fc(ops.global_avg_pool(x))
end

local Inception = nn.class("inception")

function Inception:init(o)
  local seed = nn.seeds(o.seed)
  local cin = build(self, stem, o.channels, seed)
  for _, block in ipairs(blocks) do
    self[block[1]] = Mixed(cin, block[2], seed)
    cin = self[block[1]].out
    if block[1] == AUX_AFTER and o.aux then self.AuxLogits = Aux(cin, o.classes, seed) end
  end
  self.aux_weight = o.aux_weight
  self.dropout = nn.dropout { p = o.dropout, seed = seed() }
  self.fc = nn.linear { cin, o.classes, std = STD, cut = CUT, seed = seed() }
end

function Inception:forward(x)
  local results, aux = {}, nil
  run(self, stem, x, results)
  x = results[1]
  for _, block in ipairs(blocks) do
    x = self[block[1]](x)
    local head = block[1] == AUX_AFTER and self.training and rawget(self, "AuxLogits")
    if head then aux = head(x) end
  end
  return self.fc(self.dropout(ops.global_avg_pool(x))), aux
end

local function make(_, o)
  if o.aux and o.size < AUX_SIZE then
    core.raise(("inception_v3: the auxiliary head needs images of %d pixels or more, size is %d; "
      .. "aux = false leaves it out"):format(AUX_SIZE, o.size))
  end
  return Inception(o)
end

return {
  doc = "Inception-v3 with auxiliary head (Szegedy et al. 2016)",
  options = {
    classes = { 1000 }, size = { 299, min = 75 },
    aux = { true, doc = "auxiliary head in training; needs 299 pixels" },
    aux_weight = { 0.4, min = 0, doc = "of the auxiliary head's loss" },
    dropout = { 0.5, min = 0, max = 1, doc = "probability, before the classifier" },
  },
  members = { inception_v3 = {} },
  make = make,
}
