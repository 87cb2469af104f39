/*
 * b_stats.c - statistics of weights and codes from Lua; trit.stats documents the functions.
 */
#include "bind.h"

#include "trit/stats.h"

static void set_number(lua_State *L, const char *name, double v) {
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t v) {
    lua_pushinteger(L, v);
    lua_setfield(L, -2, name);
}

static void set_moments(lua_State *L, const trit_moments *m) {
    set_integer(L, "n", m->n);
    set_integer(L, "nan", m->nan);
    set_number(L, "min", m->min);
    set_number(L, "max", m->max);
    set_number(L, "mean", m->mean);
    set_number(L, "std", m->std);
    set_number(L, "skew", m->skew);
    set_number(L, "kurtosis", m->kurtosis);
}

static void set_outside(lua_State *L, const trit_outside *o) {
    set_integer(L, "zeros", o->zeros);
    set_integer(L, "under", o->under);
    set_integer(L, "over", o->over);
    set_integer(L, "nan", o->nan);
}

static void set_counts(lua_State *L, const int64_t *counts, int bins) {
    lua_createtable(L, bins, 0);
    for (int i = 0; i < bins; i++) {
        lua_pushinteger(L, counts[i]);
        lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "counts");
}

static void set_doubles(lua_State *L, const char *name, const double *v, int n) {
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_pushnumber(L, v[i]);
        lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, name);
}

