-- tier: fast
-- The page in a browser: no script error, no request to anywhere, the controls work.  Without Chromium
-- the cases are skipped with a message.
local core = require "trit.core"
local runlog = require "trit.runlog"

local source = os.getenv("TRIT_SOURCE") or "."
local RUNS = 10 -- more than have a colour of their own, so that all controls are there

local function browser()
  for _, name in ipairs { "chromium", "chromium-browser", "google-chrome" } do
    if os.execute(("command -v %s >/dev/null 2>&1"):format(name)) then return name end
  end
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function make_run(dir, i)
  local log = assert(runlog.create(dir, { config = { model = "resnet8", quantizer = "tga",
    params = { init = i / 100, seed = i % 2, method = i < 5 and "a<b>" or "c" } } }))
  local w = core.randn({ 300 }, { seed = i })
  for epoch = 1, 3 do
    log:train { step = epoch, epoch = epoch, loss = 1 / epoch, lr = 0.1 }
    log:val { step = epoch, epoch = epoch, top1 = 0.3 + i / 50, loss = 1, zeros = 0.6 - i / 40 }
    log:layer("conv1.weight", { step = epoch, epoch = epoch, weights = w, threshold = i / 10, center = 0,
      codes = core.ops.sign(w) })
  end
  log:finish("complete")
end

-- Uses every control and leaves what it saw in the document.
local DRIVER = [[<script>
const faults = [];
addEventListener("error", (e) => faults.push(e.message));
addEventListener("securitypolicyviolation", (e) => faults.push("blocked " + e.blockedURI));
const seen = {};
const $ = (s) => document.querySelector(s);
seen.theme = [];
for (let i = 0; i < 3; i++) {
  $("#theme").click();
  seen.theme.push(document.documentElement.dataset.theme || "auto");
}
const column = [...document.querySelectorAll("#runs thead th")].findIndex((h) => h.textContent === "top-1");
const values = () => [...$("#runs").tBodies[0].rows].map((r) => Number(r.cells[column].dataset.v));
const button = $("#runs thead").rows[0].cells[column].querySelector("button");
button.click(); seen.down = values();
seen.sort = $("#runs thead").rows[0].cells[column].getAttribute("aria-sort");
button.click(); seen.up = values();
$("#colorby").value = "top1"; $("#colorby").dispatchEvent(new Event("change"));
seen.color = $("#color-low").textContent;
$("[data-pin=r3]").click();
seen.pinned = document.querySelectorAll("[data-pin=r3][aria-pressed=true]").length;
const line = $("svg.chart .line.r2");
const box = line.getBoundingClientRect();
line.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: box.right, clientY: box.top }));
seen.tip = $("#tip").textContent;
location.hash = "#r4";
setTimeout(() => {
  seen.open = $("#r4").open;
  seen.requests = performance.getEntriesByType("resource").length;
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  const named = (id) => document.getElementById(id) && document.getElementById(id).textContent;
  seen.unnamed = [...document.querySelectorAll("svg[role=img]")]
    .filter((s) => !s.getAttribute("aria-labelledby").split(" ").every(named)).length;
  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify({ ...seen, faults });
  document.body.append(out);
}, 300);
</script></body>]]

describe("the report in a browser", function()
  local dir, program, dom, errors, seen
  setup(function()
    program = browser()
    if not program then return end
    dir = os.tmpname()
    os.remove(dir)
    for i = 1, RUNS do make_run(("%s/runs/p%02d"):format(dir, i), i) end
    assert(os.execute(("lua5.4 '%s/lua/trit/cli/main.lua' report '%s/runs' -o '%s/page.html' >/dev/null")
      :format(source, dir, dir)))
    local page = read(dir .. "/page.html")
    local at = assert(page:find("</body>", 1, true))
    write(dir .. "/driven.html", page:sub(1, at - 1) .. DRIVER .. page:sub(at + 7))
    os.execute(("env -u LD_PRELOAD timeout 60 %s --headless --no-sandbox --disable-gpu " ..
      "--user-data-dir='%s/profile' --window-size=400,800 --enable-logging=stderr " ..
      "--virtual-time-budget=4000 --dump-dom 'file://%s/driven.html' >'%s/dom' 2>'%s/errors'")
      :format(program, dir, dir, dir, dir))
    dom, errors = read(dir .. "/dom"), read(dir .. "/errors")
    local text = dom:match('<pre id="seen">(.-)</pre>')
    text = text and text:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&amp;", "&")
    seen = text and require("trit.json").decode(text)
  end)
  teardown(function()
    if dir then os.execute("rm -rf '" .. dir .. "'") end
  end)

  local function case(name, body)
    it(name, function()
      if not program then return pending("no Chromium here: not tried in a browser") end
      assert(seen, "the page's script did not come to its end: " .. errors)
      body()
    end)
  end

  case("has no script error and asks for nothing outside", function()
    assert.same({}, seen.faults)
    assert.equal(0, seen.requests)
    assert.is_nil(errors:match("CONSOLE[^\n]*"))
  end)

  case("sorts by a column, both ways", function()
    assert.equal("descending", seen.sort)
    assert.equal(RUNS, #seen.down)
    for i = 2, RUNS do
      assert.is_true(seen.down[i - 1] >= seen.down[i])
      assert.is_true(seen.up[i - 1] <= seen.up[i])
    end
  end)

  case("changes theme and colours, pins and names a run, opens a run by its link", function()
    assert.same({ "light", "dark", "auto" }, seen.theme)
    assert.equal("0.3200", seen.color)
    assert.is_true(seen.pinned >= 1)
    assert.matches("init=0%.02", seen.tip)
    assert.matches("epoch 3, top%-1 34 %%", seen.tip)
    assert.is_true(seen.open)
  end)

  case("names every picture and fits a narrow screen", function()
    assert.equal(0, seen.unnamed)
    assert.is_false(seen.wide)
  end)
end)
