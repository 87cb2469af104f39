/*
 * b_tensor.c - tensors from Lua: making, looking, copying; and their gradients.
 */
#include "bind.h"

#include <math.h>

/* --------------------------------------------------------------------- making */

/* Shape of a nested table; every level must have the length of its first element. */
static void nested_shape(lua_State *L, int index, trit_shape *s) {
    lua_pushvalue(L, index);
    s->ndim = 0;
    while (lua_istable(L, -1)) {
        if (s->ndim == TRIT_MAX_DIM)
            bind_raise(L, "tensor: nested deeper than %d levels", TRIT_MAX_DIM);
        s->dim[s->ndim++] = luaL_len(L, -1);
        lua_geti(L, -1, 1);
        lua_remove(L, -2);
    }
    lua_pop(L, 1);
}

static float *nested_copy(lua_State *L, int index, const trit_shape *s, int level, float *out) {
    index = lua_absindex(L, index);
    if (level == s->ndim) {
        int ok;
        *out = (float)lua_tonumberx(L, index, &ok);
        if (!ok)
            bind_raise(L, "tensor: a %s stands where a number belongs", luaL_typename(L, index));
        return out + 1;
    }
    if (!lua_istable(L, index) || luaL_len(L, index) != s->dim[level])
        bind_raise(L, "tensor: ragged table: level %d needs %d elements everywhere", level + 1,
                   (int)s->dim[level]);
    for (int64_t i = 1; i <= s->dim[level]; i++) {
        lua_geti(L, index, i);
        out = nested_copy(L, -1, s, level + 1, out);
        lua_pop(L, 1);
    }
    return out;
}

/* core.tensor(number | nested table) */
static int l_tensor(lua_State *L) {
    trit_shape s = {0};
    trit_tensor *t = NULL;
    luaL_argcheck(L, lua_isnumber(L, 1) || lua_istable(L, 1), 1, "number or nested table expected");
    nested_shape(L, 1, &s);
    trit_tensor **box = bind_tensor_box(L);
    bind_check(L, trit_tensor_new(&s, TRIT_ROW_MAJOR, &t));
    bind_tensor_set(L, box, t);
    nested_copy(L, 1, &s, 0, t->data);
    return 1;
}

static trit_layout layout_option(lua_State *L, int table) {
    static const char *const names[] = {"row_major", "channels_last", "hwio", NULL};
    if (!lua_istable(L, table)) return TRIT_ROW_MAJOR;
    lua_getfield(L, table, "layout");
    int k = luaL_checkoption(L, -1, "row_major", names);
    lua_pop(L, 1);
    return (trit_layout)k;
}

static trit_tensor *new_shaped(lua_State *L, const char *what) {
    trit_shape s;
    trit_tensor *t = NULL;
    bind_shape(L, 1, what, &s);
    bind_known(L, 2, what, "layout");
    trit_tensor **box = bind_tensor_box(L);
    bind_check(L, trit_tensor_new(&s, layout_option(L, 2), &t));
    bind_tensor_set(L, box, t);
    return t;
}

static int l_zeros(lua_State *L) {
    trit_tensor_fill(new_shaped(L, "zeros"), 0.0f);
    return 1;
}

static int l_ones(lua_State *L) {
    trit_tensor_fill(new_shaped(L, "ones"), 1.0f);
    return 1;
}

#define LEAST_CUT 0.1 /* standard deviations: below it most draws would be thrown away */

