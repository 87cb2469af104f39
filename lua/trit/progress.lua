--- Progress on stderr: a live bar on a terminal, one line per tenth of an epoch elsewhere.

local progress = {}
progress.__index = progress

local BAR_WIDTH = 24
local REDRAW_SECONDS = 0.1
local LINES_PER_EPOCH = 4

local function is_terminal()
  local ok, uv = pcall(require, "luv")
  return ok and uv.guess_handle(2) == "tty" and os.getenv("TERM") ~= "dumb"
end

--- progress.new { total =, label =, quiet = }.
function progress.new(o)
  return setmetatable({ total = o.total, label = o.label or "", quiet = o.quiet, tty = is_terminal(),
    drawn = 0, next_line = o.total / LINES_PER_EPOCH }, progress)
end

local function bar(share)
  local full = math.floor(share * BAR_WIDTH + 0.5)
  return ("#"):rep(full) .. ("."):rep(BAR_WIDTH - full)
end

--- Show that `done` of the total are done; `text` follows.
function progress:update(done, text, now)
  if self.quiet then return end
  if self.tty then
    if now - self.drawn < REDRAW_SECONDS and done < self.total then return end
    self.drawn = now
    io.stderr:write(("\r\27[K%s [%s] %d/%d %s"):format(self.label, bar(done / self.total), done,
      self.total, text))
    io.stderr:flush()
  elseif done >= self.next_line and done < self.total then
    self.next_line = self.next_line + self.total / LINES_PER_EPOCH
    io.stderr:write(("%s %d/%d %s\n"):format(self.label, done, self.total, text))
  end
end

--- Take the bar away.
function progress:clear()
  if self.tty and not self.quiet then
    io.stderr:write("\r\27[K")
    io.stderr:flush()
  end
end

return progress
