/*
 * b_infer.c - packed models and their runners from Lua; trit.infer (lua/trit/infer) is the public
 * face.
 */
#include "bind.h"

#include <limits.h>

#include "trit/infer.h"

#define MODEL_MT  "trit.model"
#define RUNNER_MT "trit.runner"

static trit_model *check_model(lua_State *L) {
    trit_model **box = luaL_checkudata(L, 1, MODEL_MT);
    if (!*box) bind_raise(L, "the model is closed");
    return *box;
}

static trit_runner *check_runner(lua_State *L) {
    trit_runner **box = luaL_checkudata(L, 1, RUNNER_MT);
    if (!*box) bind_raise(L, "the runner is closed");
    return *box;
}

static int l_model_close(lua_State *L) {
    trit_model **box = luaL_checkudata(L, 1, MODEL_MT), *m = *box;
    *box = NULL;
    trit_model_close(m);
    return 0;
}

static int l_runner_close(lua_State *L) {
    trit_runner **box = luaL_checkudata(L, 1, RUNNER_MT), *r = *box;
    *box = NULL;
    trit_runner_close(r);
    return 0;
}

/* ---------------------------------------------------------- describing a graph */

static const char *const kinds[] = {"", "conv", "max_pool", "avg_pool", "shortcut", "pointwise"};
static const char *const weight_kinds[] = {"", "float", "2 bits", "base 3"};

static int64_t field_integer(lua_State *L, const char *name, int64_t def) {
    lua_getfield(L, -1, name);
    const int64_t v = luaL_optinteger(L, -1, def);
    lua_pop(L, 1);
    return v;
}

/* A buffer that Lua collects, kept alive in the table at index `keep`. */
static void *buffer(lua_State *L, int keep, size_t bytes) {
    void *p = lua_newuserdatauv(L, bytes ? bytes : 1, 0);
    lua_rawseti(L, keep, luaL_len(L, keep) + 1);
    return p;
}

/* Field `name` of the table on top, a tensor -> its numbers in interface order; NULL if absent. */
static const float *field_floats(lua_State *L, int keep, const char *name, int64_t n) {
    lua_getfield(L, -1, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return NULL;
    }
    trit_tensor *t = bind_tensor(L, lua_gettop(L)), *rows = NULL;
    if (trit_numel(t) != n)
        bind_raise(L, "model: %s has %d numbers, not %d", name, (int)trit_numel(t), (int)n);
    float *copy = buffer(L, keep, (size_t)n * sizeof *copy);
    bind_check(L, trit_tensor_as(t, TRIT_ROW_MAJOR, &rows));
    memcpy(copy, rows->data, (size_t)n * sizeof *copy);
    trit_tensor_release(rows);
    lua_pop(L, 1);
    return copy;
}

/* Element [k][c][y][x] of a 4-D tensor of any strides goes to row k, place (y*S + x)*C + c. */
static float *reordered(lua_State *L, int keep, const trit_tensor *t) {
    const int64_t *n = t->shape.dim, *s = t->stride;
    float *to = buffer(L, keep, (size_t)trit_numel(t) * sizeof *to), *p = to;
    for (int64_t k = 0; k < n[0]; k++)
        for (int64_t y = 0; y < n[2]; y++)
            for (int64_t x = 0; x < n[3]; x++)
                for (int64_t c = 0; c < n[1]; c++)
                    *p++ = t->data[k * s[0] + c * s[1] + y * s[2] + x * s[3]];
    return to;
}

static trit_tensor *field_filter(lua_State *L, const char *name, const trit_node *d) {
    lua_getfield(L, -1, name);
    trit_tensor *t = bind_tensor(L, lua_gettop(L));
    const int64_t *n = t->shape.dim;
    if (t->shape.ndim != 4 || n[0] != d->K || n[2] != d->R || n[3] != d->S)
        bind_raise(L, "model: %s are %s, not [%d,C,%d,%d]", name, TRIT_TEXT(t), (int)d->K,
                   (int)d->R, (int)d->S);
    lua_pop(L, 1); /* the table still holds it */
    return t;
}