static int random_tensor(lua_State *L, bool normal) {
    trit_shape s;
    trit_tensor *t = NULL, *flat = NULL;
    bind_shape(L, 1, normal ? "randn" : "rand", &s);
    bind_known(L, 2, normal ? "randn" : "rand",
               normal ? "cut, layout, mean, seed, std, stream" : "layout, max, min, seed, stream");
    uint64_t seed = 0;
    uint32_t stream = TRIT_STREAM_USER;
    double a = 0, b = 1, cut = HUGE_VAL;
    if (lua_istable(L, 2)) {
        seed = bind_field_whole(L, 2, normal ? "randn" : "rand", "seed", 0);
        stream =
            (uint32_t)bind_field_whole(L, 2, normal ? "randn" : "rand", "stream", TRIT_STREAM_USER);
        a = bind_field_number(L, 2, normal ? "mean" : "min", 0);
        b = bind_field_number(L, 2, normal ? "std" : "max", 1);
        if (normal) cut = bind_field_number(L, 2, "cut", HUGE_VAL);
        if (!(cut >= LEAST_CUT))
            bind_raise(L, "randn: cut is %f but must be %f at least", cut, LEAST_CUT);
    }
    /* Drawn in logical order, so the layout in memory does not change the numbers. */
    trit_tensor **box = bind_tensor_box(L), **draw = bind_tensor_box(L);
    bind_check(L, trit_tensor_new(&s, TRIT_ROW_MAJOR, &flat));
    bind_tensor_set(L, draw, flat);
    if (normal && isfinite(cut))
        trit_rng_fill_truncated(seed, stream, (float)a, (float)b, cut, flat->data,
                                trit_numel(flat));
    else if (normal)
        trit_rng_fill_normal(seed, stream, (float)a, (float)b, flat->data, trit_numel(flat));
    else
        trit_rng_fill_uniform(seed, stream, (float)a, (float)b, flat->data, trit_numel(flat));
    bind_check(L, trit_tensor_as(flat, layout_option(L, 2), &t));
    bind_tensor_set(L, box, t);
    lua_pop(L, 1);
    return 1;
}

static int l_randn(lua_State *L) { return random_tensor(L, true); }
static int l_rand(lua_State *L) { return random_tensor(L, false); }

/* -------------------------------------------------------------------- looking */

static int l_shape(lua_State *L) {
    trit_tensor *t = bind_any_tensor(L, 1);
    lua_createtable(L, t->shape.ndim, 0);
    for (int i = 0; i < t->shape.ndim; i++) {
        lua_pushinteger(L, t->shape.dim[i]);
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

static int l_numel(lua_State *L) {
    lua_pushinteger(L, trit_numel(bind_any_tensor(L, 1)));
    return 1;
}

static int l_item(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1);
    if (trit_numel(t) != 1)
        bind_raise(L, "item: %s has %I elements, exactly one is needed", TRIT_TEXT(t),
                   (LUAI_UACINT)trit_numel(t));
    lua_pushnumber(L, t->data[0]);
    return 1;
}

static void push_nested(lua_State *L, const trit_tensor *t, int level, const float *p) {
    if (level == t->shape.ndim) {
        lua_pushnumber(L, *p);
        return;
    }
    luaL_checkstack(L, 4, "totable");
    lua_createtable(L, (int)t->shape.dim[level], 0);
    for (int64_t i = 0; i < t->shape.dim[level]; i++) {
        push_nested(L, t, level + 1, p + i * t->stride[level]);
        lua_seti(L, -2, i + 1);
    }
}

static int l_totable(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1);
    push_nested(L, t, 0, t->data);
    return 1;
}

/* t:get(i, j, ...): indices from 1. */
static float *element(lua_State *L, trit_tensor *t, int first) {
    float *p = t->data;
    for (int i = 0; i < t->shape.ndim; i++) {
        lua_Integer k = luaL_checkinteger(L, first + i);
        if (k < 1 || k > t->shape.dim[i])
            bind_raise(L, "index %d is %d but dimension %d of %s counts 1..%d", i + 1, (int)k,
                       i + 1, TRIT_TEXT(t), (int)t->shape.dim[i]);
        p += (k - 1) * t->stride[i];
    }
    return p;
}

static int l_get(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1);
    lua_pushnumber(L, *element(L, t, 2));
    return 1;
}

static int l_set(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1);
    bind_check(L, trit_tensor_will_change(t));
    *element(L, t, 2) = (float)luaL_checknumber(L, 2 + t->shape.ndim);
    lua_settop(L, 1);
    return 1;
}

static int l_tostring(lua_State *L) {
    trit_tensor **box = luaL_checkudata(L, 1, TENSOR_MT);
    if (!*box)
        lua_pushliteral(L, "tensor (closed)");
    else if (!trit_tensor_alive(*box))
        lua_pushfstring(L, "%s (released)", TRIT_TEXT(*box));
    else if (trit_numel(*box) == 1 && !trit_is_pending(*box))
        lua_pushfstring(L, "%s %f", TRIT_TEXT(*box), (lua_Number)(*box)->data[0]);
    else
        lua_pushstring(L, TRIT_TEXT(*box));
    return 1;
}

