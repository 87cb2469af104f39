--- The directory of a sweep.  What is known about a point is what its files say, nothing else:
--
--   OUT/points/ID/            the run directory of a point
--     point.json              its parameters
--     claim-N/                made by mkdir, which only one worker can: attempt N is that worker's
--       owner.json            the worker: machine, pid, start time
--       heartbeat             touched every few seconds
--       child.json            the run: pid, start time
--       stdout, stderr        what the run printed
--       exit.json             how the attempt ended, written last
--     lock                    held by the run itself (flock), so that two cannot be at it
--     run.h5                  the run file
--   OUT/workers/NAME          one file per worker; its time is the file system's clock
--
-- Claims are numbered and never removed: taking over from a lost worker is making claim-(N+1), and
-- again only one can.  The state of a point is that of its highest claim:
--
--   open         no claim
--   complete, failed, stopped, interrupted       as exit.json says
--   running      no exit.json; the worker lives (same machine) or its heartbeat is fresh (another)
--   orphan       the worker is gone, its run is still there
--   lost         neither is there
local files = require "trit.sweep.files"
local lfs = require "lfs"
local owner = require "trit.sweep.owner"
local runfile = require "trit.runfile"
local uv = require "luv"

local store = {}
local Store = {}
Store.__index = Store

-- Workers of this machine that were killed left their files behind.
local function sweep_out(dir, me)
  for name in lfs.dir(dir .. "/workers") do
    local path = dir .. "/workers/" .. name
    local who = files.read_json(path)
    if who and who.host == me.host and not owner.alive(who) then os.remove(path) end
  end
end

--- store.open(dir, { stale_after = seconds }) -> store; nil and a sentence.
function store.open(dir, o)
  for _, sub in ipairs { "points", "workers" } do
    local ok, why = files.make_directory(dir .. "/" .. sub)
    if not ok then return nil, why end
  end
  local me = owner.me()
  sweep_out(dir, me)
  local clock = ("%s/workers/%s-%d"):format(dir, uv.os_gethostname(), me.pid)
  local ok, why = files.write_json(clock, me)
  if not ok then return nil, why end
  return setmetatable({ dir = dir, me = me, clock = clock, stale_after = o.stale_after, latest = {} }, Store)
end

--- A store that is only looked at, nothing in it is made; its clock is this machine's.
function store.view(dir, o)
  local clock = os.tmpname()
  return setmetatable({ dir = dir, me = owner.me(), clock = clock, stale_after = o.stale_after,
    latest = {} }, Store)
end

--- The worker leaves.
function Store:close()
  os.remove(self.clock)
end

function Store:path(id) return self.dir .. "/points/" .. id end

function Store:claim_path(id, n) return ("%s/claim-%d"):format(self:path(id), n) end

-- Number of the highest claim, 0 for none; they are made in order and stay.
local function highest(self, id)
  local n = self.latest[id] or 0
  while lfs.attributes(self:claim_path(id, n + 1), "mode") == "directory" do n = n + 1 end
  self.latest[id] = n
  return n
end

--- Is claim n of the point still the highest, that is, ours to go on with?
function Store:holds(id, n) return highest(self, id) == n end

-- State of a claim without exit record.
local function state_of_owner(self, claim)
  local who = files.read_json(claim .. "/owner.json")
  local age = owner.age(claim .. "/heartbeat", self.clock) or owner.age(claim, self.clock) or 0
  if not who or who.host ~= self.me.host then
    return age > self.stale_after and "lost" or "running", who
  end
  if owner.alive(who) then return "running", who end
  local child = files.read_json(claim .. "/child.json")
  if child and owner.alive(child) then return "orphan", who, child, age end
  return "lost", who
end

--- What is known about a point: { state =, claim = number, exit = record, owner =, child =, age = }.
function Store:look(id)
  local n = highest(self, id)
  if n == 0 then return { state = "open", claim = 0 } end
  local claim = self:claim_path(id, n)
  local record = files.read_json(claim .. "/exit.json")
  if record then return { state = record.state, claim = n, exit = record } end
  local state, who, child, age = state_of_owner(self, claim)
  if state == "lost" then -- between the two looks it may have ended
    record = files.read_json(claim .. "/exit.json")
    if record then return { state = record.state, claim = n, exit = record } end
  end
  return { state = state, claim = n, owner = who, child = child, age = age }
end

--- Put a point's parameters down, once.
function Store:add(point)
  local path = self:path(point.id)
  if lfs.attributes(path .. "/point.json", "mode") then return true end
  local ok, why = files.make_directory(path)
  if not ok then return nil, why end
  return files.write_json(path .. "/point.json",
    { id = point.id, params = point.params, script = point.script, script_hash = point.script_hash })
end

--- Parameters of all points in the directory: { { id =, params =, ... }, ... } by id.
function Store:all()
  local list = {}
  if lfs.attributes(self.dir .. "/points", "mode") ~= "directory" then return list end
  for id in lfs.dir(self.dir .. "/points") do
    local point = id:match("^%x+$") and files.read_json(self:path(id) .. "/point.json")
    if point and point.id == id then list[#list + 1] = point end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

--- Claim a point whose highest claim is number `n`.  Returns the number of ours; nil when another
-- worker was faster; nil and a sentence when the directory cannot be written.
function Store:claim(point, n)
  local ok, why = self:add(point)
  if not ok then return nil, why end
  local path = self:claim_path(point.id, n + 1)
  local made, message = lfs.mkdir(path)
  if not made then
    if lfs.attributes(path, "mode") == "directory" then
      self.latest[point.id] = n + 1
      return nil
    end
    return nil, ("cannot create directory '%s': %s"):format(path, message)
  end
  ok, why = files.write_json(path .. "/owner.json", self.me)
  if ok then ok, why = files.write(path .. "/heartbeat", "") end
  if not ok then
    for _, name in ipairs { "owner.json", "heartbeat" } do os.remove(path .. "/" .. name) end
    lfs.rmdir(path)
    return nil, why
  end
  self.latest[point.id] = n + 1
  return n + 1
end

--- Say that the run of the claim is alive.
function Store:beat(id, n) lfs.touch(self:claim_path(id, n) .. "/heartbeat") end

--- Note the process of the run.
function Store:note_child(id, n, pid)
  return files.write_json(self:claim_path(id, n) .. "/child.json",
    { pid = pid, started = owner.started(pid) })
end

--- End a claim: record = { state =, reason =, ... }.
function Store:finish(id, n, record)
  record.host, record.claim = uv.os_gethostname(), n
  record.finished = os.date("!%Y-%m-%dT%H:%M:%SZ")
  return files.write_json(self:claim_path(id, n) .. "/exit.json", record, { indent = true })
end

--- Did the run come to its end under claim n, though nobody was left to record it?
-- Only a run file written after the claim was made counts.
function Store:ended_unrecorded(id, n)
  local run = runfile.open(self:path(id))
  local state = run and run:status()
  if not state or state.status ~= "complete" then return false end
  local file, claim = uv.fs_stat(run.path), uv.fs_stat(self:claim_path(id, n) .. "/owner.json")
  if not file or not claim then return false end
  return file.mtime.sec > claim.mtime.sec
    or file.mtime.sec == claim.mtime.sec and file.mtime.nsec >= claim.mtime.nsec
end

return store