/* planes = { { codes =, scale =, scale_neg = }, ... } of the node on top. */
static void read_planes(lua_State *L, int keep, trit_node *d) {
    const int table = lua_gettop(L);
    float *scale[2] = {NULL, NULL};
    uint8_t *codes = NULL;
    d->planes = (int)luaL_len(L, table);
    if (d->planes < 1 || d->planes > TRIT_MAX_PLANES) bind_raise(L, "model: %d planes", d->planes);
    for (int p = 0; p < d->planes; p++) {
        lua_geti(L, table, p + 1);
        const trit_tensor *t = field_filter(L, "codes", d);
        const int64_t len = trit_numel(t) / d->K, row = trit_t2_bytes(len);
        const float *c = reordered(L, keep, t);
        if (!codes) codes = buffer(L, keep, (size_t)(d->planes * d->K * row));
        int8_t *small = buffer(L, keep, (size_t)len);
        for (int64_t k = 0; k < d->K; k++) {
            for (int64_t i = 0; i < len; i++) small[i] = (int8_t)c[k * len + i];
            trit_t2_pack(small, len, codes + (p * d->K + k) * row);
        }
        for (int side = 0; side < 2; side++) {
            const char *name = side ? "scale_neg" : "scale";
            const float *s = field_floats(L, keep, name, d->scales);
            if (!s) continue;
            if (!scale[side])
                scale[side] = buffer(L, keep, (size_t)(d->planes * d->scales) * sizeof(float));
            memcpy(scale[side] + p * d->scales, s, (size_t)d->scales * sizeof(float));
        }
        lua_pop(L, 1);
    }
    d->codes = codes;
    d->scale = scale[0];
    d->scale_neg = scale[1];
    d->two_sided = scale[1] != NULL;
}

