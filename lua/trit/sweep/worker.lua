--- A worker: claims points, runs them, records how they end, until none is left.
--
-- Any number of workers share a directory; there is no controller.  All of them derive the state of a
-- point from its files (trit.sweep.store) and the same rules:
--
--   open, interrupted, lost    may be claimed
--   stopped                    may be claimed when the early stopping rule lets it go on, or without a rule
--   failed                     may be claimed by a worker with retry_failed that found it so at its start
--   complete                   is left alone
local child = require "trit.sweep.child"
local files = require "trit.sweep.files"
local point = require "trit.sweep.point"
local results = require "trit.sweep.results"
local lfs = require "lfs"
local runfile = require "trit.runfile"
local uv = require "luv"

local worker = {}
local Worker = {}
Worker.__index = Worker

local TICK = 100          -- ms between looks at the own runs
local LOOK = 0.5          -- seconds between looks at their limits and metrics
local SCAN = 1            -- seconds between looks for work when there was none
local BEATS_PER_STALE = 5 -- heartbeats in the time after which a claim counts as lost ...
local SLOWEST_BEAT = 5    -- ... but at least one in so many seconds
local MOST_KILLS = 3      -- SIGKILLs from outside after which a point has failed
local MOST_ENDS = 20      -- other interruptions from outside
local ORPHAN_GRACE = 30   -- seconds a run may outlive its worker
local BUSY_PAUSE = 2      -- seconds until a held directory is tried again
local SIGNALS = { "sigint", "sigterm", "sighup", "sigusr1" }

local function now() return uv.hrtime() * 1e-9 end

