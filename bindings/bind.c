/*
 * bind.c - boxes, checks, errors: the layer every b_*.c stands on.
 */
#include "bind.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* ------------------------------------------------------------------- errors */

/* Is this a chunk of the library itself: lua/trit/... in the source tree, lua/5.4/trit/...
 * installed? */
static bool library_chunk(const char *source) {
    return source[0] == '@' && (strstr(source, "lua/trit/") || strstr(source, "lua/5.4/trit/"));
}

/* "script.lua:12: " of the first script function on the stack; nothing if there is none. */
static void push_where(lua_State *L) {
    lua_Debug ar;
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline <= 0 || library_chunk(ar.source)) continue;
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
        return;
    }
    lua_pushliteral(L, "");
}

static int raise_pushed(lua_State *L) { /* sentence on top */
    push_where(L);
    lua_insert(L, -2);
    lua_concat(L, 2);
    return lua_error(L);
}

int bind_raise(lua_State *L, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    lua_pushvfstring(L, fmt, ap);
    va_end(ap);
    return raise_pushed(L);
}

void bind_check(lua_State *L, trit_status status) {
    if (status == TRIT_OK) return;
    lua_pushstring(L, trit_last_error());
    raise_pushed(L);
}

typedef struct {
    trit_status (*fn)(lua_State *L, void *context);
    void *context;
    trit_status status;
} protected_call;

static int run_protected(lua_State *L) {
    protected_call *p = lua_touserdata(L, 1);
    lua_settop(L, 0);
    p->status = p->fn(L, p->context);
    return 0;
}

static int as_text(lua_State *L) { /* message handler */
    luaL_tolstring(L, 1, NULL);
    return 1;
}

trit_status bind_protect(lua_State *L, const char *owner,
                         trit_status (*fn)(lua_State *L, void *context), void *context) {
    protected_call p = {fn, context, TRIT_OK};
    const int top = lua_gettop(L);
    if (!lua_checkstack(L, 4)) return trit_fail(TRIT_ERR_MEM, "%s: Lua's stack is full", owner);
    lua_pushcfunction(L, as_text); /* nothing here allocates */
    lua_pushcfunction(L, run_protected);
    lua_pushlightuserdata(L, &p);
    const int failure = lua_pcall(L, 1, 0, top + 1);
    if (failure != LUA_OK) {
        const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "error";
        p.status =
            trit_fail(failure == LUA_ERRMEM ? TRIT_ERR_MEM : TRIT_ERR_ARG, "%s: %s", owner, text);
    }
    lua_settop(L, top);
    return p.status;
}

int bind_nil(lua_State *L) {
    lua_pushnil(L);
    lua_pushstring(L, trit_last_error());
    return 2;
}

/* core.raise(sentence): the Lua half's way to raise at the script's line. */
static int l_raise(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    return raise_pushed(L);
}

/* -------------------------------------------------------------------- boxes */

void **bind_box(lua_State *L, const char *mt) {
    void **box = lua_newuserdatauv(L, sizeof *box, 1);
    *box = NULL;
    luaL_setmetatable(L, mt);
    return box;
}