static void read_weights(lua_State *L, int keep, trit_node *d) {
    lua_getfield(L, -1, "planes");
    if (!lua_isnil(L, -1)) {
        d->weight = TRIT_WEIGHT_T2;
        read_planes(L, keep, d);
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    d->weight = TRIT_WEIGHT_FLOAT;
    d->weights = reordered(L, keep, field_filter(L, "weights", d));
}

/* The node on top of the stack. */
static void read_node(lua_State *L, int keep, trit_node *d) {
    static const char *const windows[] = {"R",     "S",     "stride_h", "stride_w",
                                          "pad_h", "pad_w", "dil_h",    "dil_w"};
    int64_t *const at[] = {&d->R,     &d->S,     &d->stride_h, &d->stride_w,
                           &d->pad_h, &d->pad_w, &d->dil_h,    &d->dil_w};
    lua_getfield(L, -1, "kind");
    d->kind = (trit_node_kind)luaL_checkoption(
        L, -1, NULL,
        (const char *[]){"", "conv", "max_pool", "avg_pool", "shortcut", "pointwise", NULL});
    lua_getfield(L, -2, "name");
    d->name = luaL_checkstring(L, -1);
    lua_pop(L, 2); /* the table holds the string */
    d->a = field_integer(L, "a", 0);
    d->b = field_integer(L, "b", -1);
    d->K = field_integer(L, "K", 0);
    for (int i = 0; i < 8; i++) *at[i] = field_integer(L, windows[i], i == 4 || i == 5 ? 0 : 1);
    d->groups = field_integer(L, "groups", 1);
    d->scales = field_integer(L, "scales", 0);
    lua_getfield(L, -1, "clamp");
    d->clamp = lua_istable(L, -1);
    if (d->clamp) {
        lua_geti(L, -1, 1);
        lua_geti(L, -2, 2);
        d->lo = (float)luaL_checknumber(L, -2);
        d->hi = (float)luaL_checknumber(L, -1);
        lua_pop(L, 2);
    }
    lua_getfield(L, -2, "count_pad");
    d->count_pad = lua_toboolean(L, -1);
    lua_pop(L, 2);
    if (d->kind == TRIT_NODE_CONV) read_weights(L, keep, d);
    d->gain = field_floats(L, keep, "gain", d->K);
    d->bias = field_floats(L, keep, "bias", d->K);
}

static void read_triple(lua_State *L, const char *name, float v[3]) {
    lua_getfield(L, 1, name);
    luaL_checktype(L, -1, LUA_TTABLE);
    for (int c = 0; c < 3; c++) { /* one channel: its number stands for all */
        lua_geti(L, -1, c + 1);
        v[c] = (float)luaL_optnumber(L, -1, c ? (double)v[0] : 0);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* core.model_encode{ name=, C=, H=, W=, mean=, std=, resize=, class_names=, archive=, nodes= } */
static int l_model_encode(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_newtable(L); /* 2: what must stay alive */
    trit_graph g = {0};
    lua_getfield(L, 1, "name");
    g.name = luaL_checkstring(L, -1);
    lua_pushvalue(L, 1);
    g.C = field_integer(L, "C", 0);
    g.H = field_integer(L, "H", 0);
    g.W = field_integer(L, "W", 0);
    g.resize = field_integer(L, "resize", g.H < g.W ? g.H : g.W);
    lua_getfield(L, -1, "archive");
    const bool archive = lua_toboolean(L, -1);
    lua_getfield(L, 1, "class_names");
    g.classes = luaL_len(L, -1);
    const char **names = buffer(L, 2, (size_t)g.classes * sizeof *names);
    for (int64_t c = 0; c < g.classes; c++) {
        lua_geti(L, -1, c + 1);
        names[c] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    g.class_names = names;
    read_triple(L, "mean", g.mean);
    read_triple(L, "std", g.std);
    lua_getfield(L, 1, "nodes");
    g.n = luaL_len(L, -1);
    g.nodes = buffer(L, 2, (size_t)g.n * sizeof *g.nodes);
    memset(g.nodes, 0, (size_t)g.n * sizeof *g.nodes);
    for (int64_t i = 0; i < g.n; i++) {
        lua_geti(L, -1, i + 1);
        read_node(L, 2, &g.nodes[i]);
        lua_pop(L, 1);
    }
    trit_model **box = (trit_model **)bind_box(L, MODEL_MT);
    bind_check(L, trit_model_encode(&g, archive, box));
    return 1;
}

/* ---------------------------------------------------------------------- models */

/* core.model_open(path) -> model, or nil and a sentence */
static int l_model_open(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    trit_model **box = (trit_model **)bind_box(L, MODEL_MT);
    return trit_model_open(path, box) == TRIT_OK ? 1 : bind_nil(L);
}

/* model:save(path) -> true, or nil and a sentence */
static int l_model_save(lua_State *L) {
    if (trit_model_save(check_model(L), luaL_checkstring(L, 2)) != TRIT_OK) return bind_nil(L);
    lua_pushboolean(L, true);
    return 1;
}

static void set_integer(lua_State *L, const char *name, int64_t v) {
    lua_pushinteger(L, v);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double v) {
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

static void push_node(lua_State *L, const trit_node *d) {
    const int64_t weights = d->kind == TRIT_NODE_CONV ? d->K * d->R * d->S * (d->C / d->groups) : 0;
    lua_createtable(L, 0, 20);
    lua_pushstring(L, d->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, kinds[d->kind]);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, weight_kinds[d->weight]);
    lua_setfield(L, -2, "weight");
    const int64_t numbers[] = {d->a, d->b, d->C, d->H,        d->W,        d->K,      d->P,
                               d->Q, d->R, d->S, d->stride_h, d->stride_w, d->groups, d->planes};
    static const char *const names[] = {"a", "b", "C", "H",        "W",        "K",      "P",
                                        "Q", "R", "S", "stride_h", "stride_w", "groups", "planes"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) set_integer(L, names[i], numbers[i]);
    set_integer(L, "weights", weights);
    set_integer(L, "macs", weights * d->P * d->Q);
    set_number(L, "least", (double)d->least);
    set_number(L, "greatest", (double)d->greatest);
}

/* model:facts() -> { name=, shape={C,H,W}, class_names=, mean=, std=, resize=, bytes=, nodes=,
 * calibrated= } */
static int l_model_facts(lua_State *L) {
    const trit_model *m = check_model(L);
    const trit_graph *g = trit_model_graph(m);
    lua_newtable(L);
    lua_pushstring(L, g->name);
    lua_setfield(L, -2, "name");
    set_integer(L, "bytes", (int64_t)trit_model_bytes(m));
    set_integer(L, "resize", g->resize);
    set_integer(L, "classes", g->classes);
    lua_pushboolean(L, g->least < g->greatest);
    lua_setfield(L, -2, "calibrated");
    const int64_t shape[3] = {g->C, g->H, g->W};
    static const char *const triples[] = {"shape", "mean", "std"};
    for (int t = 0; t < 3; t++) {
        lua_createtable(L, 3, 0);
        for (int c = 0; c < 3; c++) {
            if (t == 0)
                lua_pushinteger(L, shape[c]);
            else
                lua_pushnumber(L, (double)(t == 1 ? g->mean : g->std)[c]);
            lua_seti(L, -2, c + 1);
        }
        lua_setfield(L, -2, triples[t]);
    }
    lua_createtable(L, (int)g->classes, 0);
    for (int64_t c = 0; c < g->classes; c++) {
        lua_pushstring(L, g->class_names[c]);
        lua_seti(L, -2, c + 1);
    }
    lua_setfield(L, -2, "class_names");
    lua_createtable(L, (int)g->n, 0);
    for (int64_t i = 0; i < g->n; i++) {
        push_node(L, &g->nodes[i]);
        lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "nodes");
    return 1;
}

static const trit_node *check_coded(lua_State *L, const trit_model *m, int *plane) {
    const trit_graph *g = trit_model_graph(m);
    const lua_Integer i = luaL_checkinteger(L, 2), p = luaL_optinteger(L, 3, 1);
    luaL_argcheck(L, i >= 1 && i <= g->n, 2, "no such node");
    const trit_node *d = &g->nodes[i - 1];
    luaL_argcheck(L, d->codes != NULL && p >= 1 && p <= d->planes, 3, "no such codes");
    *plane = (int)p - 1;
    return d;
}

/* model:codes(node [, plane]) -> tensor [K, C/groups, R, S] of -1, 0, 1; scale; negative scale */
static int l_model_codes(lua_State *L) {
    int plane;
    const trit_node *d = check_coded(L, check_model(L), &plane);
    const int64_t C = d->C / d->groups, len = d->R * d->S * C, row = trit_t2_bytes(len);
    trit_tensor **box = bind_tensor_box(L), *t = NULL;
    int8_t *small = lua_newuserdatauv(L, (size_t)len, 0);
    bind_check(L, trit_tensor_new(&(trit_shape){4, {d->K, C, d->R, d->S}}, TRIT_ROW_MAJOR, &t));
    for (int64_t k = 0; k < d->K; k++) {
        trit_t2_unpack(d->codes + (plane * d->K + k) * row, len, small);
        for (int64_t i = 0; i < len; i++)
            t->data[k * len + i % C * d->R * d->S + i / C] = (float)small[i];
    }
    lua_pop(L, 1);
    bind_tensor_set(L, box, t);
    for (int side = 0; side < (d->two_sided ? 2 : 1); side++) {
        trit_tensor **scale = bind_tensor_box(L), *v = NULL;
        bind_check(L, trit_tensor_new(&(trit_shape){1, {d->scales}}, TRIT_ROW_MAJOR, &v));
        memcpy(v->data, (side ? d->scale_neg : d->scale) + plane * d->scales,
               (size_t)d->scales * sizeof(float));
        bind_tensor_set(L, scale, v);
    }
    return d->two_sided ? 3 : 2;
}

/* model:picture(path) -> tensor [1,3,H,W], or nil and a sentence */
static int l_model_picture(lua_State *L) {
    const trit_model *m = check_model(L);
    const trit_graph *g = trit_model_graph(m);
    trit_tensor **box = bind_tensor_box(L), *t = NULL;
    bind_check(L, trit_tensor_new(&(trit_shape){4, {1, g->C, g->H, g->W}}, TRIT_CHANNELS_LAST, &t));
    *box = t;
    if (trit_model_picture(m, luaL_checkstring(L, 2), t->data) != TRIT_OK) return bind_nil(L);
    return 1;
}

/* --------------------------------------------------------------------- runners */

/* model:runner{ bits=, batch= } -> runner */
static int l_model_runner(lua_State *L) {
    trit_model *m = check_model(L);
    trit_runner_options o = {0};
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        const uint64_t bits = bind_field_whole(L, 2, "runner", "bits", 0);
        o.bits = bits > INT_MAX ? INT_MAX : (int)bits; /* refused as too many, not wrapped */
        o.batch = (int64_t)bind_field_whole(L, 2, "runner", "batch", 1);
    }
    trit_runner **box = (trit_runner **)bind_box(L, RUNNER_MT);
    bind_check(L, trit_runner_new(m, &o, box));
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1); /* the model outlives its runners */
    return 1;
}

static const trit_graph *graph_of(lua_State *L) {
    lua_getiuservalue(L, 1, 1);
    trit_model **box = luaL_checkudata(L, -1, MODEL_MT);
    if (!*box) bind_raise(L, "the runner's model is closed");
    lua_pop(L, 1);
    return trit_model_graph(*box);
}

/* runner:run(x [N,C,H,W]) -> y [N,classes] */
static int l_runner_run(lua_State *L) {
    trit_runner *r = check_runner(L);
    const trit_graph *g = graph_of(L);
    trit_tensor *x = bind_tensor(L, 2), *y = NULL;
    const int64_t *n = x->shape.dim;
    if (x->shape.ndim != 4 || n[1] != g->C || n[2] != g->H || n[3] != g->W)
        bind_raise(L, "model: input is %s, but the model takes [N,%d,%d,%d]", TRIT_TEXT(x),
                   (int)g->C, (int)g->H, (int)g->W);
    trit_tensor **in = bind_tensor_box(L), **box = bind_tensor_box(L);
    bind_check(L, trit_tensor_as(x, TRIT_CHANNELS_LAST, in));
    bind_check(L, trit_tensor_new(&(trit_shape){2, {n[0], g->classes}}, TRIT_ROW_MAJOR, &y));
    bind_tensor_set(L, box, y);
    const trit_status status = trit_runner_run(r, n[0], (*in)->data, y->data);
    trit_tensor_release(*in); /* at once: the next run finds its memory warm */
    *in = NULL;
    bind_check(L, status);
    return 1;
}

static int l_runner_facts(lua_State *L) {
    trit_runner_facts f;
    trit_runner_query(check_runner(L), &f);
    lua_newtable(L);
    set_integer(L, "weights", (int64_t)f.weights);
    set_integer(L, "vectors", (int64_t)f.vectors);
    set_integer(L, "arena", (int64_t)f.arena);
    lua_pushstring(L, f.kernels);
    lua_setfield(L, -2, "kernels");
    return 1;
}

static int l_runner_observe(lua_State *L) {
    bind_check(L, trit_runner_observe(check_runner(L)));
    return 0;
}

/* runner:calibrated([archive]) -> a model with the observed ranges */
static int l_runner_calibrated(lua_State *L) {
    trit_runner *r = check_runner(L);
    const bool archive = lua_toboolean(L, 2);
    graph_of(L);
    trit_model **box = (trit_model **)bind_box(L, MODEL_MT);
    bind_check(L, trit_model_calibrated(r, archive, box));
    return 1;
}

static int l_runner_profile(lua_State *L) {
    bind_check(L, trit_runner_profile(check_runner(L)));
    return 0;
}

/* runner:seconds() -> list, one number per node */
static int l_runner_seconds(lua_State *L) {
    const trit_runner *r = check_runner(L);
    const trit_graph *g = graph_of(L);
    lua_createtable(L, (int)g->n, 0);
    for (int64_t i = 0; i < g->n; i++) {
        lua_pushnumber(L, trit_runner_seconds(r, i));
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

/* runner:weight_bytes() -> list, one number per node */
static int l_runner_weight_bytes(lua_State *L) {
    const trit_runner *r = check_runner(L);
    const trit_graph *g = graph_of(L);
    lua_createtable(L, (int)g->n, 0);
    for (int64_t i = 0; i < g->n; i++) {
        lua_pushinteger(L, (lua_Integer)trit_runner_weight_bytes(r, i));
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

/* runner:value(x, node) -> what the node makes of x [n,C,H,W]: [n,P,Q,K] */
static int l_runner_value(lua_State *L) {
    trit_runner *r = check_runner(L);
    const trit_graph *g = graph_of(L);
    trit_tensor *x = bind_tensor(L, 2), *y = NULL;
    const lua_Integer i = luaL_checkinteger(L, 3);
    luaL_argcheck(L, i >= 1 && i <= g->n, 3, "no such node");
    const trit_node *d = &g->nodes[i - 1];
    trit_tensor **box = bind_tensor_box(L);
    const trit_shape shape = {4, {x->shape.dim[0], d->P, d->Q, d->K}};
    bind_check(L, trit_tensor_new(&shape, TRIT_ROW_MAJOR, &y));
    bind_tensor_set(L, box, y);
    lua_pushcfunction(L, l_runner_run);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    bind_check(L, trit_runner_watch(r, i - 1, y->data));
    const int status = lua_pcall(L, 2, 0, 0);
    trit_runner_watch(r, 0, NULL);
    if (status != LUA_OK) return lua_error(L);
    return 1;
}

/* ---------------------------------------------------------------- linear layers */

#define LINEAR_MT "trit.linear"

static trit_linear *check_linear(lua_State *L) {
    trit_linear **box = luaL_checkudata(L, 1, LINEAR_MT);
    if (!*box) bind_raise(L, "the linear layer is closed");
    return *box;
}

static int l_linear_close(lua_State *L) {
    trit_linear **box = luaL_checkudata(L, 1, LINEAR_MT), *l = *box;
    *box = NULL;
    trit_linear_close(l);
    return 0;
}

/* core.linear_pack(codes [rows,K] of -1, 0, 1, scale [1] or [rows] [, bits = 8]) -> linear layer */
static int l_linear_pack(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1), *scale = bind_tensor(L, 2);
    if (t->shape.ndim != 2) bind_raise(L, "linear: codes are %s, not [rows,K]", TRIT_TEXT(t));
    const int64_t rows = t->shape.dim[0], K = t->shape.dim[1], row = trit_t2_bytes(K);
    const int bits = (int)luaL_optinteger(L, 3, 8);
    trit_linear **box = (trit_linear **)bind_box(L, LINEAR_MT);
    uint8_t *codes = lua_newuserdatauv(L, (size_t)(rows * row) + 1, 0);
    int8_t *small = lua_newuserdatauv(L, (size_t)K + 1, 0);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t k = 0; k < K; k++)
            small[k] = (int8_t)t->data[r * t->stride[0] + k * t->stride[1]];
        trit_t2_pack(small, K, codes + r * row);
    }
    lua_pop(L, 1);
    bind_check(L, trit_linear_new(codes, rows, K, scale->data, trit_numel(scale), bits, box));
    lua_pop(L, 1);
    lua_createtable(L, 2, 0);
    lua_pushinteger(L, rows);
    lua_seti(L, -2, 1);
    lua_pushinteger(L, K);
    lua_seti(L, -2, 2);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

static int64_t linear_side(lua_State *L, int i) {
    lua_getiuservalue(L, 1, 1);
    lua_geti(L, -1, i);
    const int64_t n = lua_tointeger(L, -1);
    lua_pop(L, 2);
    return n;
}

/* linear:run(x [n,K]) -> y [n,rows] */
static int l_linear_run(lua_State *L) {
    trit_linear *l = check_linear(L);
    trit_tensor *x = bind_tensor(L, 2), *y = NULL;
    const int64_t rows = linear_side(L, 1), K = linear_side(L, 2);
    if (x->shape.ndim != 2 || x->shape.dim[1] != K)
        bind_raise(L, "linear: input is %s, but the layer takes [n,%d]", TRIT_TEXT(x), (int)K);
    trit_tensor **in = bind_tensor_box(L), **box = bind_tensor_box(L);
    bind_check(L, trit_tensor_as(x, TRIT_ROW_MAJOR, in));
    bind_check(L, trit_tensor_new(&(trit_shape){2, {x->shape.dim[0], rows}}, TRIT_ROW_MAJOR, &y));
    bind_tensor_set(L, box, y);
    bind_check(L, trit_linear_run(l, x->shape.dim[0], (*in)->data, y->data));
    return 1;
}

/* linear:facts() -> bytes of weights in memory, kernels */
static int l_linear_facts(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)trit_linear_bytes(check_linear(L)));
    lua_pushstring(L, trit_linear_kernels(check_linear(L)));
    return 2;
}

static const luaL_Reg linear_methods[] = {
    {"run", l_linear_run}, {"facts", l_linear_facts}, {NULL, NULL}};
static const luaL_Reg model_methods[] = {
    {"save", l_model_save},       {"facts", l_model_facts},   {"codes", l_model_codes},
    {"picture", l_model_picture}, {"runner", l_model_runner}, {NULL, NULL},
};
static const luaL_Reg runner_methods[] = {
    {"run", l_runner_run},
    {"facts", l_runner_facts},
    {"observe", l_runner_observe},
    {"calibrated", l_runner_calibrated},
    {"profile", l_runner_profile},
    {"seconds", l_runner_seconds},
    {"value", l_runner_value},
    {"weight_bytes", l_runner_weight_bytes},
    {NULL, NULL},
};
static const luaL_Reg functions[] = {
    {"model_encode", l_model_encode},
    {"model_open", l_model_open},
    {"linear_pack", l_linear_pack},
    {NULL, NULL},
};

void trit_open_infer(lua_State *L);
void trit_open_infer(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
    bind_class(L, MODEL_MT, model_methods, l_model_close);
    bind_class(L, RUNNER_MT, runner_methods, l_runner_close);
    bind_class(L, LINEAR_MT, linear_methods, l_linear_close);
}
