/*
 * b_onnx.c - describing an ONNX model from Lua.
 *
 *   local m = core.onnx_model(ir_version, opset, name)      -- or nil, sentence
 *   m:value("input" | "output", name, { -1, 3, 32, 32 })    m:tensor(name, type, { 3 }, bytes)
 *   m:node(op, name, { "a", "b" }, { "y" })                 m:int(name, 1)  m:float(name, 0.5)
 *   m:ints(name, { 1, 1 })                                  m:bytes()
 *
 * Attributes belong to the newest node.
 */
#include "bind.h"

#include "trit/onnx.h"

#define ONNX_MT  "trit.onnx.model"
#define MAX_INTS 16 /* numbers of one attribute or shape */

static trit_onnx *check_model(lua_State *L) {
    trit_onnx **box = luaL_checkudata(L, 1, ONNX_MT);
    if (!*box) bind_raise(L, "onnx: the model is closed");
    return *box;
}

static int check_ints(lua_State *L, int arg, int64_t *out) {
    luaL_checktype(L, arg, LUA_TTABLE);
    const lua_Integer n = luaL_len(L, arg);
    luaL_argcheck(L, n <= MAX_INTS, arg, "too many numbers");
    for (int i = 0; i < (int)n; i++) {
        lua_geti(L, arg, i + 1);
        out[i] = luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    return (int)n;
}

static int l_new(lua_State *L) {
    const lua_Integer ir = luaL_checkinteger(L, 1), opset = luaL_checkinteger(L, 2);
    const char *name = luaL_checkstring(L, 3);
    trit_onnx **box = (trit_onnx **)bind_box(L, ONNX_MT);
    if (trit_onnx_new(ir, opset, name, box) != TRIT_OK) return bind_nil(L);
    return 1;
}

static int l_close(lua_State *L) {
    trit_onnx **box = luaL_checkudata(L, 1, ONNX_MT);
    trit_onnx *o = *box;
    *box = NULL;
    trit_onnx_free(o);
    return 0;
}

static int l_value(lua_State *L) {
    static const char *const sides[] = {"input", "output", NULL};
    int64_t dim[MAX_INTS];
    const int n = check_ints(L, 4, dim);
    bind_check(L, trit_onnx_value(check_model(L), luaL_checkoption(L, 2, NULL, sides) == 1,
                                  luaL_checkstring(L, 3), n, dim));
    return 0;
}

static int l_tensor(lua_State *L) {
    static const char *const names[] = {"float", "int8", "int64", "int2", NULL};
    static const int types[] = {TRIT_ONNX_FLOAT, TRIT_ONNX_INT8, TRIT_ONNX_INT64, TRIT_ONNX_INT2};
    int64_t dim[MAX_INTS];
    size_t length;
    const int type = types[luaL_checkoption(L, 3, NULL, names)], n = check_ints(L, 4, dim);
    const char *bytes = luaL_checklstring(L, 5, &length);
    bind_check(
        L, trit_onnx_tensor(check_model(L), luaL_checkstring(L, 2), type, n, dim, bytes, length));
    return 0;
}

static void add_operands(lua_State *L, trit_onnx *o, int arg, bool output) {
    luaL_checktype(L, arg, LUA_TTABLE);
    for (lua_Integer i = 1, n = luaL_len(L, arg); i <= n; i++) {
        lua_geti(L, arg, i);
        bind_check(L, trit_onnx_operand(o, output, luaL_checkstring(L, -1)));
        lua_pop(L, 1);
    }
}

static int l_node(lua_State *L) {
    trit_onnx *o = check_model(L);
    bind_check(L, trit_onnx_node(o, luaL_checkstring(L, 2), luaL_checkstring(L, 3)));
    add_operands(L, o, 4, false);
    add_operands(L, o, 5, true);
    return 0;
}

static int l_int(lua_State *L) {
    bind_check(L, trit_onnx_int(check_model(L), luaL_checkstring(L, 2), luaL_checkinteger(L, 3)));
    return 0;
}

static int l_float(lua_State *L) {
    bind_check(
        L, trit_onnx_float(check_model(L), luaL_checkstring(L, 2), (float)luaL_checknumber(L, 3)));
    return 0;
}

static int l_ints(lua_State *L) {
    int64_t v[MAX_INTS];
    const int n = check_ints(L, 3, v);
    bind_check(L, trit_onnx_ints(check_model(L), luaL_checkstring(L, 2), n, v));
    return 0;
}

static int l_bytes(lua_State *L) {
    const void *bytes;
    size_t n;
    bind_check(L, trit_onnx_encode(check_model(L), &bytes, &n));
    lua_pushlstring(L, bytes, n);
    return 1;
}

static const luaL_Reg methods[] = {
    {"value", l_value}, {"tensor", l_tensor}, {"node", l_node},   {"int", l_int},
    {"float", l_float}, {"ints", l_ints},     {"bytes", l_bytes}, {NULL, NULL},
};

static const luaL_Reg functions[] = {{"onnx_model", l_new}, {NULL, NULL}};

void trit_open_onnx(lua_State *L);
void trit_open_onnx(lua_State *L) {
    bind_class(L, ONNX_MT, methods, l_close);
    luaL_setfuncs(L, functions, 0);
}
