-- tier: fast
-- A training that stops and goes on is, bit for bit, one that never stopped.
local trit = require "trit"
local checkpoint = require "trit.checkpoint"
local compare = require "tests.tools.compare_runs"
local lfs = require "lfs"
local runfile = require "trit.runfile"
local uv = require "luv"

-- In memory where there is such a place: hundreds of small checkpoints wait for a disk otherwise.
local shm = lfs.attributes("/dev/shm", "mode") == "directory" and "/dev/shm" or "/tmp"
local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or shm) .. "/trit-resume-XXXXXX"))
uv.os_setenv("TRIT_CACHE", dir .. "/cache")

local SPEC = "shapes10:train=120,test=40,size=16"
local BATCHES = 6 -- of an epoch
local EPOCHS = 3

local function open()
  return trit.data.open(SPEC, { batch = 20, augment = { "crop", "flip" }, seed = 3, workers = 2 })
end

local function dropout_net()
  local nn = trit.nn
  return nn.sequential { nn.conv2d { 3, 8, kernel = 3, padding = 1, seed = 1 }, nn.batch_norm { 8 },
    nn.lambda(trit.relu), nn.dropout { p = 0.3, seed = 7 }, nn.lambda(trit.global_avg_pool),
    nn.dropout { p = 0.1, seed = 8 }, nn.linear { 8, 10, seed = 2 } }
end

-- Kinds of training: each call makes everything anew, as a script does when it is run again.
local kinds = {}

function kinds.tga(option)
  option = option or { init = 0.1 }
  local net = trit.quantize(trit.models.small { seed = 1 }, { { ".*", trit.quant.tga(option) } })
  return { model = net, lr_th = 0.01, optimizer = trit.optim.sgd(net:parameters(),
    { lr = 0.05, momentum = 0.9, nesterov = true, weight_decay = 1e-4 }),
    schedule = trit.schedule.cosine { epochs = EPOCHS } }
end

function kinds.alternate()
  local o = kinds.tga()
  o.schedule_mode, o.accumulate = "alternate", 2
  return o
end

for _, mode in ipairs { "sequential", "joint" } do -- groups of five batches, two of them across epochs
  kinds[mode .. "_accumulated"] = function()
    local o = kinds.tga { init = 0.1, th_grad_clamp = "none" } -- a limit would hide what gradients lack
    o.schedule_mode, o.accumulate, o.lr_th = mode, 5, 0.001
    return o
  end
end

-- Draws, states and what follows the schedule: masks that grow, a layer that sleeps, one that settles.
function kinds.scheduled()
  local net = trit.quantize(trit.models.small { seed = 1 }, {
    { "^conv1", trit.quant.rpr { draws = 4 } }, { "^fc1", trit.quant.uniq {} },
    { "^conv2", trit.quant.binaryconnect { mode = "stochastic" } }, { "^fc2", trit.quant.inq {} } })
  trit.quantize_activations(net, { { "^conv2", trit.act.dorefa_gradient {} }, { "^fc2", trit.act.lsq {} } })
  trit.schemes.delay(net, { pattern = "^fc1", share = 0.4 })
  net.conv2.quantizer.stop = 0.7
  return { model = net, optimizer = trit.optim.sgd(net:parameters(), { lr = 0.05, momentum = 0.9 }),
    schedule = trit.schemes.follow(net, trit.schedule.cosine { epochs = EPOCHS }, EPOCHS) }
end

function kinds.ttq()
  local net = trit.quantize(trit.models.small { seed = 1 }, { { ".*", trit.quant.ttq {} } })
  return { model = net, optimizer = trit.optim.adam(net:parameters(), { lr = 0.002 }) }
end

function kinds.dropout_plateau()
  local net = dropout_net()
  return { model = net, accumulate = 4, clip_norm = 1, -- an accumulation spans the end of an epoch
    optimizer = trit.optim.adamw({ { params = net:parameters() } }, { lr = 0.003 }),
    schedule = trit.schedule.warmup { epochs = 0.5,
      after = trit.schedule.plateau { patience = 0, threshold = 0.9, factor = 0.7 } } }
end

