/*
 * b_io.c - HDF5 files from Lua: trit.core.h5_open and the methods of trit.h5.file.
 *
 * A file that cannot be opened is nil, sentence; asking an open file for something that is not
 * there raises.  Buffers are Lua userdata, so a raise in between leaks nothing.
 */
#include "bind.h"

#include "trit/io.h"

#define H5_MT    "trit.h5.file"
#define NAMES_MT "trit.h5.names"

static trit_h5 *check_file(lua_State *L) {
    trit_h5 **box = luaL_checkudata(L, 1, H5_MT);
    if (!*box) bind_raise(L, "h5: the file is closed");
    return *box;
}

static int l_open(lua_State *L) {
    const char *path = luaL_checkstring(L, 1), *mode = luaL_optstring(L, 2, "r");
    trit_h5 **box = (trit_h5 **)bind_box(L, H5_MT);
    if (strlen(mode) != 1 || !strchr("rwa", mode[0]))
        bind_raise(L, "h5.open: mode must be \"r\", \"w\" or \"a\", not \"%s\"", mode);
    if (trit_h5_open(path, mode[0], box) != TRIT_OK) return bind_nil(L);
    return 1;
}

static int l_release(lua_State *L) {
    trit_h5 **box = luaL_checkudata(L, 1, H5_MT);
    trit_h5 *f = *box;
    *box = NULL;
    trit_h5_close(f);
    return 0;
}

