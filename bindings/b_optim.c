/*
 * b_optim.c - update rules from Lua; groups and loops are lua/trit/optim.lua.
 */
#include "bind.h"
#include "trit/optim.h"

static const trit_optimizer *check_optimizer(lua_State *L, int arg) {
    const char *name = luaL_checkstring(L, arg);
    const trit_optimizer *o = trit_optimizer_find(name);
    if (!o) bind_raise(L, "optim: there is no optimizer \"%s\"", name);
    return o;
}

/* core.optim_list() -> names */
static int l_list(lua_State *L) {
    lua_newtable(L);
    for (int i = 0; i < trit_optimizers_count; i++) {
        lua_pushstring(L, trit_optimizers[i]->name);
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

/* core.optim_info(name) -> { name, doc, params } */
static int l_info(lua_State *L) {
    const trit_optimizer *o = check_optimizer(L, 1);
    lua_newtable(L);
    lua_pushstring(L, o->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, o->doc);
    lua_setfield(L, -2, "doc");
    bind_push_params(L, o->params);
    lua_setfield(L, -2, "params");
    return 1;
}

/* core.optim_options(name, { ... }) -> the full, checked table */
static int l_options(lua_State *L) {
    const trit_optimizer *o = check_optimizer(L, 1);
    trit_args args;
    bind_args(L, 2, o->name, o->params, &args);
    bind_push_args(L, o->params, &args);
    return 1;
}

/* core.optim_slots(name, options, p) -> { slot name = zeros like p } */
static int l_slots(lua_State *L) {
    const trit_optimizer *o = check_optimizer(L, 1);
    trit_tensor *p = bind_tensor(L, 3), *slot = NULL;
    trit_args args;
    bind_args(L, 2, o->name, o->params, &args);
    unsigned uses = trit_optimizer_uses(o, &args);
    lua_newtable(L);
    for (int i = 0; i < TRIT_MAX_SLOTS && o->slots[i]; i++) {
        if (!(uses >> i & 1)) continue;
        trit_tensor **box = bind_tensor_box(L);
        bind_check(L, trit_tensor_like(p, &slot));
        trit_tensor_fill(slot, 0);
        bind_tensor_set(L, box, slot);
        lua_setfield(L, -2, o->slots[i]);
    }
    return 1;
}

/* core.optim_step(name, options, t, p, slots): one update of p from p.grad */
static int l_step(lua_State *L) {
    const trit_optimizer *o = check_optimizer(L, 1);
    trit_tensor *p = bind_tensor(L, 4), *slot[TRIT_MAX_SLOTS] = {0};
    trit_args args;
    bind_args(L, 2, o->name, o->params, &args);
    if (!p->grad) bind_raise(L, "%s: %s has no gradient", o->name, TRIT_TEXT(p));
    luaL_checktype(L, 5, LUA_TTABLE);
    for (int i = 0; i < TRIT_MAX_SLOTS && o->slots[i]; i++) {
        if (lua_getfield(L, 5, o->slots[i]) != LUA_TNIL) slot[i] = bind_tensor(L, -1);
        lua_pop(L, 1);
    }
    bind_check(L, trit_optimizer_step(o, &args, luaL_checkinteger(L, 3), p, p->grad, slot));
    return 0;
}

/* core.grad_sum_squares({ tensors }) -> sum of squares of their gradients, in double */
static int l_grad_sum_squares(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    double total = 0;
    for (lua_Integer i = 1, n = luaL_len(L, 1); i <= n; i++) {
        double one = 0;
        lua_geti(L, 1, i);
        trit_tensor *g = bind_tensor(L, -1)->grad;
        if (g) bind_check(L, trit_sum_squares(&g, 1, &one));
        total += one;
        lua_pop(L, 1);
    }
    lua_pushnumber(L, total);
    return 1;
}

/* core.grad_scale({ tensors }, factor) and core.grad_clamp({ tensors }, limit), in place */
static int change_gradients(lua_State *L, bool clamp) {
    luaL_checktype(L, 1, LUA_TTABLE);
    float value = (float)luaL_checknumber(L, 2);
    for (lua_Integer i = 1, n = luaL_len(L, 1); i <= n; i++) {
        lua_geti(L, 1, i);
        trit_tensor *g = bind_tensor(L, -1)->grad;
        if (g && clamp) trit_clamp_inplace(g, -value, value);
        if (g && !clamp) trit_scale_inplace(g, value);
        lua_pop(L, 1);
    }
    return 0;
}

static int l_grad_scale(lua_State *L) { return change_gradients(L, false); }
static int l_grad_clamp(lua_State *L) { return change_gradients(L, true); }

static const luaL_Reg functions[] = {
    {"optim_list", l_list},
    {"optim_info", l_info},
    {"optim_options", l_options},
    {"optim_slots", l_slots},
    {"optim_step", l_step},
    {"grad_sum_squares", l_grad_sum_squares},
    {"grad_scale", l_grad_scale},
    {"grad_clamp", l_grad_clamp},
    {NULL, NULL},
};

void trit_open_optim(lua_State *L);
void trit_open_optim(lua_State *L) { luaL_setfuncs(L, functions, 0); }