void bind_class(lua_State *L, const char *mt, const luaL_Reg *methods, lua_CFunction release) {
    luaL_newmetatable(L, mt); /* sets __name */
    lua_newtable(L);
    if (methods) luaL_setfuncs(L, methods, 0);
    if (release) {
        static const char *const names[] = {"__gc", "__close"};
        for (int i = 0; i < 2; i++) {
            lua_pushcfunction(L, release);
            lua_setfield(L, -3, names[i]);
        }
        lua_pushcfunction(L, release);
        lua_setfield(L, -2, "close");
    }
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

trit_tensor **bind_tensor_box(lua_State *L) { return (trit_tensor **)bind_box(L, TENSOR_MT); }

/*
 * Lua sees a tensor as eight bytes, so its collector cannot know when memory is short.  Each time
 * GLANCE was boxed the memory in use is looked at, and the collector runs where that is more than
 * what was needed before and some slack.  Boxing alone says little: temporaries of modules go with
 * the tape, and a step that boxes a gigabyte of them would pay for a dozen full collections.
 */
#define GLANCE ((size_t)64 << 20)
#define SLACK  ((size_t)2 << 20)
static size_t boxed, needed; /* needed: the most that collections left in use, of late */

void bind_tensor_set(lua_State *L, trit_tensor **box, trit_tensor *t) {
    *box = t;
    boxed += trit_storage_bytes(t);
    if (boxed < GLANCE) return;
    boxed = 0;
    if (trit_mem_query().live <= needed + needed / 16 + SLACK) return;
    lua_gc(L, LUA_GCCOLLECT);
    const size_t left = trit_mem_query().live;
    needed -= needed / 4; /* a large phase that is over counts less each time */
    if (left > needed) needed = left;
}

void bind_push_tensor(lua_State *L, trit_tensor *t) {
    trit_tensor **box = bind_tensor_box(L);
    bind_tensor_set(L, box, t);
}

trit_tensor *bind_any_tensor(lua_State *L, int arg) {
    trit_tensor **box = luaL_checkudata(L, arg, TENSOR_MT);
    if (!*box) bind_raise(L, "tensor is closed");
    if (!trit_tensor_alive(*box))
        bind_raise(
            L,
            "tensor %s has been released: a module's temporary ends with backward; return it "
            "from the module or keep() it",
            TRIT_TEXT(*box));
    return *box;
}

trit_tensor *bind_tensor(lua_State *L, int arg) {
    trit_tensor *t = bind_any_tensor(L, arg);
    bind_check(L, trit_tensor_settle(t));
    return t;
}

trit_tensor *bind_opt_tensor(lua_State *L, int arg) {
    return lua_isnoneornil(L, arg) ? NULL : bind_tensor(L, arg);
}

/* ---------------------------------------------------------------- arguments */

void bind_shape(lua_State *L, int arg, const char *what, trit_shape *shape) {
    luaL_checktype(L, arg, LUA_TTABLE);
    lua_Integer n = luaL_len(L, arg);
    if (n > TRIT_MAX_DIM)
        bind_raise(L, "%s: %d dimensions, at most %d are possible", what, (int)n, TRIT_MAX_DIM);
    *shape = (trit_shape){.ndim = (int)n};
    for (int i = 0; i < (int)n; i++) {
        lua_geti(L, arg, i + 1);
        int ok;
        lua_Integer d = lua_tointegerx(L, -1, &ok);
        if (!ok || d < 0)
            bind_raise(L, "%s: dimension %d must be a whole number >= 0, got %s", what, i + 1,
                       luaL_tolstring(L, -1, NULL));
        shape->dim[i] = d;
        lua_pop(L, 1);
    }
}

/* Is `name` one of the words of "layout, seed"? */
static bool listed(const char *names, const char *name) {
    const size_t n = strlen(name);
    for (const char *p = names; *p; p += strspn(p, ", ")) {
        const size_t word = strcspn(p, ",");
        if (word == n && !memcmp(p, name, n)) return true;
        p += word;
    }
    return false;
}

void bind_known(lua_State *L, int arg, const char *owner, const char *names) {
    if (lua_isnoneornil(L, arg)) return;
    luaL_checktype(L, arg, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, arg)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            bind_raise(L, "%s: options are given by name, as in { name = value }", owner);
        if (!listed(names, lua_tostring(L, -2)))
            bind_raise(L, "%s: unknown option \"%s\"; known: %s", owner, lua_tostring(L, -2),
                       names);
        lua_pop(L, 1);
    }
}

static void known_names(const trit_param *table, char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; table && table[i].name && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", table[i].name);
}

static void arg_list(lua_State *L, int index, const char *owner, const trit_param *table,
                     trit_args *args, int row) {
    lua_Integer n = luaL_len(L, index);
    args->n[row] = 0;
    for (lua_Integer k = 1; k <= n; k++) {
        lua_geti(L, index, k);
        if (!lua_isnumber(L, -1))
            bind_raise(L, "%s: option %s[%d] must be a number, got %s", owner, table[row].name,
                       (int)k, luaL_typename(L, -1));
        bind_check(L, trit_args_set(owner, table, args, row, (int)k - 1, lua_tonumber(L, -1)));
        lua_pop(L, 1);
    }
    args->n[row] = (int)n;
}

