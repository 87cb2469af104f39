"use strict";
// The page works without this; it adds the theme button, sorting, highlighting, colours and tips.
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const store = { // a file opened from disk may have no storage
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); } catch { /* not kept */ } },
  };

  // Theme: as the system, light, dark.
  const themes = ["auto", "light", "dark"];
  const themeButton = byId("theme");
  function setTheme(name) {
    if (name === "auto") root.removeAttribute("data-theme");
    else root.dataset.theme = name;
    themeButton.textContent = "theme: " + name;
  }
  let theme = themes.includes(store.get("trit-theme")) ? store.get("trit-theme") : "auto";
  setTheme(theme);
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    setTheme(theme);
    store.set("trit-theme", theme);
  });

  // Sorting: numbers from the greatest first, texts from A; again turns round.
  function valueOf(row, column) {
    const cell = row.cells[column];
    const value = cell.dataset.v;
    if (value === undefined) return cell.textContent;
    return value !== "" && !Number.isNaN(Number(value)) ? Number(value) : value;
  }
  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? 1 : -1; // what is no number is least
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  }
  function sortBy(table, column) {
    const heads = all("thead th", table);
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const before = heads[column].getAttribute("aria-sort");
    const numeric = rows.some((row) => typeof valueOf(row, column) === "number");
    const first = numeric ? "descending" : "ascending";
    const order = before === first ? (numeric ? "ascending" : "descending") : first;
    const sign = order === "ascending" ? 1 : -1;
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", order);
    rows.sort((a, b) => sign * compare(valueOf(a, column), valueOf(b, column)));
    body.append(...rows);
  }
  all("table.sortable").forEach((table) => {
    all("button[data-col]", table).forEach((button) => {
      button.addEventListener("click", () => sortBy(table, Number(button.dataset.col)));
    });
  });

  // Highlighting: one rule per state instead of touching every curve.
  const rule = document.head.appendChild(document.createElement("style"));
  const pinned = new Set();
  let hovered = null;
  function show() {
    const keys = hovered ? new Set([...pinned, hovered]) : pinned;
    const some = [...keys].map((key) => "." + key).join(",");
    rule.textContent = keys.size === 0 ? "" :
      `svg .s:not(:is(${some})) { opacity: .13 } svg .line.s:is(${some}) { stroke-width: 2.8 }`;
    all("tr[data-run]").forEach((row) => row.classList.toggle("on", keys.has(row.dataset.run)));
  }
  all("[data-pin]").forEach((button) => {
    button.addEventListener("click", () => {
      const key = button.dataset.pin;
      if (pinned.has(key)) pinned.delete(key);
      else pinned.add(key);
      all(`[data-pin="${key}"]`).forEach((b) => b.setAttribute("aria-pressed", String(pinned.has(key))));
      show();
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    pinned.clear();
    all("[data-pin]").forEach((b) => b.setAttribute("aria-pressed", "false"));
    show();
  });
  const keyOf = (element) => [...element.classList].find((name) => /^r\d+$/.test(name)) || null;

  // Colours of many runs along an option or a result.
  const choose = byId("colorby");
  if (choose) {
    const paint = document.head.appendChild(document.createElement("style"));
    choose.addEventListener("change", () => {
      const c = DATA.colors.find((one) => one.name === choose.value);
      paint.textContent = Object.entries(c.steps)
        .map(([key, step]) => `.${key}{--c:var(--${step > 0 ? "q" + step : "muted"})}`).join("");
      byId("color-low").textContent = c.low;
      byId("color-high").textContent = c.high;
    });
  }

  // Tips: the name and, in a chart, the nearest point's values.
  const tip = byId("tip");
  function pointsOf(path) { // "M1 2l3 4h5v6" -> places
    const list = [];
    let x = 0;
    let y = 0;
    for (const [, op, args] of path.getAttribute("d").matchAll(/([Mlhvz])([^Mlhvz]*)/g)) {
      const n = (args.match(/-?(?:\d+\.?\d*|\.\d+)/g) || []).map(Number);
      if (op === "M") [x, y] = n;
      else if (op === "l") { x += n[0]; y += n[1]; }
      else if (op === "h") x += n[0];
      else if (op === "v") y += n[0];
      list.push([x, y]);
    }
    return list;
  }
  function placeOf(mark, event) {
    if (mark.tagName === "circle") return [Number(mark.getAttribute("cx")), Number(mark.getAttribute("cy"))];
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(mark.getScreenCTM().inverse());
    let best = null;
    for (const p of pointsOf(mark)) {
      if (!best || Math.abs(p[0] - at.x) < Math.abs(best[0] - at.x)) best = p;
    }
    return best;
  }
  const runNames = new Map(DATA.runs.map((run) => [run.k, run.n]));
  function nameOf(mark, key) { // of a run, of a layer of the run around it, or its own
    if (key) return runNames.get(key);
    if (!mark.dataset.i) return mark.dataset.n || "";
    return mark.closest("details").querySelector(`.legend li:nth-child(${mark.dataset.i})`).textContent;
  }
  const text = (v) => Number(v.toPrecision(4)).toString();
  function valuesAt(mark, event) {
    const drawing = mark.closest("svg.chart");
    if (!drawing) return "";
    const [left, right, bottom, top, x0, x1, y0, y1] = drawing.dataset.plot.split(",").map(Number);
    const [px, py] = placeOf(mark, event);
    let x = x0 + (px - left) / (right - left) * (x1 - x0);
    const y = y0 + (bottom - py) / (bottom - top) * (y1 - y0);
    if (drawing.dataset.xlog) x = 10 ** x;
    return `\n${drawing.dataset.x} ${text(x)}, ${drawing.dataset.y} ` +
      (drawing.dataset.percent ? text(100 * y) + " %" : text(y));
  }
  function placeTip(event) {
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 6)) + "px";
    tip.style.top = (event.clientY > innerHeight - 90 ? event.clientY - tip.offsetHeight - 12
      : event.clientY + 16) + "px";
  }
  document.addEventListener("pointermove", (event) => {
    const mark = event.target.closest ? event.target.closest("svg .line, svg .dot") : null;
    const key = mark ? keyOf(mark) : null;
    if (key !== hovered) { hovered = key; show(); }
    tip.hidden = !mark;
    if (!mark) return;
    tip.style.whiteSpace = "pre-line";
    tip.textContent = nameOf(mark, key) + valuesAt(mark, event);
    placeTip(event);
  });

  // A link to a run opens it.
  function open() {
    const target = location.hash.length > 1 && byId(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  }
  addEventListener("hashchange", open);
  open();
})();