function kinds.groups()
  local net = dropout_net()
  local list = net:parameters()
  local one, two = {}, {}
  for i, p in ipairs(list) do table.insert(i % 2 == 0 and one or two, p) end
  return { model = net, schedule = trit.schedule.exponential { factor = 0.9 },
    optimizer = trit.optim.rmsprop({ { params = one, lr = 0.003 }, { params = two, lr = 0.0007 } },
      { momentum = 0.5 }) }
end

-- Every run has series of its script's own beside those of trit.train.
local function note_step(run)
  if run.log then run.log:record("/mine", { step = run.step, twice = 2 * run.step }) end
end
local function note_epoch(e)
  if e.run.log then e.run.log:record("mine/epochs", { step = e.run.step, epoch = e.epoch }) end
end

local function options(kind, out, extra)
  local o = kinds[kind]()
  o.data, o.epochs, o.quiet, o.out = open(), EPOCHS, true, out
  o.hooks = { step = note_step, epoch = note_epoch }
  for name, value in pairs(extra or {}) do o[name] = value end
  return o
end

-- Notes go to stderr; here they are caught.
local told
local function train(o)
  local real = io.stderr
  told = ""
  rawset(io, "stderr", { write = function(_, text) told = told .. text end, flush = function() end })
  local ok, result = pcall(trit.train, o)
  rawset(io, "stderr", real)
  return ok, result
end

local function at_step(step, act)
  return { epoch = note_epoch, step = function(run)
    note_step(run)
    if run.step == step then act() end
  end }
end

local function raise_at(step) return at_step(step, function() error("stop here") end) end
local function signal_at(step, name) return at_step(step, function() uv.kill(uv.os_getpid(), name) end) end

local function same(a, b)
  local found, count = compare.differences(a, b)
  assert.same({}, found)
  assert.is_true(count > 10)
end

local function status(out) return assert(runfile.open(out)):status() end

