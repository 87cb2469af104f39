/*
 * b_quant.c - quantizers from Lua: options, application, and what an application left.
 *
 *   h = core.quantizer(name, options)       a handle; trit.quant wraps it with its parameters
 *   wq = h:apply(w, p1, p2)                  on the tape
 *   s = h:scale_node(w, p1, p2)              its scale, after apply
 */
#include "b_quant.h"

#include <math.h>
#include <stdio.h>

#define QUANTIZER_MT "trit.quantizer"

typedef struct {
    const trit_quantizer *q;
    trit_args args;
    trit_quant_state *last; /* of the latest application; shared with the tape */
    bool training;
    double progress;
    uint32_t salt;
    bool same;
    char label[128]; /* whose weights: "layer1.0.conv1.weight", or "" */
} handle;

static handle *check_handle(lua_State *L) { return luaL_checkudata(L, 1, QUANTIZER_MT); }

/* The latest application, which must have been one. */
static trit_quant_state *applied(lua_State *L, const handle *h) {
    if (!h->last || !h->last->valid)
        bind_raise(L, "%s: has not been applied to weights yet; call q(w) first", h->q->name);
    return h->last;
}

/* ------------------------------------------------------------------------ registry */

static const trit_quantizer *quantizer_at(int i) {
    if (i < trit_quantizers_count) return trit_quantizers[i];
    return bind_quantizer_defined(i - trit_quantizers_count);
}

const trit_quantizer *bind_quantizer_find(const char *name) {
    for (int i = 0; quantizer_at(i); i++)
        if (!strcmp(quantizer_at(i)->name, name)) return quantizer_at(i);
    return NULL;
}

static const trit_quantizer *check_name(lua_State *L, int arg) {
    const char *name = luaL_checkstring(L, arg);
    const trit_quantizer *q = bind_quantizer_find(name);
    if (q) return q;
    luaL_Buffer known;
    luaL_buffinit(L, &known);
    for (int i = 0; quantizer_at(i); i++) {
        luaL_addstring(&known, i ? ", " : "");
        luaL_addstring(&known, quantizer_at(i)->name);
    }
    luaL_pushresult(&known);
    bind_raise(L, "quant: no quantizer is called \"%s\"; known: %s", name, lua_tostring(L, -1));
    return NULL;
}

