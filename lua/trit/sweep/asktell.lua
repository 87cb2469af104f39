--- Ask and tell over JSON lines: any program can choose the points.
--
-- stdout, one object per line:
--   { "event": "space", "params": { NAME: { default, min, max, choices, doc } }, "metric", "goal", "jobs" }
--   { "event": "ask", "free": K }                      there is room for K more trials
--   { "event": "value", "id", "point", "epoch", "value" }       a new value of a running trial
--   { "event": "result", "id", "params", "points", "state", "value", "half", "values", "zeros",
--     "seconds", "reason" }
--   { "event": "error", "id", "message" }              the line was refused
-- stdin, one object per line:
--   { "id": ANY, "params": { NAME: VALUE } }           run this; other options as on the command line
--   { "id": ANY, "stop": true }                        stop this one
--
-- A trial whose point is known already is answered from its files.  With several seeds a trial is that
-- many runs, value their mean and half the half width of the 95 % interval.  The sweep ends when
-- stdin has ended and all trials are answered.
local interval = require "trit.sweep.interval"
local json = require "trit.json"
local params = require "trit.params"
local point = require "trit.sweep.point"
local results = require "trit.sweep.results"
local space = require "trit.sweep.space"
local uv = require "luv"

local asktell = {}
local Feed = {}
Feed.__index = Feed

local STDIN = 0
local LOOK = 0.5 -- seconds between looks for new values and results
local STOPPED = "stopped by the optimizer"
local ENDED = { complete = true, failed = true, stopped = true }

local function say(event)
  io.stdout:write(json.encode(event), "\n")
  io.stdout:flush()
end

local function open_input()
  local kind = uv.guess_handle(STDIN)
  if kind == "tty" then return uv.new_tty(STDIN, true) end
  if kind ~= "pipe" then return nil end -- a file: read at once
  local pipe = uv.new_pipe(false)
  pipe:open(STDIN)
  return pipe
end