local function count(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end

--- worker.new(plan): plan = { store =, points = (in order), script = (path run), jobs =,
-- origin = (path it was copied from), changed = (function: a module edited meanwhile, or nil),
-- threads = (per run), time_limit =, memory_limit =, rule =, rule_options =, metric =, goal =,
-- retry_failed =, wait = (for other workers' runs), share = { at =, of = }, feed =, refresh =,
-- view =, names = (options shown), save = function }.
function worker.new(plan)
  local self = setmetatable({ plan = plan, running = {}, final = {}, retry = {}, not_before = {},
    scanned = -SCAN, looked = 0, beaten = 0, elsewhere = 0, halted = {}, skip = {},
    finished = {} }, Worker)
  if plan.retry_failed then
    for _, p in ipairs(plan.points) do
      local look = plan.store:look(p.id)
      if look.state == "failed" then self.retry[p.id] = look.claim end
    end
  end
  return self
end

-- ------------------------------------------------------------------ what can be done

-- Curves of all other points, more being better.
local function curve_of(self, id)
  local plan = self.plan
  local curve = results.curve(plan.store:path(id), plan.metric)
  if plan.goal == "max" then return curve end
  local turned = { epoch = curve.epoch, value = {} }
  for i, v in ipairs(curve.value) do turned.value[i] = -v end
  return turned
end

local function curves_but(self, id)
  local list = {}
  for _, p in ipairs(self.plan.points) do
    if p.id ~= id then
      local curve = curve_of(self, p.id)
      if #curve.epoch > 0 then list[#list + 1] = curve end
    end
  end
  return list
end

local function may_go_on(self, p)
  local plan = self.plan
  if not plan.rule then return not plan.feed and not plan.refresh end -- those were stopped by the optimizer
  return plan.rule.promote
    and plan.rule.promote(plan.rule_options, curve_of(self, p.id), curves_but(self, p.id)) or false
end

-- A run whose worker is gone had its SIGTERM; when it does not end, it is killed.
local function end_orphan(look)
  if look.age > ORPHAN_GRACE then uv.kill(-look.child.pid, "sigkill") end
end

-- Is a run at work in the directory that no claim knows of?  Its worker was killed between starting it
-- and noting so.
local function held(dir)
  local lock = dir .. "/lock"
  if not lfs.attributes(lock, "mode") then return false end
  return not os.execute(("exec flock -n '%s' true"):format((lock:gsub("'", "'\\''"))))
end

local CLAIMABLE = { open = true, interrupted = true, lost = true, busy = true }

-- Is the point to be run now?  Fills in what is known: final, elsewhere.
local function claimable(self, p)
  local id = p.id
  if self.running[id] or self.final[id] or self.skip[id] then return nil end
  if now() < (self.not_before[id] or 0) then return nil end
  local look = self.plan.store:look(id)
  if CLAIMABLE[look.state] then
    if not (look.state == "lost" or look.state == "busy") or not held(self.plan.store:path(id)) then
      return look
    end
    self.elsewhere = self.elsewhere + 1
    return nil
  end
  if look.state == "failed" and self.retry[id] == look.claim then return look end
  self.halted[id] = look.state == "stopped" or nil
  if look.state == "stopped" then
    if may_go_on(self, p) then return look end
  elseif look.state == "running" or look.state == "orphan" then
    self.elsewhere = self.elsewhere + 1
    if look.state == "orphan" then end_orphan(look) end
  else
    self.final[id] = look
  end
  return nil
end

-- Points in this worker's order: its share of an array first, then the others.
local function order(self)
  local points, share = self.plan.points, self.plan.share
  if not share then return points end
  local list, others = {}, {}
  for i, p in ipairs(points) do
    table.insert((i - 1) % share.of == share.at and list or others, p)
  end
  return table.move(others, 1, #others, #list + 1, list)
end

-- The next point to run and what is known of it; nil when there is none.
local function next_point(self)
  self.elsewhere = 0
  local found, found_look
  for _, p in ipairs(order(self)) do
    local look = claimable(self, p)
    if look and look.state == "stopped" then return p, look end -- first those that go on
    if look and not found then
      found, found_look = p, look
      if not (self.plan.rule and self.plan.rule.promote) then break end
    end
  end
  return found, found_look
end

-- ----------------------------------------------------------------------- one run

local function finish(self, p, claim, record)
  local store = self.plan.store
  record.result = record.result or results.last(store:path(p.id))
  local ok, why = store:finish(p.id, claim, record)
  if not ok then error(("sweep: how point %s ended cannot be written: %s"):format(p.id, why), 0) end
  local ended = record.state == "complete" or record.state == "failed"
  if ended then self.final[p.id] = { state = record.state } end
  self.finished[#self.finished + 1] = { point = p, record = record }
end

-- Did the run of a lost worker come to its end?  Claims that found the directory held, or were lost before
-- they started a run, are passed over.
local function ended_before(self, p, claim)
  local store = self.plan.store
  for n = claim, 1, -1 do
    local path = store:claim_path(p.id, n)
    local record = files.read_json(path .. "/exit.json")
    local busy = record and record.state == "busy"
    if record and not busy then return false end
    if store:ended_unrecorded(p.id, n) then return true end
    if not busy and lfs.attributes(path .. "/child.json", "mode") then return false end
  end
  return false
end

-- A run file that cannot be read is no reason to fail: the run begins anew.
local function can_resume(dir)
  local run = runfile.open(dir)
  return run ~= nil and run:status() ~= nil
end

local function start(self, p, look)
  local plan, store = self.plan, self.plan.store
  local claim, why = store:claim(p, look.claim)
  if not claim then
    if why then error("sweep: " .. why, 0) end
    return -- another worker was faster
  end
  if (look.state == "lost" or look.state == "busy") and ended_before(self, p, look.claim) then
    return finish(self, p, claim, { state = "complete", reason = "it had ended when its worker was lost" })
  end
  local dir = store:path(p.id)
  local curve = plan.rule and curve_of(self, p.id)
  local run, message = child.start { dir = dir, claim = store:claim_path(p.id, claim), script = plan.script,
    origin = plan.origin, options = point.options(p), threads = plan.threads,
    time_limit = plan.time_limit, memory_limit = plan.memory_limit, resume = can_resume(dir) }
  if not run then return finish(self, p, claim, { state = "failed", reason = message }) end
  store:note_child(p.id, claim, run.pid)
  self.running[p.id] = { point = p, claim = claim, child = run, before = look.exit or {},
    memory = plan.rule and plan.rule.memory and plan.rule.memory(plan.rule_options, curve) or {} }
end

-- Interruptions from outside are counted along the claims: a run that never gets through has failed.
local function count_ends(self, r, record)
  local before = r.before
  record.kills = record.state == "killed" and (before.kills or 0) + 1 or 0
  record.ends = before.ends or 0
  if record.state == "killed" then
    record.state = record.kills < MOST_KILLS and "interrupted" or "failed"
    if record.state == "failed" then record.reason = ("%s, %d times"):format(record.reason, record.kills) end
  elseif record.state == "interrupted" and not self.shutdown then
    record.ends = record.ends + 1
    if record.ends >= MOST_ENDS then
      record.state = "failed"
      record.reason = ("interrupted %d times: %s"):format(record.ends, record.reason)
    end
  end
end

-- A run that had written its last record when a signal reached it is complete.
local function outcome(self, id, r)
  local state, reason = r.child:result()
  if r.child.signal ~= 0 and state ~= "lost" and self.plan.store:ended_unrecorded(id, r.claim) then
    return "complete"
  end
  return state, reason
end

local function record_end(self, id, r)
  local run = r.child
  self.running[id] = nil
  run:close()
  local state, reason = outcome(self, id, r)
  local record = { state = state, reason = reason, code = run.code, signal = run.signal,
    seconds = run.seconds, peak_bytes = run.peak }
  count_ends(self, r, record)
  if not self.plan.store:holds(id, r.claim) then record.state, record.reason = "lost", "taken over" end
  if state == "busy" then self.not_before[id] = now() + BUSY_PAUSE end
  finish(self, r.point, r.claim, record)
end

local function reap(self)
  local any = false
  for id, r in pairs(self.running) do
    if r.child:ended() then
      record_end(self, id, r)
      any = true
    end
  end
  if any then self.scanned = -SCAN end
end

local function judge(self, id, r)
  local plan = self.plan
  local mine = curve_of(self, id)
  if #mine.epoch == 0 or #mine.epoch == r.judged then return end
  r.judged = #mine.epoch
  local sentence = plan.rule.judge(plan.rule_options, mine, curves_but(self, id), r.memory)
  if sentence then r.child:stop("stopped", sentence) end
end

local function look_after(self)
  local t, plan = now(), self.plan
  if t - self.looked >= LOOK then
    self.looked = t
    for id, r in pairs(self.running) do
      r.child:watch()
      if plan.rule and not r.child.reason then judge(self, id, r) end
    end
  end
  if t - self.beaten >= math.min(SLOWEST_BEAT, plan.store.stale_after / BEATS_PER_STALE) then
    self.beaten = t
    for id, r in pairs(self.running) do
      plan.store:beat(id, r.claim)
      if not plan.store:holds(id, r.claim) then
        r.child:stop("lost", "another worker took the point over", true)
      end
    end
  end
end

-- ----------------------------------------------------------------------- the loop

-- Claim and start until all slots are in use or nothing is left.
local function fill(self)
  if now() - self.scanned < SCAN then return end
  if self.plan.refresh then self.plan.refresh(self.plan.points) end
  while count(self.running) < self.plan.jobs do
    local p, look = next_point(self)
    if not p then
      self.scanned = now()
      self.idle = true
      return
    end
    self.idle = false
    local edited = self.plan.changed()
    if edited then -- a point begun now would not be what its id says
      self.shutdown = "a change of " .. edited
      return
    end
    start(self, p, look)
  end
end

local function is_done(self)
  if next(self.running) or self.shutdown then return not next(self.running) end
  if self.plan.feed and not self.plan.feed:ended() then return false end
  if not self.idle then return false end
  for _, t in pairs(self.not_before) do
    if t > now() then return false end
  end
  return self.elsewhere == 0 or not self.plan.wait
end

function Worker:status()
  local s = { total = #self.plan.points, running = count(self.running), elsewhere = self.elsewhere,
    done = count(self.halted), failed = 0 }
  for _, look in pairs(self.final) do
    s.done = s.done + 1
    if look.state == "failed" then s.failed = s.failed + 1 end
  end
  return s
end

-- Tell what has ended since the last time.
local function announce(self)
  local plan = self.plan
  for _, f in ipairs(self.finished) do
    local record, p = f.record, f.point
    plan.view.done_here = plan.view.done_here + 1
    if record.state ~= "busy" and record.state ~= "lost" then
      plan.announce(p, record, self:status())
    end
    if plan.save then plan.save() end
  end
  self.finished = {}
end

local function on_signal(self, name)
  local force = self.signalled
  self.signalled, self.shutdown = true, name:upper()
  for _, r in pairs(self.running) do
    r.child:stop("shutdown", "the sweep was ended by " .. self.shutdown, force)
  end
end

-- Signals the worker was started to ignore (nohup) are left ignored.
local function ignored(name)
  local file = io.open("/proc/self/status")
  local mask = file and tonumber(file:read("a"):match("SigIgn:%s*(%x+)") or "0", 16) or 0
  if file then file:close() end
  return mask >> (uv.constants["SIG" .. name:sub(4):upper()] - 1) & 1 == 1
end

--- Work until nothing is left or a signal arrives.  Returns the signal's name in that case.
function Worker:run()
  local handles = {}
  local timer = uv.new_timer()
  timer:start(TICK, TICK, function() end) -- the loop below does the work
  handles[1] = timer
  for _, name in ipairs(SIGNALS) do
    if not ignored(name) then
      local handle = uv.new_signal()
      handle:start(name, function() self.pending = name end)
      handles[#handles + 1] = handle
    end
  end
  repeat
    if self.pending then
      on_signal(self, self.pending)
      self.pending = nil
    end
    reap(self)
    if self.plan.feed then self.plan.feed:pump(self) end
    if not self.shutdown then fill(self) end
    look_after(self)
    announce(self)
    self.plan.view:draw(function() return self:status() end)
    local done = is_done(self)
    if not done then uv.run("once") end
  until done
  for _, handle in ipairs(handles) do handle:close() end
  if self.plan.feed then self.plan.feed:close() end
  uv.run("nowait")
  self.plan.view:clear()
  return self.shutdown
end

return worker
