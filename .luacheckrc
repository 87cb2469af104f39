std = "lua54"
max_line_length = 110
self = false
ignore = {
  "211/guard", -- `local guard <close>`: its use is that it closes
  "581", -- not (x <= y) is not x > y when NaN may come
}
files["tests/lua"] = { std = "+busted" }
