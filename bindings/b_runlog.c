/*
 * b_runlog.c - writing run files and checkpoints from Lua; lua/trit/runlog.lua and checkpoint.lua
 * give them their public form.
 */
#include "bind.h"

#include <time.h>
#include <unistd.h>

#include "trit/io.h"

#define RUNLOG_MT "trit.runlog.file"

static trit_runlog *check_log(lua_State *L) {
    trit_runlog **box = luaL_checkudata(L, 1, RUNLOG_MT);
    if (!*box) bind_raise(L, "runlog: the run file is closed");
    return *box;
}

/* core.runlog_create(path, config_json) -> log | nil, sentence */
static int l_create(lua_State *L) {
    const char *path = luaL_checkstring(L, 1), *config = luaL_checkstring(L, 2);
    trit_runlog **box = (trit_runlog **)bind_box(L, RUNLOG_MT);
    if (trit_runlog_create(path, config, box) != TRIT_OK) return bind_nil(L);
    return 1;
}

/* The table { [group] = rows } at `index` -> marks; the userdata stays on the stack. */
static trit_mark *to_marks(lua_State *L, int index, int *n) {
    *n = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) ++*n;
    trit_mark *marks = lua_newuserdatauv(L, (size_t)*n * sizeof *marks + 1, 0);
    lua_pushnil(L);
    for (int i = 0; lua_next(L, index); i++) {
        if (lua_type(L, -2) != LUA_TSTRING) bind_raise(L, "runlog: marks are named by group");
        marks[i] = (trit_mark){lua_tostring(L, -2), luaL_checkinteger(L, -1)};
        lua_pop(L, 1);
    }
    return marks;
}

/* core.runlog_resume(path, step | { [group] = records }) -> log | nil, sentence */
static int l_resume(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    int n = 0;
    const trit_mark *marks = lua_istable(L, 2) ? to_marks(L, 2, &n) : NULL;
    const int64_t step = marks ? 0 : luaL_checkinteger(L, 2);
    trit_runlog **box = (trit_runlog **)bind_box(L, RUNLOG_MT);
    if (trit_runlog_resume(path, step, n, marks, box) != TRIT_OK) return bind_nil(L);
    return 1;
}

static int l_release(lua_State *L) {
    trit_runlog **box = luaL_checkudata(L, 1, RUNLOG_MT);
    trit_runlog *log = *box;
    *box = NULL;
    trit_runlog_close(log);
    return 0;
}

static int l_close(lua_State *L) {
    trit_runlog **box = luaL_checkudata(L, 1, RUNLOG_MT);
    trit_runlog *log = *box;
    *box = NULL;
    if (trit_runlog_close(log) != TRIT_OK) return bind_nil(L);
    lua_pushboolean(L, 1);
    return 1;
}

/* The value on top (number or table of numbers) -> one field; the userdata stays on the stack. */
static void to_field(lua_State *L, const char *name, trit_field *field) {
    const int table = lua_gettop(L);
    const bool row = lua_istable(L, table);
    const lua_Integer n = row ? luaL_len(L, table) : 0;
    double *data = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *data, 0);
    if (!row) {
        if (lua_type(L, table) != LUA_TNUMBER)
            bind_raise(L, "runlog: %s must be a number or a table of numbers, got a %s", name,
                       luaL_typename(L, table));
        data[0] = lua_tonumber(L, table);
    }
    for (lua_Integer i = 0; i < n; i++) {
        if (lua_geti(L, table, i + 1) != LUA_TNUMBER)
            bind_raise(L, "runlog: %s[%d] must be a number, got a %s", name, (int)i + 1,
                       luaL_typename(L, -1));
        data[i] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    *field = (trit_field){.name = name, .width = n, .data = data};
}

/*
 * log:record(group, names, values [, fixed]): values[name] is a number or a row of numbers;
 * fixed[name] = true marks what is written once, when the group is made.
 */
static int l_record(lua_State *L) {
    trit_runlog *log = check_log(L);
    const char *group = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 5);
    const lua_Integer n = luaL_len(L, 3);
    luaL_checkstack(L, (int)n * 3 + 8, "runlog: too many series in one record");
    trit_field *field = lua_newuserdatauv(L, (size_t)n * sizeof *field + 1, 0);
    for (lua_Integer i = 0; i < n; i++) {
        lua_geti(L, 3, i + 1);
        const char *name = luaL_checkstring(L, -1);
        lua_getfield(L, 4, name);
        to_field(L, name, &field[i]);
        if (lua_istable(L, 5)) {
            lua_getfield(L, 5, name);
            field[i].fixed = lua_toboolean(L, -1);
            lua_pop(L, 1);
        }
    }
    bind_check(L, trit_runlog_record(log, group, (int)n, field));
    return 0;
}

static int l_commit(lua_State *L) {
    bind_check(L, trit_runlog_commit(check_log(L)));
    return 0;
}

static int l_sync(lua_State *L) {
    bind_check(L, trit_runlog_sync(check_log(L)));
    return 0;
}