/* -------------------------------------------------------------------- changing */

static int l_copy(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1);
    bind_check(L, trit_tensor_will_change(t));
    bind_check(L, trit_tensor_copy(t, bind_tensor(L, 2)));
    lua_settop(L, 1);
    return 1;
}

static int l_fill(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1);
    const float value = (float)luaL_checknumber(L, 2);
    bind_check(L, trit_tensor_will_change(t));
    trit_tensor_fill(t, value);
    lua_settop(L, 1);
    return 1;
}

static int l_clone(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1), *y = NULL;
    trit_tensor **box = bind_tensor_box(L);
    bind_check(L, trit_tensor_clone(t, &y));
    bind_tensor_set(L, box, y);
    return 1;
}

static int l_close(lua_State *L) {
    trit_tensor **box = luaL_checkudata(L, 1, TENSOR_MT);
    trit_tensor *t = *box;
    *box = NULL;
    trit_tensor_release(t);
    return 0;
}

static int l_keep(lua_State *L) {
    trit_tensor_keep(bind_tensor(L, 1));
    lua_settop(L, 1);
    return 1;
}

/* ------------------------------------------------------------------- gradients */

/* t:requires_grad([on]) -> t when setting, boolean when asking */
static int l_requires_grad(lua_State *L) {
    trit_tensor *t = bind_any_tensor(L, 1);
    if (lua_isnone(L, 2)) {
        lua_pushboolean(L, trit_needs_grad(t));
        return 1;
    }
    if (t->node)
        bind_raise(L, "requires_grad: %s is the result of an op, not a leaf", TRIT_TEXT(t));
    t->requires_grad = lua_toboolean(L, 2);
    lua_settop(L, 1);
    return 1;
}

static int l_backward(lua_State *L) {
    trit_tensor *t = bind_any_tensor(L, 1), *g = bind_opt_tensor(L, 2);
    bind_check(L, trit_backward(t, g));
    return 0;
}

static int l_detach(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1), *y = NULL;
    trit_tensor **box = bind_tensor_box(L);
    bind_check(L, trit_detach(t, &y));
    *box = y;
    return 1;
}

static int l_zero_grad(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1);
    trit_tensor_release(t->grad);
    t->grad = NULL;
    return 0;
}

/* t:has_grad(): as t.grad ~= nil, but without a second handle on the gradient, which would hold its
 * memory until it is collected */
static int l_has_grad(lua_State *L) {
    lua_pushboolean(L, bind_any_tensor(L, 1)->grad != NULL);
    return 1;
}

static void push_grad(lua_State *L, trit_tensor *t) {
    if (!t->grad) {
        lua_pushnil(L);
        return;
    }
    trit_tensor **box = bind_tensor_box(L);
    bind_tensor_set(L, box, trit_tensor_retain(t->grad));
}

/* t.grad, else a method. */
static int l_index(lua_State *L) {
    trit_tensor **box = luaL_checkudata(L, 1, TENSOR_MT);
    const char *key = luaL_checkstring(L, 2);
    if (!strcmp(key, "grad")) {
        if (!*box) bind_raise(L, "tensor is closed");
        push_grad(L, *box);
        return 1;
    }
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
    return bind_raise(L, "tensor has no field or method \"%s\"", key);
}

static int l_newindex(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "grad")) bind_raise(L, "tensor: field \"%s\" cannot be set", key);
    trit_tensor *g = bind_opt_tensor(L, 3);
    if (g && !trit_same_shape(g, t))
        bind_raise(L, "tensor: a gradient %s for %s", TRIT_TEXT(g), TRIT_TEXT(t));
    if (g) trit_tensor_retain(g);
    trit_tensor_release(t->grad);
    t->grad = g;
    return 0;
}