/* Table of ascending numbers at `index` -> doubles in a userdata left on the stack; its length. */
static const double *edges_at(lua_State *L, int index, int *count) {
    luaL_checktype(L, index, LUA_TTABLE);
    const int n = (int)luaL_len(L, index);
    double *edges = lua_newuserdatauv(L, (size_t)n * sizeof *edges + 8, 0);
    for (int i = 0; i < n; i++) {
        lua_geti(L, index, i + 1);
        if (lua_type(L, -1) != LUA_TNUMBER)
            bind_raise(L, "histogram: edge %d is a %s, not a number", i + 1, luaL_typename(L, -1));
        edges[i] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    if (n < 2) bind_raise(L, "histogram: %d edges, at least 2 are needed", n);
    *count = n;
    return edges;
}

/* The elements of the tensor at `arg` as one run in logical order; the tensor stays on the stack */
static const float *flat(lua_State *L, int arg, int64_t *n) {
    trit_tensor *t = bind_tensor(L, arg), *row;
    trit_tensor **box = bind_tensor_box(L);
    bind_check(L, trit_tensor_as(t, TRIT_ROW_MAJOR, &row));
    bind_tensor_set(L, box, row);
    *n = trit_numel(row);
    return row->data;
}

static const float *sorted(lua_State *L, int arg, int64_t *n) {
    const float *x = flat(L, arg, n);
    float *s = lua_newuserdatauv(L, (size_t)*n * sizeof *s + 8, 0);
    bind_check(L, trit_sort_f32(x, *n, s));
    return s;
}

static int l_moments(lua_State *L) {
    int64_t n;
    const float *x = flat(L, 1, &n);
    trit_moments m;
    trit_moments_of(x, n, &m);
    lua_newtable(L);
    set_moments(L, &m);
    return 1;
}

static int l_histogram(lua_State *L) {
    int64_t n;
    int count;
    const float *x = flat(L, 1, &n);
    const double *edges = edges_at(L, 2, &count);
    int64_t *counts = lua_newuserdatauv(L, (size_t)count * sizeof *counts, 0);
    trit_outside outside;
    bind_check(L, trit_histogram(x, n, edges, count - 1, counts, &outside));
    lua_newtable(L);
    set_counts(L, counts, count - 1);
    set_outside(L, &outside);
    return 1;
}

static void set_shapiro(lua_State *L, const trit_shapiro_result *r) {
    lua_newtable(L);
    set_number(L, "w", r->w);
    set_number(L, "one_minus_w", r->one_minus_w);
    set_number(L, "p", r->p);
}

static int l_shapiro(lua_State *L) {
    int64_t n;
    const float *x = sorted(L, 1, &n);
    trit_shapiro_result r;
    trit_shapiro(x, n, &r);
    set_shapiro(L, &r);
    return 1;
}

static int l_ks_normal(lua_State *L) {
    int64_t n;
    const float *x = sorted(L, 1, &n);
    trit_moments m;
    trit_moments_of(x, n, &m);
    lua_pushnumber(L, trit_ks_normal(x, n, m.mean, m.std));
    return 1;
}

static int l_normal_quantile(lua_State *L) {
    const double p = luaL_checknumber(L, 1);
    if (!(p > 0 && p < 1)) bind_raise(L, "normal_quantile: p must be between 0 and 1, got %f", p);
    lua_pushnumber(L, trit_normal_quantile(p));
    return 1;
}

static int l_lloyd_max(lua_State *L) {
    double value[TRIT_LLOYD_LEVELS], threshold[TRIT_LLOYD_LEVELS], mse;
    const int levels = (int)luaL_checkinteger(L, 1);
    bind_check(L, trit_lloyd_max(levels, value, threshold, &mse));
    lua_newtable(L);
    set_doubles(L, "values", value, levels);
    set_doubles(L, "thresholds", threshold, levels - 1);
    set_number(L, "mse", mse);
    return 1;
}

/* core.stats_weights(w, { edges=, shapiro=, subsamples=, size=, seed= }) */
static int l_weights(lua_State *L) {
    trit_tensor *w = bind_tensor(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    trit_weight_query q = {.subsamples = (int)bind_field_number(L, 2, "subsamples", 0),
                           .size = (int)bind_field_number(L, 2, "size", 0),
                           .seed = (uint64_t)bind_field_number(L, 2, "seed", 0)};
    lua_getfield(L, 2, "shapiro");
    q.shapiro = lua_toboolean(L, -1);
    int64_t *counts = NULL;
    if (lua_getfield(L, 2, "edges") != LUA_TNIL) {
        int count;
        q.edges = edges_at(L, lua_gettop(L), &count);
        q.bins = count - 1;
        counts = lua_newuserdatauv(L, (size_t)count * sizeof *counts, 0);
    }
    trit_weight_report r;
    bind_check(L, trit_weight_stats(w, &q, counts, &r));
    lua_newtable(L);
    if (q.bins) {
        set_counts(L, counts, q.bins);
        set_outside(L, &r.outside);
    }
    set_moments(L, &r.moments);
    set_number(L, "shapiro_w", r.shapiro.w);
    set_number(L, "shapiro_p", r.shapiro.p);
    set_number(L, "sub_w", r.subsampled.w);
    set_number(L, "sub_p", r.subsampled.p);
    return 1;
}

/* core.stats_codes(codes, previous | nil) -> { share = {neg, zero, pos}, flips = }, packed */
static int l_codes(lua_State *L) {
    trit_tensor *codes = bind_tensor(L, 1);
    const size_t bytes = trit_code_bytes(trit_numel(codes));
    size_t had = 0;
    const char *previous = luaL_optlstring(L, 2, NULL, &had);
    const bool comparable = previous && had == bytes;
    double share[3], flips;
    lua_newtable(L);
    luaL_Buffer b; /* nothing below touches the stack until the result is pushed */
    uint8_t *packed = (uint8_t *)luaL_buffinitsize(L, &b, bytes + 1);
    if (comparable)
        memcpy(packed, previous, bytes);
    else
        memset(packed, 0, bytes);
    const trit_status status = trit_code_stats(codes, comparable, packed, share, &flips);
    luaL_pushresultsize(&b, status == TRIT_OK ? bytes : 0);
    bind_check(L, status);
    lua_pushvalue(L, -2);
    set_doubles(L, "share", share, 3);
    set_number(L, "flips", flips);
    lua_insert(L, -2);
    return 2;
}

static const luaL_Reg functions[] = {
    {"stats_moments", l_moments},
    {"stats_histogram", l_histogram},
    {"stats_shapiro", l_shapiro},
    {"stats_ks_normal", l_ks_normal},
    {"stats_weights", l_weights},
    {"stats_normal_quantile", l_normal_quantile},
    {"stats_lloyd_max", l_lloyd_max},
    {"stats_codes", l_codes},
    {NULL, NULL},
};

void trit_open_stats(lua_State *L);

void trit_open_stats(lua_State *L) { luaL_setfuncs(L, functions, 0); }