local function take_lines(self, chunk)
  self.rest = self.rest .. chunk
  for line, after in self.rest:gmatch("([^\n]*)\n()") do
    self.lines[#self.lines + 1] = line
    self.at = after
  end
  self.rest, self.at = self.rest:sub(self.at or 1), nil
end

local function listen(self)
  self.input = open_input()
  if not self.input then
    take_lines(self, io.read("a") .. "\n")
    self.closed = true
    return
  end
  self.input:read_start(function(_, chunk)
    if chunk then
      take_lines(self, chunk)
    else
      take_lines(self, "\n")
      self.closed = true
    end
  end)
end

--- asktell.new { declared =, base = fixed options, seeds = { ... } or nil, script =, metric =, goal =,
-- jobs = }
function asktell.new(o)
  local self = setmetatable({ o = o, lines = {}, rest = "", trials = {}, looked = 0, asked = 0 }, Feed)
  local rows = {}
  for name, row in pairs(o.declared) do
    rows[name] = { default = row[1], min = row.min, max = row.max, choices = row.choices, doc = row.doc }
  end
  say { event = "space", params = rows, metric = o.metric, goal = o.goal, jobs = o.jobs }
  listen(self)
  return self
end

-- The values a trial chooses: checked like words on the command line.
local function choose(self, given)
  local chosen = {}
  for name, v in pairs(self.o.base) do chosen[name] = v end
  for name, v in pairs(given) do
    if type(name) ~= "string" then return nil, "params is an object { NAME: VALUE }" end
    local row = self.o.declared[name]
    if not row then return nil, params.unknown(name, self.o.declared) end
    if type(v) == "table" then
      local text = v == json.null and "null" or json.encode(v)
      return nil, ("option --%s takes one value, not %s"):format(name, text)
    end
    local value, why = params.value(name, type(v) == "string" and v or json.encode(v), row)
    if value == nil then return nil, why end
    chosen[name] = type(value) == "number" and space.typed(value, row) or value
  end
  return chosen
end

local function add_trial(self, worker, line)
  local chosen, why = choose(self, line.params)
  if not chosen then return say { event = "error", id = line.id, message = why } end
  local trial = { id = line.id, points = {}, said = {} }
  local known = {}
  for _, p in ipairs(worker.plan.points) do known[p.id] = p end
  for _, seed in ipairs(line.params[point.SEED] == nil and self.o.seeds or { false }) do
    if seed then chosen[point.SEED] = seed end
    local p = point.new(self.o.script, point.values(self.o.declared, chosen))
    trial.points[#trial.points + 1] = p
    worker.skip[p.id] = nil
    if not known[p.id] then table.insert(worker.plan.points, p) end
    local added, reason = worker.plan.store:add(p) -- workers with --join find it there
    if not added then error("sweep: " .. reason, 0) end
  end
  self.trials[#self.trials + 1] = trial
  worker.scanned = -math.huge
end

local function stop_trial(self, worker, id)
  for _, trial in ipairs(self.trials) do
    for _, p in ipairs(trial.id == id and trial.points or {}) do
      local r = worker.running[p.id]
      if r then r.child:stop("stopped", STOPPED) end
      worker.skip[p.id] = true -- what has not begun will not
    end
  end
end

local function obey(self, worker, text)
  if not text:match("%S") then return end
  local line, why = json.decode(text, json.null)
  for key, v in pairs(type(line) == "table" and line or {}) do
    if v == json.null then line[key] = nil end
  end
  if type(line) ~= "table" then
    say { event = "error", message = why or "a line is a JSON object" }
  elseif line.stop then
    stop_trial(self, worker, line.id)
  elseif type(line.params) ~= "table" then
    say { event = "error", id = line.id, message = "a line holds params or stop" }
  else
    add_trial(self, worker, line)
  end
end

-- New values of a trial's runs.
local function tell_values(self, worker, trial)
  for _, p in ipairs(trial.points) do
    local curve = results.curve(worker.plan.store:path(p.id), self.o.metric)
    for i = (trial.said[p.id] or 0) + 1, #curve.epoch do
      say { event = "value", id = trial.id, point = p.id, epoch = curve.epoch[i], value = curve.value[i] }
      trial.said[p.id] = i
    end
  end
end

local function tell_result(self, worker, trial)
  local ids, values, zeros, seconds = json.array {}, json.array {}, {}, {}
  local state, reason = "complete", nil
  for _, p in ipairs(trial.points) do
    local look = worker.plan.store:look(p.id)
    local again = look.state == "failed" and worker.retry[p.id] == look.claim
    if worker.running[p.id] or again then return false end
    if not ENDED[look.state] then
      if not worker.skip[p.id] or look.state == "running" then return false end
      look = { state = "stopped", exit = { reason = STOPPED } }
    end
    local last = look.exit.result
    ids[#ids + 1], values[#values + 1] = p.id, results.value(last, self.o.metric)
    zeros[#zeros + 1], seconds[#seconds + 1] = results.value(last, "val/zeros"), last and last.seconds
    if look.state ~= "complete" then state, reason = look.state, look.exit.reason end
  end
  local mean, half = interval.of(values)
  say { event = "result", id = trial.id, params = trial.points[1].params, points = ids, state = state,
    reason = reason, value = mean, half = half, values = values, zeros = interval.of(zeros),
    seconds = interval.of(seconds) }
  return true
end

--- Take in lines, tell what is new, ask when there is room.
function Feed:pump(worker)
  local lines = self.lines
  self.lines = {}
  for _, text in ipairs(lines) do obey(self, worker, text) end
  if #lines > 0 then self.asked = 0 end
  local t = uv.hrtime() * 1e-9
  if #lines == 0 and t - self.looked < LOOK then return end
  self.looked = t
  local open = {}
  for _, trial in ipairs(self.trials) do
    tell_values(self, worker, trial)
    if not tell_result(self, worker, trial) then open[#open + 1] = trial end
  end
  self.trials = open
  local runs = 0
  for _, trial in ipairs(open) do runs = runs + #trial.points end
  local free = self.o.jobs - runs
  if not self.closed and not worker.shutdown and free > 0 and free ~= self.asked then
    say { event = "ask", free = free }
    self.asked = free
  end
end

--- Has stdin ended, with everything answered?
function Feed:ended() return self.closed and #self.trials == 0 and #self.lines == 0 end

function Feed:close()
  if self.input and not self.input:is_closing() then self.input:close() end
end

return asktell
