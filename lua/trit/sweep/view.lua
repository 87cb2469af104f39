--- What a worker says on stderr: one line per run that ends; on a terminal also a live line below,
-- elsewhere a sign of life once a minute.
local term = require "trit.term"
local uv = require "luv"

local view = {}
local View = {}
View.__index = View

local STDERR = 2
local REDRAW = 0.25 -- seconds
local SILENCE = 60  -- seconds without a line, off a terminal
local BAR_WIDTH = 24

local function now() return uv.hrtime() * 1e-9 end

--- view.new { quiet = }
function view.new(o)
  return setmetatable({ quiet = o.quiet, drawn = 0, spoke = now(), began = now(), done_here = 0,
    tty = uv.guess_handle(STDERR) == "tty" and os.getenv("TERM") ~= "dumb" }, View)
end

--- A line that stays.
function View:line(fmt, ...)
  if self.quiet then return end
  if self.tty then io.stderr:write("\r\27[K") end
  io.stderr:write(fmt:format(...), "\n")
  self.spoke, self.drawn = now(), 0
end

-- "5 of 24 done, 2 running, about 3 min to go"
local function status(self, s)
  local text = ("%d of %d done, %d running"):format(s.done, s.total, s.running)
  if s.elsewhere > 0 then text = ("%s, %d elsewhere"):format(text, s.elsewhere) end
  if s.failed > 0 then text = ("%s, %d failed"):format(text, s.failed) end
  if self.done_here > 0 and s.total > s.done then
    local each = (now() - self.began) / self.done_here
    text = ("%s, about %s to go"):format(text, term.span(each * (s.total - s.done)))
  end
  return text
end

--- The live line; s = { done =, total =, running =, elsewhere =, failed = } is asked for when needed.
function View:draw(ask)
  local t = now()
  if self.quiet or t - self.drawn < REDRAW then return end
  if self.tty then
    local s = ask()
    self.drawn = t
    local full = math.floor(s.done / math.max(s.total, 1) * BAR_WIDTH + 0.5)
    io.stderr:write(("\r\27[Ksweep [%s%s] %s"):format(("#"):rep(full), ("."):rep(BAR_WIDTH - full),
      status(self, s)))
    io.stderr:flush()
  elseif t - self.spoke > SILENCE then
    self:line("sweep: %s", status(self, ask()))
  end
end

--- Take the live line away.
function View:clear()
  if self.tty and not self.quiet then
    io.stderr:write("\r\27[K")
    io.stderr:flush()
  end
end

return view
