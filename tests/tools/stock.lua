--- Run files seen by stock tools: h5ls, h5dump, h5py.  What is not installed is left out; stock.missing
-- holds a sentence for each.
local stock = { missing = {} }

local function run(command)
  local pipe = io.popen(command .. " 2>&1; echo \"exit $?\"")
  local text = pipe:read("a")
  pipe:close()
  return text:match("exit (%d+)\n$") == "0", text
end

local PYTHON = "/usr/bin/python3"

local has_tools = run("h5ls --version && h5dump --version")
local has_h5py = run(PYTHON .. " -c 'import h5py'")
local function missing(what) table.insert(stock.missing, what .. " not installed: left out") end
if not has_tools then missing("h5ls and h5dump are") end
if not has_h5py then missing("h5py is") end

-- Everything there is, data and attributes; prints the number of data sets.
local READ = [=[
import sys, h5py
f = h5py.File(sys.argv[1], "r")
n = [0]
def visit(name, o):
    if isinstance(o, h5py.Dataset): o[()]; n[0] += 1
    for k in o.attrs: o.attrs[k]
f.visititems(visit)
[f.attrs[k] for k in f.attrs]
print(n[0])
]=]

-- Every NXdata group has its signal, one axis (or ".") for each dimension of it, and axes of fitting length:
-- as many values as the dimension, or one more (bin edges).  default leads from the root to one.
local PLOTS = [=[
import sys, h5py
f = h5py.File(sys.argv[1], "r")
text = lambda v: v.decode() if isinstance(v, bytes) else str(v)
seen = []
def check(g, path):
    signal = g[text(g.attrs["signal"])]
    axes = [text(a) for a in g.attrs["axes"]]
    assert len(axes) == signal.ndim, (path, axes, signal.shape)
    for k, a in enumerate(axes):
        if a == ".": continue
        n = g[a].shape[0]
        assert n in (signal.shape[k], signal.shape[k] + 1), (path, a, n, signal.shape)
    seen.append(path)
def visit(name, o):
    if isinstance(o, h5py.Group) and text(o.attrs.get("NX_class", "")) == "NXdata": check(o, name)
f.visititems(visit)
at = f
while "default" in at.attrs: at = at[text(at.attrs["default"])]
assert text(at.attrs["NX_class"]) == "NXdata", at.name
for name in f["layers"]:
    layer = f["layers"][name]
    assert text(layer.attrs["NX_class"]) == "NXentry" and text(layer.attrs["default"]) == "hist", name
    assert "layers/" + name + "/hist" in seen, name
    assert "step" in [d.label for d in layer["hist/counts"].dims] or layer["hist/counts"].dims[0].keys(), name
print(" ".join(sorted(seen)))
]=]

local function python(program, file)
  local ok, text = run(("%s -c '%s' '%s'"):format(PYTHON, program:gsub("'", "'\\''"), file))
  assert(ok, "h5py: " .. text:sub(-800))
  return text
end

--- Read the whole file with every tool; raises what a tool says.
function stock.read(file)
  if has_tools then
    local ok, text = run(("h5ls -r '%s'"):format(file))
    assert(ok and not text:find("ERROR", 1, true), "h5ls: " .. text:sub(-500))
    ok, text = run(("h5dump '%s' > /dev/null"):format(file))
    assert(ok and not text:find("error", 1, true), "h5dump: " .. text:sub(-500))
  end
  if has_h5py then python(READ, file) end
end

--- The NeXus hints by which silx, H5Web and nexpy plot train, val and every histogram at a click.
function stock.check_plots(file)
  if not has_h5py then return end
  local seen = python(PLOTS, file)
  assert(seen:find("train", 1, true) and seen:find("val", 1, true), seen)
end

return stock