static int l_list(lua_State *L) {
    lua_newtable(L);
    for (int i = 0; quantizer_at(i); i++) {
        lua_pushstring(L, quantizer_at(i)->name);
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

static void push_learn(lua_State *L, const trit_quantizer *q) {
    lua_newtable(L);
    for (int k = 0; k < trit_quant_learn_count(q); k++) {
        const trit_learn *p = &q->learn[k];
        lua_newtable(L);
        lua_pushstring(L, p->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, p->doc);
        lua_setfield(L, -2, "doc");
        lua_pushnumber(L, p->lr_scale);
        lua_setfield(L, -2, "lr_scale");
        lua_pushboolean(L, p->decay);
        lua_setfield(L, -2, "decay");
        lua_pushboolean(L, p->threshold);
        lua_setfield(L, -2, "threshold");
        lua_pushboolean(L, p->state);
        lua_setfield(L, -2, "state");
        lua_pushboolean(L, p->per_weight || p->per_level);
        lua_setfield(L, -2, "per_weight");
        lua_pushboolean(L, p->per_level);
        lua_setfield(L, -2, "per_level");
        lua_seti(L, -2, k + 1);
    }
}

static void push_properties(lua_State *L, unsigned have) {
    static const struct {
        const char *name;
        unsigned bit;
    } rows[] = {{"odd", TRIT_PROP_ODD},
                {"scale", TRIT_PROP_SCALE},
                {"permute", TRIT_PROP_PERMUTE},
                {"monotone", TRIT_PROP_MONOTONE},
                {"odd_codes", TRIT_PROP_ODD_CODES},
                {"coded", TRIT_PROP_CODED},
                {"binary", TRIT_PROP_BINARY},
                {"placed", TRIT_PROP_PLACED}};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lua_pushboolean(L, (have & rows[i].bit) != 0);
        lua_setfield(L, -2, rows[i].name);
    }
}

/* core.quant_info(name) -> { name, doc, params, learn, properties, unrounded, cases } */
static int l_info(lua_State *L) {
    const trit_quantizer *q = check_name(L, 1);
    lua_newtable(L);
    lua_pushstring(L, q->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, q->doc);
    lua_setfield(L, -2, "doc");
    bind_push_params(L, q->params);
    lua_setfield(L, -2, "params");
    push_learn(L, q);
    lua_setfield(L, -2, "learn");
    push_properties(L, q->properties);
    lua_setfield(L, -2, "properties");
    lua_pushboolean(L, q->unrounded);
    lua_setfield(L, -2, "unrounded");
    lua_newtable(L);
    for (int i = 0; q->cases && q->cases[i].shapes; i++) {
        lua_newtable(L);
        lua_pushstring(L, q->cases[i].shapes);
        lua_setfield(L, -2, "shapes");
        lua_pushstring(L, q->cases[i].options);
        lua_setfield(L, -2, "options");
        lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "cases");
    return 1;
}

/* ------------------------------------------------------------------------- handles */

/* core.quantizer(name, options) -> handle */
static int l_new(lua_State *L) {
    const trit_quantizer *q = check_name(L, 1);
    handle *h = lua_newuserdatauv(L, sizeof *h, 0);
    *h = (handle){.q = q};
    luaL_setmetatable(L, QUANTIZER_MT);
    bind_args(L, 2, q->name, q->params, &h->args);
    bind_check(L, trit_quant_check(q, &h->args));
    return 1;
}

static int l_release(lua_State *L) {
    handle *h = check_handle(L);
    trit_quant_state *s = h->last;
    h->last = NULL;
    trit_quant_state_release(s);
    return 0;
}

/* h:phase(training, progress, salt [, same]): what the next applications see; same: the weights are
 * what the last one saw */
static int l_phase(lua_State *L) {
    handle *h = check_handle(L);
    h->training = lua_toboolean(L, 2);
    h->progress = luaL_checknumber(L, 3);
    h->salt = (uint32_t)luaL_checkinteger(L, 4);
    h->same = lua_toboolean(L, 5);
    return 0;
}

/* h:properties() -> what holds with these options */
static int l_properties(lua_State *L) {
    const handle *h = check_handle(L);
    push_properties(L, trit_quant_properties(h->q, &h->args));
    return 1;
}

static int l_options(lua_State *L) {
    const handle *h = check_handle(L);
    bind_push_args(L, h->q->params, &h->args);
    return 1;
}

/* A state that no recorded call still needs: the last one, or a fresh one. */
static trit_quant_state *free_state(lua_State *L, handle *h) {
    if (h->last && h->last->refs > 1) {
        trit_quant_state_release(h->last);
        h->last = NULL;
    }
    if (!h->last) bind_check(L, trit_quant_state_new(h->q, &h->args, &h->last));
    h->last->call.noise = NULL;
    h->last->call.same = h->same;
    h->last->call.training = h->training;
    h->last->call.progress = h->progress;
    h->last->call.salt = h->salt;
    return h->last;
}

/* h:label(name): the layer whose weights it takes, for sentences */
static int l_label(lua_State *L) {
    handle *h = check_handle(L);
    snprintf(h->label, sizeof h->label, "%s", luaL_checkstring(L, 2));
    return 0;
}

static trit_status labelled(const handle *h, trit_status status) {
    return status == TRIT_OK || !h->label[0] ? status : trit_fail_within(status, "%s", h->label);
}

static void release_state(void *user) { trit_quant_state_release(user); }

static int run_op(lua_State *L, handle *h, const char *name) {
    const int n = trit_quant_learn_count(h->q);
    trit_tensor *in[1 + TRIT_MAX_LEARN] = {bind_tensor(L, 2)}, *y = NULL;
    for (int k = 0; k < n; k++) in[1 + k] = bind_tensor(L, 3 + k);
    trit_tensor **box = bind_tensor_box(L);
    trit_quant_state *s = trit_quant_state_retain(h->last);
    bind_check(L,
               labelled(h, trit_apply(trit_op_find(name), in, 1 + n, NULL, s, release_state, &y)));
    bind_tensor_set(L, box, y);
    return 1;
}

/* h:apply(w, p1, p2, p3) -> w' */
static int l_apply(lua_State *L) {
    handle *h = check_handle(L);
    free_state(L, h);
    return run_op(L, h, "apply_quantizer");
}

/* h:apply_noise(noise, w, p1, ...): apply with these uniform draws, laid out as layers lay out
 * weights (HWIO); they must live until backward has passed */
static int l_apply_noise(lua_State *L) {
    handle *h = check_handle(L);
    trit_tensor *noise = bind_tensor(L, 2), *w = bind_tensor(L, 3);
    luaL_argcheck(L, trit_numel(noise) == trit_numel(w), 2, "one draw a weight");
    free_state(L, h)->call.noise = noise->data;
    lua_remove(L, 2);
    return run_op(L, h, "apply_quantizer");
}

/* h:scale_node(w, p1, p2) -> S [rows], of the weights that apply saw last */
static int l_scale_node(lua_State *L) {
    handle *h = check_handle(L);
    applied(L, h);
    return run_op(L, h, "quantizer_scale");
}

static int l_scale_only(lua_State *L) {
    const handle *h = check_handle(L);
    const bool can = h->q->backward_scale && (!h->q->scale_only || h->q->scale_only(&h->args));
    lua_pushboolean(L, can);
    return 1;
}

/* h:new_learn(k, w) -> zeros of the shape that parameter k has for weights w */
static int l_new_learn(lua_State *L) {
    const handle *h = check_handle(L);
    const int k = (int)luaL_checkinteger(L, 2) - 1;
    const trit_tensor *w = bind_tensor(L, 3);
    luaL_argcheck(L, k >= 0 && k < trit_quant_learn_count(h->q), 2, "no such parameter");
    const trit_shape s = trit_quant_learn_shape(h->q, &h->args, w, k);
    const trit_layout layout = h->q->learn[k].per_weight ? TRIT_HWIO : TRIT_ROW_MAJOR;
    trit_tensor **box = bind_tensor_box(L), *t = NULL;
    bind_check(L, trit_tensor_zeros(&s, layout, &t));
    bind_tensor_set(L, box, t);
    return 1;
}

/* The numbers of parameter k for weights w, the arguments 3 + k and 2; it must be gapless. */
static float *fitting(lua_State *L, const handle *h, int k, const trit_tensor *w) {
    char text[96];
    const trit_learn *row = &h->q->learn[k];
    const trit_shape want = trit_quant_learn_shape(h->q, &h->args, w, k);
    const trit_tensor *p = bind_tensor(L, 3 + k), like = {.shape = want};
    if (!trit_same_shape(p, &like) ||
        !trit_has_layout(p, row->per_weight ? TRIT_HWIO : TRIT_ROW_MAJOR))
        bind_raise(L, "%s: parameter %s is %s but weights %s need %s without gaps", h->q->name,
                   row->name, TRIT_TEXT(p), TRIT_TEXT(w),
                   trit_shape_text(&want, text, sizeof text));
    return p->data;
}

/* h:reset(w, p1, p2): first values of the parameters, from the weights */
static int l_reset(lua_State *L) {
    handle *h = check_handle(L);
    float *learn[TRIT_MAX_LEARN] = {NULL};
    trit_tensor *w = bind_tensor(L, 2), *dense = NULL;
    for (int k = 0; k < trit_quant_learn_count(h->q); k++) learn[k] = fitting(L, h, k, w);
    if (!h->q->reset) return 0;
    trit_tensor **box = bind_tensor_box(L);
    bind_check(L, trit_tensor_as(w, TRIT_HWIO, &dense));
    *box = dense;
    trit_quant_call c = {
        .quantizer = h->q, .args = h->args, .w = dense->data, .n = trit_numel(dense)};
    c.terms = trit_quant_terms(h->q, &h->args);
    c.training = true;
    c.progress = h->progress;
    c.salt = h->salt;
    c.rows = trit_rows_of(dense, trit_quant_per_filter(h->q, &h->args));
    bind_check(L, h->q->reset(&c, learn));
    return 0;
}

/* ------------------------------------------------------------- what an application left */

/* h:codes() -> -1, 0, 1 [...]; several terms: [terms, ...] */
static int l_codes(lua_State *L) {
    const trit_quant_state *s = applied(L, check_handle(L));
    const trit_quant_call *c = &s->call;
    trit_shape shape = s->shape;
    int64_t stride[TRIT_MAX_DIM + 1];
    trit_tensor **box = bind_tensor_box(L), **view = bind_tensor_box(L), *flat = NULL, *t = NULL;
    bind_check(L, trit_tensor_new(&(trit_shape){1, {c->n * c->terms}}, TRIT_ROW_MAJOR, &flat));
    *box = flat;
    for (int64_t i = 0; i < c->n * c->terms; i++) flat->data[i] = c->codes[i];
    memcpy(stride, s->stride, sizeof s->stride);
    if (c->terms > 1 && shape.ndim < TRIT_MAX_DIM) {
        memmove(stride + 1, stride, sizeof s->stride);
        memmove(shape.dim + 1, shape.dim, sizeof shape.dim - sizeof *shape.dim);
        stride[0] = c->n;
        shape.dim[0] = c->terms;
        shape.ndim++;
    }
    bind_check(L, trit_tensor_view(flat, &shape, stride, 0, &t));
    bind_tensor_set(L, view, t);
    return 1;
}

/* Scales as [rows], several terms: [rows, terms]. */
static int push_scale(lua_State *L, bool negative) {
    const trit_quant_call *c = &applied(L, check_handle(L))->call;
    const trit_shape s = {c->terms > 1 ? 2 : 1, {c->rows.rows, c->terms}};
    trit_tensor **box = bind_tensor_box(L), *t = NULL;
    bind_check(L, trit_tensor_new(&s, TRIT_ROW_MAJOR, &t));
    bind_tensor_set(L, box, t);
    memcpy(t->data, negative ? c->scale_neg : c->scale, (size_t)trit_numel(t) * sizeof(float));
    return 1;
}

static int l_scale(lua_State *L) { return push_scale(L, false); }
static int l_scale_neg(lua_State *L) { return push_scale(L, true); }

/* Shares of the codes -1, 0, +1 of one row. */
static void push_occupancy(lua_State *L, const trit_quant_call *c, int64_t row, int term) {
    int64_t count[3] = {0};
    const int8_t *t = c->codes + term * c->n + row * c->rows.row_stride;
    for (int64_t i = 0; i < c->rows.len; i++) {
        const int8_t code = t[i * c->rows.step];
        count[1 + (code > 0) - (code < 0)]++;
    }
    lua_createtable(L, 3, 0);
    for (int k = 0; k < 3; k++) {
        lua_pushnumber(L, c->rows.len ? (double)count[k] / (double)c->rows.len : 0);
        lua_seti(L, -2, k + 1);
    }
}

static void set_number(lua_State *L, const char *name, double v) {
    if (isnan(v)) return; /* the method has no such number: the field is nil */
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

static void push_term(lua_State *L, const trit_quant_call *c, int64_t row, int k) {
    const double *cache = c->cache + row * TRIT_ROW_CACHE;
    const double delta = cache[TRIT_ROW_DELTA + k], sigma = cache[TRIT_ROW_SIGMA];
    lua_newtable(L);
    set_number(L, "delta", delta);
    set_number(L, "z", sigma > 0 ? delta / sigma : NAN);
    set_number(L, "scale", c->scale[row * c->terms + k]);
    set_number(L, "scale_neg", c->scale_neg[row * c->terms + k]);
    lua_pushboolean(L, cache[TRIT_ROW_CLIP + k] == 1);
    lua_setfield(L, -2, "clip_active");
    push_occupancy(L, c, row, k);
    lua_setfield(L, -2, "occupancy");
}

/* h:stats() -> per row { mu, sigma, center, count, delta, z, scale, scale_neg, clip_active,
 * occupancy = { share of -1, 0, +1 } }; with several terms those from delta on are the first's, and
 * `terms` has them all. */
static int l_stats(lua_State *L) {
    const trit_quant_call *c = &applied(L, check_handle(L))->call;
    lua_createtable(L, (int)c->rows.rows, 0);
    for (int64_t r = 0; r < c->rows.rows; r++) {
        const double *cache = c->cache + r * TRIT_ROW_CACHE;
        push_term(L, c, r, 0);
        set_number(L, "mu", cache[TRIT_ROW_MU]);
        set_number(L, "sigma", cache[TRIT_ROW_SIGMA]);
        set_number(L, "center", cache[TRIT_ROW_CENTER]);
        lua_pushinteger(L, c->rows.len);
        lua_setfield(L, -2, "count");
        lua_createtable(L, c->terms, 0);
        for (int k = 0; k < c->terms && c->terms > 1; k++) {
            push_term(L, c, r, k);
            lua_seti(L, -2, k + 1);
        }
        lua_setfield(L, -2, "terms");
        lua_seti(L, -2, r + 1);
    }
    return 1;
}

/* h:layout() -> bits per weight without scales, terms; after an application also rows, numbers */
static int l_layout(lua_State *L) {
    const handle *h = check_handle(L);
    lua_pushnumber(L, trit_quant_bits(h->q, &h->args));
    lua_pushinteger(L, trit_quant_terms(h->q, &h->args));
    if (!h->last || !h->last->valid) return 2;
    lua_pushinteger(L, h->last->call.rows.rows);
    lua_pushinteger(L, h->last->call.n);
    return 4;
}

/* h:learn_hints(k) -> whether decay applies, gradient limit or nil */
static int l_learn_hints(lua_State *L) {
    const handle *h = check_handle(L);
    const int k = (int)luaL_checkinteger(L, 2) - 1;
    luaL_argcheck(L, k >= 0 && k < trit_quant_learn_count(h->q), 2, "no such parameter");
    const double limit = h->q->grad_limit ? h->q->grad_limit(&h->args, k) : INFINITY;
    lua_pushboolean(L, h->q->learn_decays ? h->q->learn_decays(&h->args, k) : h->q->learn[k].decay);
    if (isinf(limit)) return 1;
    lua_pushnumber(L, limit);
    return 2;
}

/* Place of element e (from 1, in the order of the shape) for term k (from 1). */
static trit_at place_of(lua_State *L, const trit_quant_state *s, int64_t e, int term) {
    const trit_quant_call *c = &s->call;
    luaL_argcheck(L, e >= 1 && e <= c->n && term >= 1 && term <= c->terms, 2, "no such element");
    trit_at at = {.term = term - 1};
    int64_t rest = e - 1;
    for (int d = s->shape.ndim - 1; d >= 0; d--) {
        at.i += rest % s->shape.dim[d] * s->stride[d];
        rest /= s->shape.dim[d];
    }
    if (c->rows.rows > 1) at.row = (e - 1) / c->rows.len; /* rows are of dimension 0, the slowest */
    at.code = c->codes[at.term * c->n + at.i];
    return at;
}

/* h:integral(element, term, w) -> the surrogate's value, or nil where none is declared this way */
static int l_integral(lua_State *L) {
    const trit_quant_state *s = applied(L, check_handle(L));
    const trit_at at = place_of(L, s, luaL_checkinteger(L, 2), (int)luaL_checkinteger(L, 3));
    const double v = trit_quant_integral(&s->call, at, luaL_checknumber(L, 4));
    if (isnan(v))
        lua_pushnil(L);
    else
        lua_pushnumber(L, v);
    return 1;
}

/* h:level(element, term) -> the value of the code it has */
static int l_level(lua_State *L) {
    const trit_quant_state *s = applied(L, check_handle(L));
    const trit_at at = place_of(L, s, luaL_checkinteger(L, 2), (int)luaL_checkinteger(L, 3));
    lua_pushnumber(L, trit_quant_level(&s->call, at));
    return 1;
}

/* h:attached() -> whether dL/dw also flows through the scale's statistics; whether the whole
 * surrogate is declared instead */
static int l_attached(lua_State *L) {
    const handle *h = check_handle(L);
    lua_pushboolean(L, trit_quant_attached(h->q, &h->args));
    lua_pushboolean(L, h->q->surrogate && trit_quant_own_ste(h->q, &h->args));
    return 2;
}

static double list_number(lua_State *L, int index, int64_t i) {
    lua_geti(L, index, i + 1);
    const double v = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return v;
}

/* Position along its row, in memory order, of element i of the row in the order of the shape. */
static int64_t along(lua_State *L, const trit_quant_state *s, int64_t row, int64_t i) {
    const trit_rows *r = &s->call.rows;
    return (place_of(L, s, row * r->len + i + 1, 1).i - row * r->row_stride) / r->step;
}

/* h:surrogate(w, row, weights, learn) -> values of w' in that row, flat lists; w: the weights of
 * the latest application, where the surrogate is taken */
static int l_surrogate(lua_State *L) {
    const handle *h = check_handle(L);
    const trit_quant_state *s = applied(L, h);
    trit_quant_call here = s->call, *c = &here;
    const trit_tensor *base = bind_tensor(L, 2);
    const int64_t row = luaL_checkinteger(L, 3) - 1, n = c->rows.len;
    luaL_argcheck(L, trit_numel(base) == c->n && base->stride[0] == s->stride[0], 2,
                  "not the weights of the latest application");
    here.w = base->data;
    luaL_argcheck(L, h->q->surrogate && row >= 0 && row < c->rows.rows, 3, "no such row");
    double *w = lua_newuserdatauv(L, (size_t)(2 * n + TRIT_MAX_LEARN) * sizeof *w, 0);
    for (int64_t i = 0; i < n; i++) w[along(L, s, row, i)] = list_number(L, 4, i);
    for (int k = 0; k < TRIT_MAX_LEARN; k++) w[2 * n + k] = list_number(L, 5, k);
    h->q->surrogate(c, row, w, w + 2 * n, w + n);
    lua_createtable(L, (int)n, 0);
    for (int64_t i = 0; i < n; i++) {
        lua_pushnumber(L, w[n + along(L, s, row, i)]);
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

static const luaL_Reg methods[] = {
    {"options", l_options},
    {"apply", l_apply},
    {"scale_node", l_scale_node},
    {"scale_only", l_scale_only},
    {"new_learn", l_new_learn},
    {"reset", l_reset},
    {"codes", l_codes},
    {"scale", l_scale},
    {"scale_neg", l_scale_neg},
    {"stats", l_stats},
    {"layout", l_layout},
    {"learn_hints", l_learn_hints},
    {"integral", l_integral},
    {"label", l_label},
    {"level", l_level},
    {"attached", l_attached},
    {"surrogate", l_surrogate},
    {"phase", l_phase},
    {"properties", l_properties},
    {"apply_noise", l_apply_noise},
    {NULL, NULL},
};

/* core.quant_mills(z) -> lambda, lambda - z */
static int l_mills(lua_State *L) {
    double excess;
    lua_pushnumber(L, trit_mills(luaL_checknumber(L, 1), &excess));
    lua_pushnumber(L, excess);
    return 2;
}

static const luaL_Reg functions[] = {{"quant_mills", l_mills},
                                     {"quant_list", l_list},
                                     {"quant_info", l_info},
                                     {"quantizer", l_new},
                                     {NULL, NULL}};

void trit_open_quant(lua_State *L);
void trit_open_quant(lua_State *L) {
    luaL_setfuncs(L, functions, 0);
    bind_class(L, QUANTIZER_MT, methods, l_release);
}
