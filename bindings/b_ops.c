/*
 * b_ops.c - every op of the registry as a Lua function, by one generic caller.
 *
 *   core.<op>(x, ..., { option = value })      operands first, options last
 *
 * Operands that an op may leave out are nil or absent.  A number where an operand is expected
 * becomes a one-element tensor.
 *
 *   core.op_hook(f)      f(name, y, options, x, ...) after every call, with the options in full;
 *                        nil: none.  Returns the hook before.
 */
#include "bind.h"

/* The tensor at `arg`, or a sentence about operand k of this op. */
static trit_tensor *operand(lua_State *L, int arg, const char *op, int k) {
    trit_tensor **box = luaL_testudata(L, arg, TENSOR_MT);
    if (!box)
        bind_raise(L, "%s: operand %d must be a tensor or a number, got %s", op, k,
                   luaL_typename(L, arg));
    if (box && !*box) bind_raise(L, "%s: operand %d is a closed tensor", op, k);
    return bind_any_tensor(L, arg);
}

/* Operands before the options table: everything up to the first plain table. */
static int operands_of(lua_State *L, trit_tensor **in, const char *op, int *options) {
    int top = lua_gettop(L), n = 0;
    *options = 0;
    for (int i = 1; i <= top; i++) {
        if (lua_istable(L, i)) {
            if (i != top) bind_raise(L, "%s: the options table comes last", op);
            *options = i;
            break;
        }
        if (n == TRIT_MAX_IN) bind_raise(L, "%s: at most %d operands", op, TRIT_MAX_IN);
        if (lua_type(L, i) == LUA_TNUMBER) {
            trit_tensor **box = bind_tensor_box(L);
            bind_check(L, trit_tensor_new(&(trit_shape){0}, TRIT_ROW_MAJOR, box));
            (*box)->data[0] = (float)lua_tonumber(L, i);
            lua_replace(L, i);
        }
        in[n] = lua_isnil(L, i) ? NULL : operand(L, i, op, n + 1);
        n++;
    }
    return n;
}

static char hook_key; /* its address: the hook's place in the registry */

/* Tell the hook of a call whose result is on top, above `top` arguments; `n` are operands. */
static void tell_hook(lua_State *L, const trit_op *op, const trit_args *args, int n) {
    const int result = lua_gettop(L);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &hook_key) == LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    luaL_checkstack(L, n + 4, op->name);
    lua_pushstring(L, op->name);
    lua_pushvalue(L, result);
    bind_push_args(L, op->params, args);
    for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
    lua_call(L, n + 3, 0);
}

static int l_op_hook(lua_State *L) {
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &hook_key);
    lua_insert(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &hook_key);
    return 1;
}

static int call_op(lua_State *L) {
    const trit_op *op = lua_touserdata(L, lua_upvalueindex(1));
    trit_tensor *in[TRIT_MAX_IN] = {0}, *y = NULL;
    trit_args args;
    int options;
    int n = operands_of(L, in, op->name, &options);
    bind_args(L, options ? options : lua_gettop(L) + 1, op->name, op->params, &args);
    trit_tensor **box = bind_tensor_box(L);
    bind_check(L, trit_apply(op, in, n, &args, NULL, NULL, &y));
    bind_tensor_set(L, box, y);
    tell_hook(L, op, &args, n);
    return 1;
}

/* core.op_info(name) -> { name, doc, operands, params, grad } */
static int l_op_info(lua_State *L) {
    const trit_op *op = trit_op_find(luaL_checkstring(L, 1));
    static const char *const kinds[] = {"none", "smooth", "kinked", "surrogate"};
    if (!op) return 0;
    lua_newtable(L);
    lua_pushstring(L, op->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, op->doc);
    lua_setfield(L, -2, "doc");
    lua_pushstring(L, op->operands);
    lua_setfield(L, -2, "operands");
    lua_pushstring(L, kinds[op->grad]);
    lua_setfield(L, -2, "grad");
    bind_push_params(L, op->params);
    lua_setfield(L, -2, "params");
    return 1;
}

static const luaL_Reg functions[] = {{"op_info", l_op_info}, {"op_hook", l_op_hook}, {NULL, NULL}};

void trit_open_ops(lua_State *L);
void trit_open_ops(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
    lua_newtable(L); /* core.ops: name -> function */
    for (int i = 0; i < trit_ops_count; i++) {
        lua_pushlightuserdata(L, (void *)trit_ops[i]);
        lua_pushcclosure(L, call_op, 1);
        lua_setfield(L, -2, trit_ops[i]->name);
    }
    lua_setfield(L, -2, "ops");
}