static int l_status(lua_State *L) {
    trit_runlog *log = check_log(L);
    bind_check(L, trit_runlog_status(log, luaL_checkstring(L, 2), luaL_optstring(L, 3, "")));
    return 0;
}

/* log:text(path, text): a text data set beside the series, e.g. the script */
static int l_text(lua_State *L) {
    trit_h5 *f = trit_runlog_file(check_log(L));
    const char *path = luaL_checkstring(L, 2), *text = luaL_checkstring(L, 3);
    bind_check(L, trit_h5_write_text(f, path, NULL, 0, &text));
    bind_check(L, trit_h5_flush(f));
    return 0;
}

/* log:attr(name, number | text): an attribute of the file; on disk with the next commit */
static int l_attr(lua_State *L) {
    trit_h5 *f = trit_runlog_file(check_log(L));
    const char *name = luaL_checkstring(L, 2), *text;
    if (lua_type(L, 3) == LUA_TNUMBER) {
        const double number = lua_tonumber(L, 3);
        bind_check(L, trit_h5_write(f, "", name, TRIT_H5_F64, 0, NULL, &number));
    } else {
        text = luaL_checkstring(L, 3);
        bind_check(L, trit_h5_write_text(f, "", name, 0, &text));
    }
    return 0;
}

static int l_elapsed(lua_State *L) {
    lua_pushnumber(L, trit_runlog_elapsed(check_log(L)));
    return 1;
}

static int l_cost(lua_State *L) {
    lua_pushnumber(L, trit_runlog_cost(check_log(L)));
    return 1;
}

static int l_charge(lua_State *L) {
    trit_runlog_charge(check_log(L), luaL_checknumber(L, 2));
    return 0;
}

static const luaL_Reg methods[] = {
    {"record", l_record}, {"commit", l_commit},   {"sync", l_sync}, {"status", l_status},
    {"text", l_text},     {"elapsed", l_elapsed}, {"cost", l_cost}, {"charge", l_charge},
    {"attr", l_attr},     {NULL, NULL},
};

/* ------------------------------------------------------------------ checkpoints */

/* core.checkpoint_save(path, names, tensors or strings by name, meta) -> true | nil, sentence */
static int l_save(lua_State *L) {
    const char *path = luaL_checkstring(L, 1), *meta = luaL_checkstring(L, 4);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TTABLE);
    const lua_Integer n = luaL_len(L, 2);
    trit_named *named = lua_newuserdatauv(L, (size_t)n * sizeof *named + 1, 0);
    for (lua_Integer i = 0; i < n; i++) {
        lua_geti(L, 2, i + 1);
        named[i].name = luaL_checkstring(L, -1); /* kept alive by the table of names */
        lua_getfield(L, 3, named[i].name);
        named[i] = (trit_named){.name = named[i].name};
        if (lua_type(L, -1) == LUA_TSTRING) {
            size_t size;
            named[i].bytes = lua_tolstring(L, -1, &size);
            named[i].size = (int64_t)size;
        } else if (luaL_testudata(L, -1, TENSOR_MT)) {
            named[i].tensor = bind_tensor(L, lua_gettop(L));
        } else {
            bind_raise(L, "checkpoint: '%s' is a %s, not a tensor", named[i].name,
                       luaL_typename(L, -1));
        }
        lua_pop(L, 2);
    }
    if (trit_checkpoint_save(path, (int)n, named, meta) != TRIT_OK) return bind_nil(L);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_verify(lua_State *L) {
    if (trit_checkpoint_verify(luaL_checkstring(L, 1)) != TRIT_OK) return bind_nil(L);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_alias(lua_State *L) {
    if (trit_file_alias(luaL_checkstring(L, 1), luaL_checkstring(L, 2)) != TRIT_OK)
        return bind_nil(L);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---------------------------------------------------------------- small things */

/* core.io_clock(): seconds of a clock that never jumps */
static int l_clock(lua_State *L) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
    return 1;
}

/* core.io_sleep(seconds) */
static int l_sleep(lua_State *L) {
    const double s = luaL_checknumber(L, 1);
    struct timespec t = {.tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9)};
    nanosleep(&t, NULL);
    return 0;
}

/* core.io_isatty(descriptor) */
static int l_isatty(lua_State *L) {
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static const luaL_Reg functions[] = {
    {"runlog_create", l_create},     {"runlog_resume", l_resume}, {"checkpoint_save", l_save},
    {"checkpoint_verify", l_verify}, {"file_alias", l_alias},     {"io_clock", l_clock},
    {"io_sleep", l_sleep},           {"io_isatty", l_isatty},     {NULL, NULL},
};

void trit_open_runlog(lua_State *L);

void trit_open_runlog(lua_State *L) {
    bind_class(L, RUNLOG_MT, methods, l_release);
    luaL_getmetatable(L, RUNLOG_MT);
    lua_getfield(L, -1, "__index");
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "close");
    lua_pop(L, 2);
    luaL_setfuncs(L, functions, 0);
}