local function spoil(path)
  local f = assert(io.open(path, "r+b"))
  f:seek("set", f:seek("end") // 2)
  local byte = f:read(1):byte()
  f:seek("cur", -1)
  f:write(string.char(byte ~ 16))
  f:close()
end

describe("a training", function()
  local number = 0
  local function place()
    number = number + 1
    return ("%s/%d"):format(dir, number)
  end
  local whole = {}
  for kind in pairs(kinds) do whole[kind] = dir .. "/whole-" .. kind end

  setup(function()
    for kind, out in pairs(whole) do assert(train(options(kind, out))) end
  end)
  teardown(function() os.execute("rm -rf '" .. dir .. "'") end)

  for kind, out in pairs(whole) do
    it("goes on with the same bits: " .. kind, function()
      local at = place()
      -- stopped in the first epoch, in the second, and at the very end
      for _, step in ipairs { 4, BATCHES + 3, 3 * BATCHES } do
        local ok, why = train(options(kind, at, { resume = true, hooks = raise_at(step),
          checkpoint_every = { steps = step % 2 + 1 } }))
        assert.is_false(ok)
        assert.matches("stop here", why)
        assert.equal("failed", status(at).status)
      end
      local ok, result = train(options(kind, at, { resume = true }))
      assert.is_true(ok, result)
      assert.equal(3, status(at).resumes)
      assert.equal(EPOCHS, result.epoch)
      same(out, at)
    end)
  end

  for _, name in ipairs { "sigterm", "sigusr1", "sigint" } do
    it(("stops at %s with status 75 and goes on"):format(name), function()
      local at = place()
      local ok, why = train(options("tga", at, { hooks = signal_at(8, name) }))
      assert.is_false(ok)
      assert.equal(75, why.exit)
      assert.matches("interrupted by " .. name:upper() .. " after step 8, epoch 2", tostring(why))
      assert.equal("interrupted", status(at).status)
      assert.equal(8, checkpoint.load(at).meta.run.step)
      assert(train(options("tga", at, { resume = true })))
      assert.matches("goes on after step 8, epoch 2", told)
      same(whole.tga, at)
    end)
  end

  it("stops between test batches too", function()
    local at = place()
    local o = options("dropout_plateau", at)
    local data, armed = o.data, false
    o.data = setmetatable({ test = function()
      local iterator, state, control, pass = data:test()
      local count = 0
      return function(...)
        count = count + 1
        if count == 2 and armed then uv.kill(uv.os_getpid(), "sigterm") end
        return iterator(...)
      end, state, control, pass
    end }, setmetatable({ __index = data }, { __index = getmetatable(data) }))
    o.hooks = at_step(2 * BATCHES, function() armed = true end)
    local ok, why = train(o)
    assert.is_false(ok)
    assert.equal(75, why.exit, tostring(why))
    assert.is_true(checkpoint.load(at).meta.run.cursor.trained)
    assert(train(options("dropout_plateau", at, { resume = true })))
    same(whole.dropout_plateau, at)
  end)

  it("goes back to the checkpoint before a damaged one, and says so", function()
    local at = place()
    train(options("tga", at, { hooks = raise_at(9), checkpoint_every = { steps = 4 } }))
    local list = checkpoint.list(at)
    assert.equal(8, checkpoint.load(at).meta.run.step)
    spoil(list[#list].path)
    assert(train(options("tga", at, { resume = true })))
    assert.matches("is damaged: its checksum does not match .* continuing from", told)
    assert.matches("goes on after step 6", told) -- the best of epoch 1
    same(whole.tga, at)
  end)

  it("refuses when no checkpoint is whole", function()
    local at = place()
    train(options("tga", at, { hooks = raise_at(9) }))
    for _, c in ipairs(checkpoint.list(at)) do spoil(c.path) end
    local ok, why = train(options("tga", at, { resume = true }))
    assert.is_false(ok)
    assert.matches("cannot resume .*damaged.*damaged", why)
  end)

  it("refuses when the options differ, naming them", function()
    local at = place()
    train(options("tga", at, { hooks = raise_at(9) }))
    local before = lfs.attributes(at .. "/run.h5", "modification")
    local ok, why = train(options("tga", at, { resume = true, epochs = EPOCHS + 1, label_smoothing = 0.1 }))
    assert.is_false(ok)
    assert.matches("test_resume.lua:%d+: train: cannot resume", why)
    assert.matches("epochs is 4 but was 3", why, 1, true)
    assert.matches("label_smoothing is 0.1 but was not set", why, 1, true)
    ok, why = train(options("tga", at, { resume = true,
      data = trit.data.open(SPEC, { batch = 20, augment = { "flip" }, seed = 4 }) }))
    assert.is_false(ok)
    assert.matches('data_augment is ["flip"] but was ["crop","flip"]', why, 1, true)
    assert.matches("data_options.seed is 4 but was 3", why, 1, true)
    assert.equal(before, lfs.attributes(at .. "/run.h5", "modification"))
  end)

  it("names once what differs alike in several places", function()
    local function made(epochs, init)
      return { epochs = epochs, params = { epochs = epochs, init = init },
        layers = { { options = { init = init } }, { options = { init = init } } } }
    end
    assert.equal("epochs is 6 but was 5; layers.1.options.init is 0.2 but was 0.1",
      (require("trit.config").differences(made(5, 0.1), made(6, 0.2))))
  end)

  it("says that there is nothing to resume and begins", function()
    local at = place()
    assert(train(options("tga", at, { resume = true })))
    assert.matches("nothing to resume in '" .. at:gsub("%p", "%%%0"), told)
    same(whole.tga, at)
  end)

  it("says that it is complete, with its result and its weights", function()
    local at = place()
    local o = options("tga", at)
    local _, result = train(o)
    local again = options("tga", at, { resume = true, hooks = raise_at(1) })
    local ok, same_result = train(again)
    assert.is_true(ok, same_result)
    assert.matches("is complete: 3 epochs", told)
    result.log_seconds, same_result.log_seconds = nil, nil -- the end of the run was logged after the last
    result.seconds, same_result.seconds = nil, nil         -- checkpoint
    result.checkpoint_seconds, same_result.checkpoint_seconds = nil, nil
    result.data_wait_seconds, same_result.data_wait_seconds = nil, nil
    assert.same(result, same_result)
    for name, t in pairs(again.model:state_dict()) do assert.is_true(t:equal(o.model:state_dict()[name])) end
    for _, c in ipairs(checkpoint.list(at)) do os.remove(c.path) end
    ok, result = train(options("tga", at, { resume = true }))
    assert.is_false(ok)
    assert.same({ 0, true }, { result.exit, result.message:match("is complete") ~= nil })
  end)

  it("tells quantizers that follow the schedule the time", function()
    local at = place()
    local o, again = options("scheduled", at), options("scheduled", at, { resume = true })
    assert(train(o))
    assert(train(again))
    local progress = o.model.conv1.quantizer.progress
    assert.is_true(progress > 0.9)
    for _, m in again.model:quantizable() do assert.equal(progress, m.quantizer.progress) end
  end)

  it("leaves a checkpoint from before a loss that is not finite", function()
    local at, calls = place(), 0
    local function loss(logits, y)
      calls = calls + 1
      return trit.cross_entropy(calls > 9 and logits / 0 or logits, y)
    end
    local ok, why = train(options("ttq", at, { loss = loss }))
    assert.is_false(ok)
    assert.matches("the loss is .*nan at epoch 2, step 10", why)
    assert.equal("failed", status(at).status)
    local c = checkpoint.load(at)
    assert.equal(6, c.meta.run.step)
    local other = place() -- in the first epoch: what it began with
    calls = 9
    train(options("ttq", other, { loss = loss }))
    assert.equal(0, checkpoint.load(other).meta.run.step)
  end)

  it("does not save weights that are not finite", function()
    local at = place()
    local ok, why = train(options("ttq", at, { hooks = { epoch = function(e)
      local w = e.run.model:parameters()[1]
      if e.epoch == 2 then w:copy(w:detach() / 0) end
    end } }))
    assert.is_false(ok)
    assert.matches("is not finite after step 12", why)
    assert.equal(6, checkpoint.load(at).meta.run.step)
  end)

  it("does not take the checkpoints of an earlier run for its own", function()
    local at = place()
    assert(train(options("tga", at)))
    local old = assert(io.open(checkpoint.list(at)[1].path, "rb")):read("a")
    train(options("tga", at, { hooks = raise_at(2) }))
    assert.equal(0, checkpoint.load(at).meta.run.step)
    assert.is_nil(lfs.attributes(at .. "/best.h5"))
    local f <close> = assert(io.open(at .. "/checkpoint-000077.h5", "wb"))
    f:write(old)
    f:flush()
    assert(train(options("tga", at, { resume = true })))
    assert.matches("goes on after step 0", told)
  end)

  it("does not overwrite an unfinished run", function()
    local at = place()
    train(options("tga", at, { hooks = raise_at(9) }))
    assert(train(options("tga", at)))
    assert.matches("an unfinished run was in .*it is now in '.*/before%-1'", told)
    same(whole.tga, at)
    assert(train(options("tga", at .. "/before-1", { resume = true })))
    assert.matches("goes on after step 6", told)
    same(whole.tga, at .. "/before-1")
    assert(train(options("tga", at)))
    assert.matches("a complete run was in .*it is now in '.*/before%-2'", told)
    same(whole.tga, at .. "/before-2")
  end)

  local function name_writer(at, pid)
    local f <close> = assert(io.open(at .. "/run.h5.lock", "w"))
    f:write(("%d %s\n"):format(pid, uv.os_gethostname()))
    f:flush()
  end

  -- A copy of the directory as kill -9 in step 9 would leave it.
  local function killed()
    local from, at = place(), place()
    train(options("tga", from, { hooks = at_step(9, function()
      os.execute(("cp -r '%s' '%s'"):format(from, at))
      error("stop here")
    end) }))
    name_writer(at, uv.os_getpid())
    return at
  end

  it("does not overwrite a killed run whose process number is in use", function()
    local at = killed()
    assert.equal("running", status(at).status)
    assert(train(options("tga", at)))
    assert.matches("an unfinished run was in", told)
    assert.equal(6, checkpoint.load(at .. "/before-1").meta.run.step)
  end)

  it("takes neither a dead process nor a later one for the writer", function()
    local at = killed()
    local handle, pid = uv.spawn("true", {}, function() end)
    repeat
      local stat = assert(io.open(("/proc/%d/stat"):format(pid)))
      local dead = stat:read("a"):match("%) Z")
      stat:close()
    until dead
    name_writer(at, pid)
    assert.equal("killed", status(at).status)
    handle:close()
    name_writer(at, uv.os_getpid())
    assert.equal("running", status(at).status)
    lfs.touch(at .. "/run.h5.lock", os.time() - 86400 * 3650)
    assert.equal("killed", status(at).status)
  end)

  it("fails when what is there cannot be moved", function()
    local at = killed()
    local real = lfs.mkdir
    rawset(lfs, "mkdir", function() return nil, "no room" end)
    local ok, why = train(options("tga", at))
    rawset(lfs, "mkdir", real)
    assert.is_false(ok)
    assert.matches("train: cannot move the run in '.*' to '.*/before%-1': no room", why)
    assert.equal(6, checkpoint.load(at).meta.run.step)
  end)

  it("keeps the checkpoints of a damaged run file", function()
    local at = place()
    train(options("tga", at, { hooks = raise_at(9) }))
    local f = assert(io.open(at .. "/run.h5", "wb"))
    f:write(("x"):rep(4096))
    f:close()
    local ok, why = train(options("tga", at, { resume = true }))
    assert.is_false(ok)
    assert.matches("without %-%-resume .* moves to .*before%-", why)
    assert(train(options("tga", at)))
    assert.matches("a damaged run was in", told)
    assert.equal(6, checkpoint.load(at .. "/before-1").meta.run.step)
  end)

  it("names the first of the weights that are not finite", function()
    for _ = 1, 5 do
      local o = options("ttq", place())
      o.hooks = { epoch = function()
        for _, p in ipairs(o.model:parameters()) do p:copy(p:detach() / 0) end
      end }
      local ok, why = train(o)
      assert.is_false(ok)
      assert.matches("train: conv1.bias is not finite", why)
    end
  end)

  it("has default directories that do not collide", function()
    local context = require "trit.context"
    local cwd = lfs.currentdir()
    local here = place()
    lfs.mkdir(here)
    lfs.chdir(here)
    local date = os.date
    rawset(os, "date", function() return "now" end)
    local dirs = {}
    for i = 1, 3 do
      context.base, context.trainings = nil, nil
      local _, result = train(options("ttq", nil, { max_steps = 1, checkpoint_every = false }))
      dirs[i] = type(result) == "table" and result.dir or result
    end
    rawset(os, "date", date)
    lfs.chdir(cwd)
    context.base, context.trainings, context.run_dir = nil, nil, nil
    assert.same({ "runs/train/now", "runs/train/now-2", "runs/train/now-3" }, dirs)
  end)

  it("keeps what else the script names", function()
    local function averaged(out, extra)
      local o = options("ttq", out, extra)
      local w = o.model:parameters()[1]
      local ema = { mean = w:detach():clone(), n = 0 }
      function ema.state_dict(e) return { tensors = { mean = e.mean }, n = e.n } end
      function ema.load_state_dict(e, s) e.n = s.n e.mean:copy(s.tensors.mean) end
      o.state, o.hooks = { ema = ema }, { step = function(run)
        ema.n = ema.n + 1
        ema.mean:copy(ema.mean * 0.9 + w:detach() * 0.1)
        if extra and extra.stop == run.step then error("stop here") end
      end }
      o.stop = nil
      return o, ema
    end
    local o, ema = averaged(place())
    assert(train(o))
    local at = place()
    train((averaged(at, { stop = 9, checkpoint_every = { steps = 4 } })))
    local again, other = averaged(at, { resume = true })
    assert(train(again))
    assert.matches("goes on after step 8", told)
    assert.equal(ema.n, other.n)
    assert.is_true(ema.mean:equal(other.mean))
    same(o.out, at)
  end)

  it("names an object that cannot be saved", function()
    local ok, why = train(options("tga", place(), { state = { ema = {} } }))
    assert.is_false(ok)
    assert.matches("state.ema has no state_dict and load_state_dict", why, 1, true)
  end)

  it("refuses when the run file lost records, or is being written", function()
    local at = place()
    train(options("tga", at, { hooks = raise_at(9), checkpoint_every = { steps = 1 } }))
    local log = assert(trit.runlog.resume(at, 3))
    local ok, why = train(options("tga", at, { resume = true }))
    assert.is_false(ok)
    assert.matches("is being written by process", why)
    log:finish("interrupted")
    ok, why = train(options("tga", at, { resume = true }))
    assert.is_false(ok)
    assert.matches("has %d records of '[^']+', %d are expected", why)
  end)

  it("counts what logging, checkpoints and waiting cost, stops included", function()
    local at = place()
    train(options("tga", at, { hooks = raise_at(9) }))
    local before = checkpoint.load(at).meta.run.cost
    local _, result = train(options("tga", at, { resume = true, quiet = false }))
    assert.matches("\ntrain: [%d.]+ s; of these logging [%d.]+ s %([%d.]+ %%%), checkpoints [%d.]+ s "
      .. "%([%d.]+ %%%), waiting for data [%d.]+ s %([%d.]+ %%%)\n$", told)
    local state = status(at)
    for _, what in ipairs { "log", "checkpoint", "data_wait" } do
      local seconds, percent = state[what .. "_seconds"], state[what .. "_percent"]
      assert.is_true(seconds >= before[what .. "_seconds"] and seconds < result.seconds, what)
      assert.is_true(math.abs(percent - 100 * seconds / result.seconds) < 1, what)
      assert.is_true(math.abs(result[what .. "_seconds"] - seconds) < 0.1, what)
    end
    assert.is_true(state.checkpoint_seconds > before.checkpoint_seconds)
  end)

  it("says what a killed run cost, in trit show", function()
    local at = killed()
    local state = status(at)
    assert.is_true(state.log_seconds > 0 and state.checkpoint_seconds > 0)
    local real, lines = print, ""
    rawset(_G, "print", function(text) lines = lines .. tostring(text) .. "\n" end)
    local ok, why = pcall(require("trit.cli.show").run, { run = at })
    rawset(_G, "print", real)
    assert.is_true(ok, why)
    assert.matches("logging [%d.]+ s %([%d.]+ %%%), checkpoints [%d.]+ s %([%d.]+ %%%), "
      .. "data wait [%d.]+ s %([%d.]+ %%%)\n", lines)
  end)

  it("stores a script that has changed beside the one it began with", function()
    local context = require "trit.context"
    local at = place()
    context.script = at .. ".lua"
    local function write(text)
      local f <close> = assert(io.open(context.script, "w"))
      f:write(text)
      f:flush()
    end
    for i, step in ipairs { 4, 9, 10, 11 } do
      write(({ "-- one", "-- two", "-- two", "-- one" })[i])
      train(options("tga", at, { resume = true, hooks = raise_at(step), checkpoint_every = { steps = 1 } }))
      assert.equal(i > 1 and i ~= 3, told:match("the script has changed") ~= nil)
    end
    context.script = nil
    local run = assert(runfile.open(at))
    assert.same({ "-- one", "-- two", "-- one" }, { run:text("script"), run:text("script-2"),
      run:text("script-3") })
  end)

  it("gives the second training of a script a directory of its own", function()
    local context = require "trit.context"
    context.out, context.run_dir = place(), nil
    local _, first = train(options("tga"))
    local _, second = train(options("tga"))
    assert.same({ context.out, context.out .. "/2" }, { first.dir, second.dir })
    assert.equal(context.out, context.run_dir)
    same(first.dir, second.dir)
    context.out, context.run_dir, context.base, context.trainings = nil, nil, nil, nil
  end)

  it("checks checkpoint_every", function()
    for wrong, sentence in pairs { often = "is a number of epochs",
      [-1] = "epochs must be a whole number from 1", [{ step = 3 }] = 'has no field "step"',
      [{ seconds = 0 }] = "seconds must be a number above 0" } do
      local ok, why = train(options("tga", nil, { log = false, checkpoint_every = wrong }))
      assert.is_false(ok)
      assert.matches(sentence, why, 1, true)
    end
    local at = place()
    assert(train(options("tga", at, { checkpoint_every = false })))
    assert.same({}, checkpoint.list(at))
  end)
end)