void bind_arg_value(lua_State *L, int index, const char *owner, const trit_param *table,
                    trit_args *args, int row) {
    index = lua_absindex(L, index);
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        bind_check(L, trit_args_set(owner, table, args, row, 0, lua_tonumber(L, index)));
        break;
    case LUA_TBOOLEAN: {
        char buffer[64];
        bool on = lua_toboolean(L, index);
        const trit_param *p = &table[row];
        /* false means "none" where there is such a choice: clip_sigma = false */
        bool none = !on && p->choices && strstr(p->choices, "none") != NULL;
        const char *word = none ? "none" : on ? "true" : "false";
        if (p->choices && trit_param_choice(p, on, buffer, sizeof buffer) &&
            !strstr(p->choices, word))
            word = on ? "on" : "off";
        bind_check(L, trit_args_set_name(owner, table, args, row, word));
        break;
    }
    case LUA_TSTRING:
        if (lua_isnumber(L, index) && (!table[row].choices || table[row].number))
            bind_check(L, trit_args_set(owner, table, args, row, 0, lua_tonumber(L, index)));
        else
            bind_check(L, trit_args_set_name(owner, table, args, row, lua_tostring(L, index)));
        break;
    case LUA_TTABLE: arg_list(L, index, owner, table, args, row); break;
    default:
        bind_raise(L, "%s: option %s cannot be a %s", owner, table[row].name,
                   luaL_typename(L, index));
    }
}

void bind_args(lua_State *L, int arg, const char *owner, const trit_param *table, trit_args *args) {
    trit_args_default(table, args);
    if (!lua_isnoneornil(L, arg)) {
        luaL_checktype(L, arg, LUA_TTABLE);
        lua_pushnil(L);
        while (lua_next(L, arg)) {
            if (lua_type(L, -2) != LUA_TSTRING)
                bind_raise(L, "%s: options are given by name, as in { name = value }", owner);
            const char *name = lua_tostring(L, -2);
            int row = trit_param_find(table, name);
            if (row < 0) {
                char known[512];
                known_names(table, known, sizeof known);
                bind_raise(L, "%s: unknown option \"%s\"; known: %s", owner, name,
                           known[0] ? known : "none");
            }
            bind_arg_value(L, -1, owner, table, args, row);
            lua_pop(L, 1);
        }
    }
    for (int i = 0; table && table[i].name; i++)
        if (table[i].required && lua_istable(L, arg)) {
            if (lua_getfield(L, arg, table[i].name) == LUA_TNIL)
                bind_raise(L, "%s: option %s is required: %s", owner, table[i].name, table[i].doc);
            lua_pop(L, 1);
        } else if (table[i].required) {
            bind_raise(L, "%s: option %s is required: %s", owner, table[i].name, table[i].doc);
        }
}

static void push_value(lua_State *L, const trit_param *p, double v) {
    char name[64];
    if (trit_param_choice(p, v, name, sizeof name)) {
        if (!strcmp(name, "true") || !strcmp(name, "false"))
            lua_pushboolean(L, name[0] == 't');
        else
            lua_pushstring(L, name);
    } else if (v == floor(v) && fabs(v) < 1e15) {
        lua_pushinteger(L, (lua_Integer)v);
    } else {
        lua_pushnumber(L, v);
    }
}

void bind_push_args(lua_State *L, const trit_param *table, const trit_args *args) {
    lua_newtable(L);
    for (int i = 0; table && table[i].name; i++) {
        /* a list given as one number, or not given, reads back as that number */
        if (table[i].len > 1 && !(table[i].list && args->n[i] <= 1)) {
            lua_createtable(L, args->n[i], 0);
            for (int k = 0; k < args->n[i]; k++) {
                push_value(L, &table[i], args->v[i][k]);
                lua_seti(L, -2, k + 1);
            }
        } else {
            push_value(L, &table[i], args->v[i][0]);
        }
        lua_setfield(L, -2, table[i].name);
    }
}