static int l_equal(lua_State *L) { /* same bits? for tests and checkpoints */
    trit_tensor *a = bind_tensor(L, 1), *b = bind_tensor(L, 2), *x = NULL, *y = NULL;
    bool same = trit_same_shape(a, b);
    if (same) {
        trit_tensor **keep_a = bind_tensor_box(L), **keep_b = bind_tensor_box(L);
        bind_check(L, trit_tensor_as(a, TRIT_ROW_MAJOR, &x));
        *keep_a = x;
        bind_check(L, trit_tensor_as(b, TRIT_ROW_MAJOR, &y));
        *keep_b = y;
        same = !memcmp(x->data, y->data, (size_t)trit_numel(x) * sizeof(float));
    }
    lua_pushboolean(L, same);
    return 1;
}

/* t:max_difference(u) -> largest |t - u|; NaN if one is */
static int l_max_difference(lua_State *L) {
    trit_tensor *a = bind_tensor(L, 1), *b = bind_tensor(L, 2), *x = NULL, *y = NULL;
    if (!trit_same_shape(a, b))
        bind_raise(L, "max_difference: shapes differ: %s and %s", TRIT_TEXT(a), TRIT_TEXT(b));
    trit_tensor **keep_a = bind_tensor_box(L), **keep_b = bind_tensor_box(L);
    bind_check(L, trit_tensor_as(a, TRIT_ROW_MAJOR, &x));
    *keep_a = x;
    bind_check(L, trit_tensor_as(b, TRIT_ROW_MAJOR, &y));
    *keep_b = y;
    double largest = 0;
    for (int64_t i = 0, n = trit_numel(x); i < n && !isnan(largest); i++) {
        if (x->data[i] == y->data[i]) continue; /* equal infinities too */
        double e = fabs((double)x->data[i] - (double)y->data[i]);
        if (!(e <= largest)) largest = e;
    }
    lua_pushnumber(L, largest);
    return 1;
}

/* ----------------------------------------------------------------- global state */

static int l_grad_enabled(lua_State *L) {
    if (lua_isnone(L, 1))
        lua_pushboolean(L, trit_grad_enabled());
    else
        lua_pushboolean(L, trit_set_grad_enabled(lua_toboolean(L, 1)));
    return 1;
}

/* core.fusion([on]) -> whether passes were fused before */
static int l_fusion(lua_State *L) {
    lua_pushboolean(L, lua_isnone(L, 1) ? trit_fusion() : trit_set_fusion(lua_toboolean(L, 1)));
    return 1;
}

static int l_scope_enter(lua_State *L) {
    bind_check(L, trit_scope_enter());
    return 0;
}

static int l_scope_keep(lua_State *L) {
    for (int i = 1; i <= lua_gettop(L); i++) {
        trit_tensor **box = luaL_testudata(L, i, TENSOR_MT);
        if (box && *box) trit_scope_keep(*box);
    }
    return lua_gettop(L);
}

static int l_scope_leave(lua_State *L) {
    (void)L;
    trit_scope_leave();
    return 0;
}

static const luaL_Reg methods[] = {
    {"shape", l_shape},
    {"numel", l_numel},
    {"item", l_item},
    {"totable", l_totable},
    {"get", l_get},
    {"set", l_set},
    {"copy", l_copy},
    {"fill", l_fill},
    {"clone", l_clone},
    {"close", l_close},
    {"keep", l_keep},
    {"requires_grad", l_requires_grad},
    {"backward", l_backward},
    {"detach", l_detach},
    {"zero_grad", l_zero_grad},
    {"has_grad", l_has_grad},
    {"equal", l_equal},
    {"max_difference", l_max_difference},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"tensor", l_tensor},
    {"zeros", l_zeros},
    {"ones", l_ones},
    {"randn", l_randn},
    {"rand", l_rand},
    {"fusion", l_fusion},
    {"grad_enabled", l_grad_enabled},
    {"scope_enter", l_scope_enter},
    {"scope_keep", l_scope_keep},
    {"scope_leave", l_scope_leave},
    {NULL, NULL},
};

void trit_open_tensor(lua_State *L);
void trit_open_tensor(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
    bind_class(L, TENSOR_MT, methods, l_close);
    luaL_getmetatable(L, TENSOR_MT);
    lua_pushcfunction(L, l_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushcfunction(L, l_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_getfield(L, -1, "__index"); /* the methods, also reachable for Lua to extend */
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, "methods");
    lua_pushcclosure(L, l_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