/* f:close() -> true | nil, sentence: unlike the collector it tells of a failed last write. */
static int l_close(lua_State *L) {
    trit_h5 **box = luaL_checkudata(L, 1, H5_MT);
    trit_h5 *f = *box;
    *box = NULL;
    if (trit_h5_close(f) != TRIT_OK) return bind_nil(L);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_flush(lua_State *L) {
    bind_check(L, trit_h5_flush(check_file(L)));
    return 0;
}

/* ------------------------------------------------------------- names to tables */

static int names_release(lua_State *L) {
    trit_h5_names *names = luaL_checkudata(L, 1, NAMES_MT);
    trit_h5_names_free(names);
    return 0;
}

static trit_h5_names *names_box(lua_State *L) {
    trit_h5_names *names = lua_newuserdatauv(L, sizeof *names, 0);
    *names = (trit_h5_names){0};
    luaL_setmetatable(L, NAMES_MT);
    return names;
}

/* Box on top -> table of strings in its place. */
static void names_table(lua_State *L, trit_h5_names *names) {
    lua_createtable(L, (int)names->n, 0);
    for (int64_t i = 0; i < names->n; i++) {
        lua_pushstring(L, names->s[i]);
        lua_seti(L, -2, i + 1);
    }
    trit_h5_names_free(names);
    lua_remove(L, -2);
}

static int l_list(lua_State *L) {
    trit_h5 *f = check_file(L);
    const char *path = luaL_optstring(L, 2, "");
    trit_h5_names *names = names_box(L);
    bind_check(L, trit_h5_list(f, path, names));
    names_table(L, names);
    return 1;
}

/* ------------------------------------------------------------------- describing */

static trit_h5_info describe(lua_State *L, trit_h5 *f, const char *path, const char *attr) {
    trit_h5_info info;
    bind_check(L, trit_h5_describe(f, path, attr, &info));
    return info;
}

static void push_shape(lua_State *L, const trit_shape *s) {
    lua_createtable(L, s->ndim, 0);
    for (int i = 0; i < s->ndim; i++) {
        lua_pushinteger(L, s->dim[i]);
        lua_seti(L, -2, i + 1);
    }
}

static int l_exists(lua_State *L) {
    trit_h5_info info = describe(L, check_file(L), luaL_checkstring(L, 2), NULL);
    lua_pushboolean(L, info.kind != TRIT_H5_NONE);
    return 1;
}

/* Is it a series, a data set without limit in its first dimension? */
static int l_growing(lua_State *L) {
    lua_pushboolean(L, describe(L, check_file(L), luaL_checkstring(L, 2), NULL).growing);
    return 1;
}

/* "group" | "number" | "text" | "other" | nil */
static int l_kind(lua_State *L) {
    static const char *const names[] = {NULL, "group", "number", "text", "other"};
    trit_h5_info info = describe(L, check_file(L), luaL_checkstring(L, 2), NULL);
    lua_pushstring(L, names[info.kind]);
    return 1;
}

static trit_h5_info need(lua_State *L, trit_h5 *f, const char *path, trit_h5_kind kind) {
    trit_h5_info info = describe(L, f, path, NULL);
    if (info.kind == TRIT_H5_NONE) bind_raise(L, "h5: '%s' has no '%s'", trit_h5_path(f), path);
    if (info.kind != kind)
        bind_raise(L, "h5: '%s' in '%s' %s", path, trit_h5_path(f),
                   info.kind == TRIT_H5_GROUP ? "is a group, not a data set"
                   : kind == TRIT_H5_NUMBER   ? "does not hold numbers"
                                              : "does not hold text");
    return info;
}

static int l_shape(lua_State *L) {
    trit_h5 *f = check_file(L);
    const char *path = luaL_checkstring(L, 2);
    trit_h5_info info = describe(L, f, path, NULL);
    if (info.kind == TRIT_H5_NONE) bind_raise(L, "h5: '%s' has no '%s'", trit_h5_path(f), path);
    if (info.kind == TRIT_H5_GROUP) bind_raise(L, "h5: '%s' is a group and has no shape", path);
    push_shape(L, &info.shape);
    return 1;
}

/* ---------------------------------------------------------------------- reading */

static int l_read(lua_State *L) {
    trit_h5 *f = check_file(L);
    const char *path = luaL_checkstring(L, 2);
    need(L, f, path, TRIT_H5_NUMBER);
    trit_tensor *t, **box = bind_tensor_box(L);
    bind_check(L, trit_h5_read_tensor(f, path, &t));
    bind_tensor_set(L, box, t);
    return 1;
}

/* `count` numbers at `data` as a table: integers stay integers. */
static void push_numbers(lua_State *L, bool integer, const void *data, int64_t count) {
    const int64_t *whole = data;
    const double *real = data;
    lua_createtable(L, (int)count, 1);
    for (int64_t i = 0; i < count; i++) {
        if (integer)
            lua_pushinteger(L, whole[i]);
        else
            lua_pushnumber(L, real[i]);
        lua_seti(L, -2, i + 1);
    }
}

/* f:read_numbers(path [, first [, count]]) -> { ..., shape = {...} }; rows count from 1 */
static int l_read_numbers(lua_State *L) {
    trit_h5 *f = check_file(L);
    const char *path = luaL_checkstring(L, 2);
    trit_h5_info info = need(L, f, path, TRIT_H5_NUMBER);
    trit_h5_type type = info.integer ? TRIT_H5_I64 : TRIT_H5_F64;
    void *data;
    if (lua_isnoneornil(L, 3)) {
        data = lua_newuserdatauv(L, (size_t)info.count * 8 + 8, 0);
        bind_check(L, trit_h5_read(f, path, NULL, type, data));
    } else {
        int64_t rows = info.scalar ? 0 : info.shape.dim[0];
        int64_t first = luaL_checkinteger(L, 3) - 1;
        int64_t count = luaL_optinteger(L, 4, rows - first);
        int64_t row = rows > 0 ? info.count / rows : 0;
        if (first < 0 || count < 0 || first > rows || count > rows - first)
            bind_raise(L, "h5: '%s' has rows 1..%d, asked for %d..%d", path, (int)rows,
                       (int)first + 1, (int)(first + count));
        data = lua_newuserdatauv(L, (size_t)(count * row) * 8 + 8, 0);
        bind_check(L, trit_h5_read_rows(f, path, type, first, count, data));
        info.shape.dim[0] = count;
        info.count = count * row;
    }
    push_numbers(L, info.integer, data, info.count);
    push_shape(L, &info.shape);
    lua_setfield(L, -2, "shape");
    return 1;
}

/* f:read_bytes(path) -> string of a data set of bytes */
static int l_read_bytes(lua_State *L) {
    trit_h5 *f = check_file(L);
    const char *path = luaL_checkstring(L, 2);
    trit_h5_info info = need(L, f, path, TRIT_H5_NUMBER);
    luaL_Buffer b;
    char *data = luaL_buffinitsize(L, &b, (size_t)info.count + 1);
    bind_check(L, trit_h5_read(f, path, NULL, TRIT_H5_U8, data));
    luaL_pushresultsize(&b, (size_t)info.count);
    return 1;
}

static int l_read_strings(lua_State *L) {
    trit_h5 *f = check_file(L);
    const char *path = luaL_checkstring(L, 2);
    need(L, f, path, TRIT_H5_TEXT);
    trit_h5_names *names = names_box(L);
    bind_check(L, trit_h5_read_text(f, path, NULL, names));
    names_table(L, names);
    return 1;
}

static void push_text_attr(lua_State *L, trit_h5 *f, const char *path, const char *name,
                           bool scalar) {
    trit_h5_names *names = names_box(L);
    bind_check(L, trit_h5_read_text(f, path, name, names));
    names_table(L, names);
    if (!scalar) return;
    lua_geti(L, -1, 1);
    lua_remove(L, -2);
}

/* Value of an attribute, nil when there is none. */
static void push_attr(lua_State *L, trit_h5 *f, const char *path, const char *name) {
    trit_h5_info info = describe(L, f, path, name);
    if (info.kind == TRIT_H5_TEXT) {
        push_text_attr(L, f, path, name, info.scalar);
        return;
    }
    if (info.kind != TRIT_H5_NUMBER) {
        lua_pushnil(L);
        return;
    }
    void *data = lua_newuserdatauv(L, (size_t)info.count * 8 + 8, 0);
    bind_check(L, trit_h5_read(f, path, name, info.integer ? TRIT_H5_I64 : TRIT_H5_F64, data));
    if (!info.scalar)
        push_numbers(L, info.integer, data, info.count);
    else if (info.boolean)
        lua_pushboolean(L, *(int64_t *)data != 0);
    else if (info.integer)
        lua_pushinteger(L, *(int64_t *)data);
    else
        lua_pushnumber(L, *(double *)data);
    lua_remove(L, -2);
}

static int l_attr(lua_State *L) {
    trit_h5 *f = check_file(L);
    const char *path = luaL_checkstring(L, 2), *name = luaL_checkstring(L, 3);
    if (describe(L, f, path, NULL).kind == TRIT_H5_NONE)
        bind_raise(L, "h5: '%s' has no '%s'", trit_h5_path(f), path);
    push_attr(L, f, path, name);
    return 1;
}

static int l_attrs(lua_State *L) {
    trit_h5 *f = check_file(L);
    const char *path = luaL_optstring(L, 2, "");
    trit_h5_names *names = names_box(L);
    bind_check(L, trit_h5_attrs(f, path, names));
    lua_createtable(L, 0, (int)names->n);
    for (int64_t i = 0; i < names->n; i++) {
        push_attr(L, f, path, names->s[i]);
        lua_setfield(L, -2, names->s[i]);
    }
    return 1;
}

/* ---------------------------------------------------------------------- writing */

static bool all_integers(lua_State *L, int index, lua_Integer n) {
    for (lua_Integer i = 1; i <= n; i++) {
        bool integer = lua_geti(L, index, i) == LUA_TNUMBER && lua_isinteger(L, -1);
        lua_pop(L, 1);
        if (!integer) return false;
    }
    return true;
}

static void put_texts(lua_State *L, trit_h5 *f, const char *path, const char *attr, lua_Integer n) {
    const char **text = lua_newuserdatauv(L, (size_t)n * sizeof *text + 1, 0);
    for (lua_Integer i = 0; i < n; i++) {
        if (lua_geti(L, 4, i + 1) != LUA_TSTRING)
            bind_raise(L, "h5: element %d of '%s' is a %s among strings", (int)i + 1, path,
                       luaL_typename(L, -1));
        text[i] = lua_tostring(L, -1); /* the table keeps it alive */
        lua_pop(L, 1);
    }
    bind_check(L, trit_h5_write_text(f, path, attr, n, text));
}

/* A table of numbers (its field `shape` gives more dimensions) or of strings. */
static void put_table(lua_State *L, trit_h5 *f, const char *path, const char *attr) {
    lua_Integer n = luaL_len(L, 4);
    trit_shape shape = {.ndim = 1, .dim = {n}};
    lua_geti(L, 4, 1);
    bool strings = lua_type(L, -1) == LUA_TSTRING;
    lua_pop(L, 1);
    if (strings) {
        put_texts(L, f, path, attr, n);
        return;
    }
    if (lua_getfield(L, 4, "shape") == LUA_TTABLE) {
        bind_shape(L, lua_gettop(L), "h5", &shape);
        int64_t count = 1;
        for (int i = 0; i < shape.ndim; i++) count *= shape.dim[i];
        if (count != n)
            bind_raise(L, "h5: '%s': %d numbers do not fill the shape of %d", path, (int)n,
                       (int)count);
    }
    lua_pop(L, 1);
    bool integer = n > 0 && all_integers(L, 4, n);
    void *data = lua_newuserdatauv(L, (size_t)n * 8 + 8, 0);
    for (lua_Integer i = 0; i < n; i++) {
        lua_geti(L, 4, i + 1);
        if (lua_type(L, -1) != LUA_TNUMBER)
            bind_raise(L, "h5: element %d of '%s' is a %s, not a number", (int)i + 1, path,
                       luaL_typename(L, -1));
        if (integer)
            ((int64_t *)data)[i] = lua_tointeger(L, -1);
        else
            ((double *)data)[i] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    bind_check(L, trit_h5_write(f, path, attr, integer ? TRIT_H5_I64 : TRIT_H5_F64, shape.ndim,
                                shape.dim, data));
}

/* The value at index 4 becomes data set `path` or its attribute. */
static void put_value(lua_State *L, trit_h5 *f, const char *path, const char *attr) {
    switch (lua_type(L, 4)) {
    case LUA_TSTRING: {
        const char *text = lua_tostring(L, 4);
        bind_check(L, trit_h5_write_text(f, path, attr, 0, &text));
        break;
    }
    case LUA_TNUMBER: {
        int64_t whole = lua_isinteger(L, 4) ? lua_tointeger(L, 4) : 0;
        double real = lua_tonumber(L, 4);
        bool integer = lua_isinteger(L, 4);
        bind_check(L, trit_h5_write(f, path, attr, integer ? TRIT_H5_I64 : TRIT_H5_F64, 0, NULL,
                                    integer ? (void *)&whole : (void *)&real));
        break;
    }
    case LUA_TBOOLEAN: {
        uint8_t on = (uint8_t)lua_toboolean(L, 4);
        bind_check(L, trit_h5_write(f, path, attr, TRIT_H5_BOOL, 0, NULL, &on));
        break;
    }
    case LUA_TTABLE: put_table(L, f, path, attr); break;
    default:
        if (attr) bind_raise(L, "h5: attribute '%s' cannot be a %s", attr, luaL_typename(L, 4));
        bind_check(L, trit_h5_write_tensor(f, path, bind_tensor(L, 4)));
    }
}

/* f:write(path, tensor | string | number | boolean | table) */
static int l_write(lua_State *L) {
    trit_h5 *f = check_file(L);
    const char *path = luaL_checkstring(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    lua_pushvalue(L, 3); /* the value at 4, as for attributes */
    put_value(L, f, path, NULL);
    return 0;
}

/* f:set_attr(path, name, value) */
static int l_set_attr(lua_State *L) {
    trit_h5 *f = check_file(L);
    const char *path = luaL_checkstring(L, 2), *name = luaL_checkstring(L, 3);
    luaL_checkany(L, 4);
    if (describe(L, f, path, NULL).kind == TRIT_H5_NONE) bind_check(L, trit_h5_group(f, path));
    put_value(L, f, path, name);
    return 0;
}

static int l_tostring(lua_State *L) {
    trit_h5 **box = luaL_checkudata(L, 1, H5_MT);
    lua_pushfstring(L, "h5 file '%s'", *box ? trit_h5_path(*box) : "(closed)");
    return 1;
}

static const luaL_Reg methods[] = {
    {"read", l_read},
    {"read_numbers", l_read_numbers},
    {"read_bytes", l_read_bytes},
    {"read_strings", l_read_strings},
    {"attr", l_attr},
    {"attrs", l_attrs},
    {"list", l_list},
    {"exists", l_exists},
    {"kind", l_kind},
    {"shape", l_shape},
    {"growing", l_growing},
    {"write", l_write},
    {"set_attr", l_set_attr},
    {"flush", l_flush},
    {NULL, NULL},
};

static int l_version(lua_State *L) {
    lua_pushstring(L, trit_h5_version());
    return 1;
}

static const luaL_Reg functions[] = {
    {"h5_open", l_open},
    {"h5_version", l_version},
    {NULL, NULL},
};

void trit_open_io(lua_State *L);

void trit_open_io(lua_State *L) {
    bind_class(L, NAMES_MT, NULL, names_release);
    bind_class(L, H5_MT, methods, l_release);
    luaL_getmetatable(L, H5_MT);
    lua_pushcfunction(L, l_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_getfield(L, -1, "__index");
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "close");
    lua_pop(L, 2);
    luaL_setfuncs(L, functions, 0);
}
