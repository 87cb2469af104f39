--- The command: trit COMMAND [ARG]...
--
-- Every other file in this directory is one command and returns
--
--   { name = , group = , summary = ,
--     setup = function(parser) end,     -- declares options on an argparse parser
--     run = function(args) end }        -- returns the exit status; or nil, message for a failure
--
-- `raw = true` instead gives run the list of arguments as typed (help is still ours).  Only the file
-- of the chosen command is loaded.  A command may raise { exit = , message = }.
-- Exit status: 0 ok, 1 failure, 2 usage, 75 interrupted and resumable, 130 interrupted.

local GROUPS = { -- order and titles of the overview
  { "train", "Train" }, { "look", "Look at runs" }, { "data", "Data sets" },
  { "model", "Packed models" }, { "lua", "Lua" }, { "tool", "Tools" },
}
local NEAR = 2 -- edits between a mistyped command and one worth proposing

local here = arg[0]:match("^(.*)/[^/]*$") or "."

-- A sentence that begins with the command's own name need not say it twice.
local function say(command, message)
  if command and message:sub(1, #command + 2) == command .. ": " then message = message:sub(#command + 3) end
  io.stderr:write(("trit%s: %s\n"):format(command and " " .. command or "", message))
end

--- Names of all commands, sorted.
local function names()
  local list = {}
  for file in require("lfs").dir(here) do
    local name = file:match("^(%l[%w_]*)%.lua$")
    if name and name ~= "main" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

local function edits(a, b) -- Levenshtein distance
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

local function unknown(word)
  local near = {}
  for _, name in ipairs(names()) do
    if edits(word, name) <= NEAR or name:sub(1, #word) == word then near[#near + 1] = name end
  end
  local hint = #near > 0 and "did you mean " .. table.concat(near, " or ") .. "?"
    or "trit --help lists them all"
  say(nil, ("unknown command %q; %s"):format(word, hint))
  return 2
end

local function overview()
  local groups, width = {}, 0
  for _, name in ipairs(names()) do
    local command = require("trit.cli." .. name)
    local group = command.group or "tool"
    groups[group] = groups[group] or {}
    table.insert(groups[group], command)
    width = math.max(width, #name)
  end
  print("Usage: trit COMMAND [ARG]...\n\nNeural networks with ternary weights, from Lua.")
  local function section(title, list)
    print("\n" .. title .. ":")
    for _, c in ipairs(list) do print(("  %-" .. width .. "s  %s"):format(c.name, c.summary)) end
  end
  for _, g in ipairs(GROUPS) do
    if groups[g[1]] then section(g[2], groups[g[1]]) end
    groups[g[1]] = nil
  end
  for group, list in pairs(groups) do section(group, list) end
  print("\nOptions:\n  -h, --help     this text; after a command, its own (or trit help COMMAND)\n" ..
    "  --version      the version\n\n" ..
    "Exit status: 0 ok, 1 failure, 2 usage, 75 interrupted and resumable.")
  return 0
end

local function version()
  print("trit " .. require("trit.core").version)
  return 0
end

local NUMBERS = { [tonumber] = "a number", [math.tointeger] = "a whole number" } -- converters of options

-- argparse says "malformed argument" of what is no number; this names the option.  Commands write
-- convert(tonumber) or convert(math.tointeger), and have the sentence from here.
local function name_numbers(parser)
  for _, option in ipairs(parser._options) do
    local convert = option._convert
    local what = NUMBERS[convert]
    if what then
      option:convert(function(text)
        local number = convert(text)
        if number then return number end
        return nil, ("option %s takes %s, not %q"):format(option._name, what, text)
      end)
    end
  end
  for _, sub in ipairs(parser._commands) do name_numbers(sub) end
end

local function parser_of(command)
  local parser = require("argparse")("trit " .. command.name, command.summary, command.epilog)
  if command.setup then command.setup(parser) end
  name_numbers(parser)
  return parser
end

local function is_help(word) return word == "--help" or word == "-h" end

-- "data make", where the first word is one of the parts of `trit data`.
local function full_name(command, parser, word)
  for _, sub in ipairs(parser._commands) do
    if sub._name == word then return command.name .. " " .. word end
  end
  return command.name
end

--- args for the command and its name with the part that was asked for; or nil and the exit status.
local function parse(command, words)
  local parser = parser_of(command)
  if command.raw then
    if not is_help(words[1]) then return words, command.name end
    print(parser:get_help())
    return nil, 0
  end
  local name = full_name(command, parser, words[1])
  local ok, result = parser:pparse(words)
  if ok then return result, name end
  say(name, ("%s; see trit %s --help"):format(result, name))
  return nil, 2
end

--- What a raised value means: exit status, sentence.
local function verdict(err)
  if type(err) == "table" and err.exit then return err.exit, err.message end
  local text = tostring(err)
  if text:match("interrupted!$") then return 130, "interrupted" end
  -- A sentence for people: our own file names are no news to them.
  if not os.getenv("TRIT_TRACE") then text = text:gsub("^[^\n]-lua/[^\n:]*trit/[^\n:]*:%d+: ", "") end
  return 1, text
end

local function handler(err)
  if type(err) == "string" and os.getenv("TRIT_TRACE") then return debug.traceback(err, 2) end
  return err
end

local function run(name, words)
  local command = require("trit.cli." .. name)
  local args, title = parse(command, words)
  if not args then return title end
  local ok, code, message = xpcall(command.run, handler, args)
  if not ok then code, message = verdict(code) end
  if message then say(title, tostring(message)) end
  return math.type(code) == "integer" and code or message and 1 or 0
end

-- `trit help COMMAND` is `trit COMMAND --help`.
local function unfold_help(words)
  if words[1] ~= "help" or #words == 1 then return end
  table.remove(words, 1)
  words[#words + 1] = "--help"
end

local function main(words)
  unfold_help(words)
  local first = table.remove(words, 1)
  if first == nil then
    overview()
    return 2
  elseif is_help(first) or first == "help" then
    return overview()
  elseif first == "--version" or first == "version" then
    return version()
  elseif first:sub(1, 1) == "-" then
    say(nil, ("unknown option %s; see trit --help"):format(first))
    return 2
  elseif not first:match("^%l[%w_]*$") or first == "main"
    or not io.open(("%s/%s.lua"):format(here, first)) then
    return unknown(first)
  end
  return run(first, words)
end

-- An error in the middle of things leaves luv's handles open, and luv calls back into the Lua state while
-- that is being closed, which crashes: whatever is left is closed first.
local function close_handles()
  local uv = package.loaded.luv
  if not uv then return end
  uv.walk(function(handle)
    if not handle:is_closing() then handle:close() end
  end)
  uv.run()
end

local words = {}
for i = 1, #arg do words[i] = arg[i] end
local status = main(words)
close_handles()
os.exit(status, true)