static void push_choices(lua_State *L, const char *choices) {
    lua_newtable(L);
    int n = 0;
    for (const char *p = choices; *p;) {
        size_t len = strcspn(p, "|"), name = strcspn(p, "=|");
        lua_pushlstring(L, p, name < len ? name : len);
        lua_seti(L, -2, ++n);
        p += len + (p[len] == '|');
    }
}

void bind_push_params(lua_State *L, const trit_param *table) {
    lua_newtable(L);
    for (int i = 0; table && table[i].name; i++) {
        const trit_param *p = &table[i];
        lua_newtable(L);
        lua_pushstring(L, p->name);
        lua_setfield(L, -2, "name");
        push_value(L, p, p->def);
        lua_setfield(L, -2, "default");
        lua_pushboolean(L, p->integer);
        lua_setfield(L, -2, "integer");
        if (!p->choices || p->number) {
            lua_pushnumber(L, p->min);
            lua_setfield(L, -2, "min");
            lua_pushnumber(L, p->max);
            lua_setfield(L, -2, "max");
        }
        if (p->choices) {
            push_choices(L, p->choices);
            lua_setfield(L, -2, "choices");
        }
        lua_pushstring(L, p->doc);
        lua_setfield(L, -2, "doc");
        lua_seti(L, -2, i + 1);
    }
}

lua_Number bind_field_number(lua_State *L, int table, const char *name, lua_Number def) {
    lua_getfield(L, table, name);
    lua_Number v = luaL_optnumber(L, -1, def);
    lua_pop(L, 1);
    return v;
}

uint64_t bind_field_whole(lua_State *L, int table, const char *owner, const char *name,
                          uint64_t def) {
    int ok = 1;
    const bool absent = lua_getfield(L, table, name) == LUA_TNIL;
    const lua_Integer v = absent ? (lua_Integer)def : lua_tointegerx(L, -1, &ok);
    if (!ok || v < 0)
        bind_raise(L, "%s: %s must be a whole number >= 0, got %s", owner, name,
                   luaL_tolstring(L, -1, NULL));
    lua_pop(L, 1);
    return (uint64_t)v;
}

/* ------------------------------------------------------------------- module */

static int l_isa(lua_State *L) {
    lua_pushstring(L, trit_isa_name(trit_isa_level()));
    return 1;
}

static int l_isa_force(lua_State *L) {
    static const char *const names[] = {"generic", "avx2", "avx512", NULL};
    bind_check(L, trit_isa_force((trit_isa)luaL_checkoption(L, 1, NULL, names)));
    return 0;
}

static int l_threads(lua_State *L) {
    if (!lua_isnoneornil(L, 1)) bind_check(L, trit_set_threads((int)luaL_checkinteger(L, 1)));
    lua_pushinteger(L, trit_threads());
    return 1;
}

static int l_cpu(lua_State *L) {
    lua_pushstring(L, trit_cpu_line());
    lua_pushboolean(L, trit_cpu_has_vnni());
    return 2;
}

static int l_memory(lua_State *L) {
    trit_mem_stats s = trit_mem_query();
    lua_newtable(L);
    lua_pushinteger(L, (lua_Integer)s.live);
    lua_setfield(L, -2, "live");
    lua_pushinteger(L, (lua_Integer)s.peak);
    lua_setfield(L, -2, "peak");
    lua_pushinteger(L, (lua_Integer)s.cached);
    lua_setfield(L, -2, "cached");
    return 1;
}

static int l_fail_after(lua_State *L) {
    trit_mem_fail_after(luaL_checkinteger(L, 1));
    return 0;
}

static int l_trim(lua_State *L) {
    (void)L;
    trit_mem_trim();
    return 0;
}

static const luaL_Reg functions[] = {
    {"raise", l_raise},           {"isa", l_isa},          {"isa_force", l_isa_force},
    {"threads", l_threads},       {"cpu", l_cpu},          {"memory", l_memory},
    {"fail_after", l_fail_after}, {"memory_trim", l_trim}, {NULL, NULL},
};

int luaopen_trit_core(lua_State *L) {
    if (trit_init() != TRIT_OK) return luaL_error(L, "trit: %s", trit_last_error());
    luaL_newlib(L, functions);
    lua_pushstring(L, TRIT_VERSION);
    lua_setfield(L, -2, "version");
    trit_open_all(L);
    return 1;
}
