/*
 * b_quant_define.c - quantizers written in Lua: trit.quant.define.
 *
 * A definition becomes a descriptor like those of the core; its functions call back.  Weights
 * come to Lua as one row at a time (fit, reset, ste) or as [rows, len] (forward, backward); the
 * cuts, codes and straight-through gradients are computed by the core.  A Lua error is caught
 * here and travels on as a status and a sentence.
 */
#include "b_quant.h"

#include <math.h>

#define MAX_DEFINED 64

typedef struct {
    trit_quantizer q;
    trit_param params[TRIT_MAX_PARAMS + 1];
    trit_learn learn[TRIT_MAX_LEARN + 1];
    trit_case cases[16];
    lua_State *L; /* the main state */
    int ref;      /* the definition, in the registry: keeps every string alive too */
    int ste;      /* trit_ste, or -1: the definition has a function */
    bool fitted;  /* fit, one row at a time; else whole forward and backward */
} definition;

static definition *defined[MAX_DEFINED];
static int n_defined;

const trit_quantizer *bind_quantizer_defined(int i) {
    return i < n_defined ? &defined[i]->q : NULL;
}

/* ------------------------------------------------------------------ pushing arguments */

static float at(const trit_rows *r, const float *x, int64_t row, int64_t i) {
    return x[row * r->row_stride + i * r->step];
}

/* A copy of one row as a tensor [len], or with row < 0 of all as [rows, len]. */
static bool push_rows(lua_State *L, const trit_rows *r, const float *x, int64_t row) {
    trit_tensor *t = NULL;
    const trit_shape one = {1, {r->len}}, all = {2, {r->rows, r->len}};
    trit_tensor **box = bind_tensor_box(L);
    if (trit_tensor_new(row < 0 ? &all : &one, TRIT_ROW_MAJOR, &t) != TRIT_OK) {
        lua_pop(L, 1);
        return false;
    }
    *box = t;
    float *out = t->data;
    for (int64_t k = row < 0 ? 0 : row; k < (row < 0 ? r->rows : row + 1); k++)
        for (int64_t i = 0; i < r->len; i++) *out++ = at(r, x, k, i);
    bind_tensor_set(L, box, t);
    return true;
}

/* { name = number } of a row's trained parameters. */
static void push_learn_row(lua_State *L, const trit_quant_call *c, int64_t row) {
    lua_newtable(L);
    for (int k = 0; k < trit_quant_learn_count(c->quantizer); k++) {
        if (!c->learn[k]) continue;
        lua_pushnumber(L, c->learn[k][row]);
        lua_setfield(L, -2, c->quantizer->learn[k].name);
    }
}

static const definition *of(const trit_quant_call *c) { return c->quantizer->user; }

/* Push the definition's function `name`; false if it has none. */
static bool push_function(const definition *d, const char *name) {
    lua_rawgeti(d->L, LUA_REGISTRYINDEX, d->ref);
    const bool have = lua_getfield(d->L, -1, name) == LUA_TFUNCTION;
    lua_remove(d->L, -2);
    if (!have) lua_pop(d->L, 1);
    return have;
}

static trit_status call_lua(const definition *d, int args, int results, const char *what) {
    if (lua_pcall(d->L, args, results, 0) == LUA_OK) return TRIT_OK;
    const char *message = lua_tostring(d->L, -1);
    return trit_fail(TRIT_ERR_ARG, "%s: %s: %s", d->q.name, what, message ? message : "error");
}

/* Field `name` of the table on top; `def` where it is absent. */
static trit_status get_number(const definition *d, const char *what, const char *name, double def,
                              double *out) {
    lua_State *L = d->L;
    if (!lua_istable(L, -1))
        return trit_fail(TRIT_ERR_ARG, "%s: %s must return a table, not a %s", d->q.name, what,
                         luaL_typename(L, -1));
    lua_getfield(L, -1, name);
    const bool number = lua_isnumber(L, -1), absent = lua_isnil(L, -1);
    *out = number ? lua_tonumber(L, -1) : def;
    trit_tensor **box = luaL_testudata(L, -1, TENSOR_MT);
    const bool one = box && *box && trit_tensor_alive(*box) && trit_numel(*box) == 1;
    if (one) *out = (*box)->data[0];
    const bool ok = number || absent || one;
    lua_pop(L, 1);
    return ok ? TRIT_OK
              : trit_fail(TRIT_ERR_ARG, "%s: %s must give %s as a number", d->q.name, what, name);
}

/* --------------------------------------------------------------------------- reset */

static trit_status reset_row(const trit_quant_call *c, int64_t row, float *const *learn) {
    const definition *d = of(c);
    lua_State *L = d->L;
    const bool have = push_function(d, "reset");
    if (have) {
        if (!push_rows(L, &c->rows, c->w, row)) return TRIT_ERR_MEM;
        bind_push_args(L, d->params, &c->args);
        TRIT_TRY(call_lua(d, 2, 1, "reset"));
    }
    for (int k = 0; k < trit_quant_learn_count(&d->q); k++) {
        double v;
        lua_rawgeti(L, LUA_REGISTRYINDEX, d->ref);
        lua_getfield(L, -1, "first"); /* declared first values, by name */
        TRIT_TRY(get_number(d, "learn", d->learn[k].name, 0, &v));
        lua_pop(L, 2);
        if (have) TRIT_TRY(get_number(d, "reset", d->learn[k].name, v, &v));
        learn[k][row] = (float)v;
    }
    return TRIT_OK;
}

static trit_status reset_rows(const trit_quant_call *c, float *const *learn) {
    lua_State *L = of(c)->L;
    const int top = lua_gettop(L);
    trit_status status = TRIT_OK;
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) {
        status = reset_row(c, r, learn);
        lua_settop(L, top);
    }
    return status;
}

/* ------------------------------------------------------------------------- forward */

static trit_status fit_row(const trit_quant_call *c, int64_t row, trit_cut *cut) {
    const definition *d = of(c);
    if (!push_function(d, "fit")) return TRIT_ERR_ARG;
    if (!push_rows(d->L, &c->rows, c->w, row)) return TRIT_ERR_MEM;
    bind_push_args(d->L, d->params, &c->args);
    push_learn_row(d->L, c, row);
    TRIT_TRY(call_lua(d, 3, 1, "fit"));
    double scale;
    TRIT_TRY(get_number(d, "fit", "hi", NAN, &cut->hi));
    TRIT_TRY(get_number(d, "fit", "lo", -cut->hi, &cut->lo));
    TRIT_TRY(get_number(d, "fit", "scale", NAN, &scale));
    TRIT_TRY(get_number(d, "fit", "pos", scale, &cut->pos));
    return get_number(d, "fit", "neg", scale, &cut->neg);
}

/* Fit sees only finite weights: what it would answer to others means nothing. */
static trit_status check_finite(const trit_quant_call *c) {
    for (int64_t i = 0; i < c->n; i++)
        if (!isfinite(c->w[i]))
            return trit_fail(TRIT_ERR_ARG, "%s: weights must be finite, but one is %g",
                             c->quantizer->name, (double)c->w[i]);
    return TRIT_OK;
}

static trit_status fit_forward(trit_quant_call *c) {
    lua_State *L = of(c)->L;
    TRIT_TRY(check_finite(c));
    trit_cut *cuts = lua_newuserdatauv(L, (size_t)c->rows.rows * sizeof(trit_cut), 0);
    const int top = lua_gettop(L);
    trit_status status = TRIT_OK;
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) {
        status = fit_row(c, r, &cuts[r]);
        lua_settop(L, top);
    }
    return status == TRIT_OK ? trit_quant_cut(c, cuts) : status;
}

/* ------------------------------------------------- whole forward and backward in Lua */

static void push_learn_tensors(lua_State *L, const trit_quant_call *c) {
    lua_newtable(L);
    for (int k = 0; k < trit_quant_learn_count(c->quantizer); k++) {
        const trit_rows r = {1, c->rows.rows, c->rows.rows, 1};
        if (!c->learn[k] || !push_rows(L, &r, c->learn[k], 0)) continue;
        lua_setfield(L, -2, c->quantizer->learn[k].name);
    }
}

/* The tensor [rows, len] at `index` must be one; write it through `put`. */
static trit_status take_rows(const definition *d, int index, const trit_rows *r, const char *what,
                             float *out, int8_t *codes) {
    trit_tensor **box = luaL_testudata(d->L, index, TENSOR_MT), *t = NULL;
    if (!box || !*box || !trit_tensor_alive(*box) || trit_numel(*box) != r->rows * r->len)
        return trit_fail(TRIT_ERR_ARG, "%s: %s must be a tensor [%lld, %lld]", d->q.name, what,
                         (long long)r->rows, (long long)r->len);
    TRIT_TRY(trit_tensor_as(*box, TRIT_ROW_MAJOR, &t));
    for (int64_t row = 0; row < r->rows; row++)
        for (int64_t i = 0; i < r->len; i++) {
            const float v = t->data[row * r->len + i];
            const int64_t to = row * r->row_stride + i * r->step;
            if (out) out[to] = v;
            if (codes) codes[to] = v > 0 ? 1 : v < 0 ? -1 : 0;
        }
    trit_tensor_release(t);
    return TRIT_OK;
}

static trit_status whole_forward(trit_quant_call *c) {
    const definition *d = of(c);
    const int top = lua_gettop(d->L);
    TRIT_TRY(check_finite(c));
    push_function(d, "forward");
    trit_status status = push_rows(d->L, &c->rows, c->w, -1) ? TRIT_OK : TRIT_ERR_MEM;
    if (status == TRIT_OK) {
        bind_push_args(d->L, d->params, &c->args);
        push_learn_tensors(d->L, c);
        status = call_lua(d, 3, 2, "forward");
    }
    if (status == TRIT_OK)
        status = take_rows(d, top + 1, &c->rows, "forward's first result, w'", c->wq, NULL);
    const int codes = lua_isnil(d->L, top + 2) ? top + 1 : top + 2;
    if (status == TRIT_OK)
        status =
            take_rows(d, codes, &c->rows, "forward's second result, the codes", NULL, c->codes);
    lua_settop(d->L, top);
    for (int64_t r = 0; r < c->rows.rows; r++) {
        double top_abs = 0;
        for (int64_t i = 0; i < c->rows.len && status == TRIT_OK; i++)
            top_abs = fmax(top_abs, fabs((double)at(&c->rows, c->wq, r, i)));
        c->scale[r] = c->scale_neg[r] = (float)top_abs;
        for (int i = 0; i < TRIT_ROW_CACHE; i++) c->cache[r * TRIT_ROW_CACHE + i] = NAN;
    }
    return status;
}

static trit_status whole_backward(const trit_quant_call *c, const float *g, float *dw,
                                  float *const dlearn[TRIT_MAX_LEARN]) {
    const definition *d = of(c);
    lua_State *L = d->L;
    const int top = lua_gettop(L);
    push_function(d, "backward");
    trit_status status =
        push_rows(L, &c->rows, c->w, -1) && push_rows(L, &c->rows, g, -1) ? TRIT_OK : TRIT_ERR_MEM;
    if (status == TRIT_OK) {
        bind_push_args(L, d->params, &c->args);
        push_learn_tensors(L, c);
        status = call_lua(d, 4, 2, "backward");
    }
    if (status == TRIT_OK && dw)
        status = take_rows(d, top + 1, &c->rows, "backward's first result, dL/dw", dw, NULL);
    for (int k = 0; k < trit_quant_learn_count(&d->q) && status == TRIT_OK; k++) {
        if (!dlearn[k]) continue;
        const trit_rows r = {1, c->rows.rows, c->rows.rows, 1};
        if (!lua_istable(L, top + 2))
            status = trit_fail(TRIT_ERR_ARG, "%s: backward must return dL/dw and { %s = dL/d%s }",
                               d->q.name, d->learn[k].name, d->learn[k].name);
        if (status != TRIT_OK) break;
        lua_getfield(L, top + 2, d->learn[k].name);
        status = take_rows(d, lua_gettop(L), &r, "a parameter's gradient", dlearn[k], NULL);
    }
    lua_settop(L, top);
    return status;
}

/* ------------------------------------------------------------------------ backward */

/* dw = g ste(w): one factor a weight. */
static trit_status ste_row(const trit_quant_call *c, int64_t row, const float *g, float *dw) {
    const definition *d = of(c);
    push_function(d, "ste");
    if (!push_rows(d->L, &c->rows, c->w, row)) return TRIT_ERR_MEM;
    const double *cache = c->cache + row * TRIT_ROW_CACHE;
    const double values[] = {cache[TRIT_ROW_CENTER] - cache[TRIT_ROW_DELTA],
                             cache[TRIT_ROW_CENTER] + cache[TRIT_ROW_DELTA], c->scale_neg[row],
                             c->scale[row]};
    static const char *const names[] = {"lo", "hi", "neg", "pos"};
    lua_newtable(d->L);
    for (int i = 0; i < 4; i++) {
        lua_pushnumber(d->L, values[i]);
        lua_setfield(d->L, -2, names[i]);
    }
    TRIT_TRY(call_lua(d, 2, 1, "ste"));
    const trit_rows one = {1, c->rows.len, c->rows.len, c->rows.step};
    float *to = dw + row * c->rows.row_stride;
    TRIT_TRY(take_rows(d, lua_gettop(d->L), &one, "ste's result", to, NULL));
    for (int64_t i = 0; i < c->rows.len; i++)
        to[i * c->rows.step] *= g[row * c->rows.row_stride + i * c->rows.step];
    return TRIT_OK;
}

static trit_status learn_row(const trit_quant_call *c, int64_t row, double pos, double neg,
                             float *const *dlearn) {
    const definition *d = of(c);
    lua_State *L = d->L;
    if (!push_function(d, "grad")) return TRIT_ERR_ARG;
    lua_newtable(L); /* dL/dpos and dL/dneg of the two values */
    lua_pushnumber(L, pos);
    lua_setfield(L, -2, "pos");
    lua_pushnumber(L, -neg);
    lua_setfield(L, -2, "neg");
    if (!push_rows(L, &c->rows, c->w, row)) return TRIT_ERR_MEM;
    bind_push_args(L, d->params, &c->args);
    push_learn_row(L, c, row);
    TRIT_TRY(call_lua(d, 4, 1, "grad"));
    for (int k = 0; k < trit_quant_learn_count(&d->q); k++) {
        double v;
        TRIT_TRY(get_number(d, "grad", d->learn[k].name, NAN, &v));
        if (dlearn[k]) dlearn[k][row] = (float)v;
    }
    return TRIT_OK;
}

static trit_status fit_backward(const trit_quant_call *c, const float *g, float *dw,
                                float *const dlearn[TRIT_MAX_LEARN]) {
    const definition *d = of(c);
    const bool learns = dlearn[0] || dlearn[1] || dlearn[2];
    double *sides = lua_newuserdatauv(d->L, 2 * (size_t)c->rows.rows * sizeof(double), 0);
    const int top = lua_gettop(d->L);
    trit_status status = TRIT_OK;
    if (learns) status = trit_quant_sides(c, g, sides, sides + c->rows.rows);
    if (status == TRIT_OK && dw && d->ste >= 0) status = trit_quant_ste(c, (trit_ste)d->ste, g, dw);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) {
        if (dw && d->ste < 0) status = ste_row(c, r, g, dw);
        if (status == TRIT_OK && learns)
            status = learn_row(c, r, sides[r], sides[c->rows.rows + r], dlearn);
        lua_settop(d->L, top);
    }
    return status;
}

/* ---------------------------------------------------------------- what the core calls */

/*
 * Each runs protected: pushing a row or a table may raise for want of memory, and that must not
 * jump over the core.
 */
typedef struct {
    trit_quant_call *c;
    const trit_quant_call *done; /* after forward */
    const float *g;
    float *dw, *const *learn;
} job;

static trit_status run_reset(lua_State *L, void *context) {
    const job *j = context;
    (void)L;
    return reset_rows(j->done, j->learn);
}

static trit_status run_forward(lua_State *L, void *context) {
    const job *j = context;
    (void)L;
    return of(j->c)->fitted ? fit_forward(j->c) : whole_forward(j->c);
}

static trit_status run_backward(lua_State *L, void *context) {
    const job *j = context;
    (void)L;
    return (of(j->done)->fitted ? fit_backward : whole_backward)(j->done, j->g, j->dw, j->learn);
}

static trit_status reset(const trit_quant_call *c, float *const learn[TRIT_MAX_LEARN]) {
    return bind_protect(of(c)->L, of(c)->q.name, run_reset, &(job){.done = c, .learn = learn});
}

static trit_status forward(trit_quant_call *c) {
    return bind_protect(of(c)->L, of(c)->q.name, run_forward, &(job){.c = c});
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    return bind_protect(of(c)->L, of(c)->q.name, run_backward,
                        &(job){.done = c, .g = g, .dw = dw, .learn = dlearn});
}

static double identity_integral(const trit_quant_call *c, trit_at at, double w) {
    return trit_quant_ste_integral(TRIT_STE_IDENTITY, w, at.code, c->scale[at.row],
                                   c->scale_neg[at.row]);
}
static double clip1_integral(const trit_quant_call *c, trit_at at, double w) {
    return trit_quant_ste_integral(TRIT_STE_CLIP1, w, at.code, c->scale[at.row],
                                   c->scale_neg[at.row]);
}
static double scaled_integral(const trit_quant_call *c, trit_at at, double w) {
    return trit_quant_ste_integral(TRIT_STE_SCALED, w, at.code, c->scale[at.row],
                                   c->scale_neg[at.row]);
}

/* ---------------------------------------------------------------------- definition */

/* The string field `name` of the table on top; the definition keeps it alive. */
static const char *text_field(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    const char *s = lua_tostring(L, -1);
    lua_pop(L, 1);
    return s;
}

static bool flag_field(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    const bool on = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return on;
}

static void read_params(lua_State *L, definition *d) { /* normalised list on top */
    for (int i = 0; i < TRIT_MAX_PARAMS; i++) {
        if (lua_geti(L, -1, i + 1) == LUA_TTABLE)
            d->params[i] = (trit_param){
                .name = text_field(L, "name"),
                .doc = text_field(L, "doc"),
                .choices = text_field(L, "choices"),
                .number = flag_field(L, "number"),
                .def = bind_field_number(L, lua_gettop(L), "def", 0),
                .min = bind_field_number(L, lua_gettop(L), "min", -1e30),
                .max = bind_field_number(L, lua_gettop(L), "max", 1e30),
            };
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_learn(lua_State *L, definition *d) {
    for (int i = 0; i < TRIT_MAX_LEARN; i++) {
        if (lua_geti(L, -1, i + 1) == LUA_TTABLE)
            d->learn[i] = (trit_learn){
                .name = text_field(L, "name"),
                .doc = text_field(L, "doc"),
                .lr_scale = bind_field_number(L, lua_gettop(L), "lr_scale", 1),
                .decay = flag_field(L, "decay"),
                .threshold = flag_field(L, "threshold"),
            };
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_cases(lua_State *L, definition *d) {
    for (int i = 0; i < 15; i++) {
        if (lua_geti(L, -1, i + 1) == LUA_TTABLE)
            d->cases[i] = (trit_case){text_field(L, "shapes"), text_field(L, "options")};
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void finish(lua_State *L, definition *d, int table) {
    static double (*const integrals[])(const trit_quant_call *, trit_at, double) = {
        identity_integral, clip1_integral, scaled_integral};
    lua_getfield(L, table, "fit");
    d->fitted = lua_isfunction(L, -1);
    lua_pop(L, 1);
    d->ste = (int)bind_field_number(L, table, "ste_kind", -1);
    d->q.params = d->params;
    d->q.learn = d->learn[0].name ? d->learn : NULL;
    d->q.cases = d->cases;
    d->q.user = d;
    d->q.properties = (unsigned)bind_field_number(L, table, "property_bits", 0);
    d->q.reset = d->q.learn ? reset : NULL;
    d->q.forward = forward;
    d->q.backward = backward;
    d->q.integral = d->fitted && d->ste >= 0 ? integrals[d->ste] : NULL;
}

/* core.quant_define(normalised definition); lua/trit/quant/define.lua checks and makes it.  A name
 * that a script has defined before is redefined: handles of the old one keep the old. */
static int l_define(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    const char *name = text_field(L, "name"), *doc = text_field(L, "doc");
    if (!name || !doc) return bind_raise(L, "define: needs name and doc");
    int slot = 0;
    while (slot < n_defined && strcmp(defined[slot]->q.name, name)) slot++;
    if (slot == MAX_DEFINED)
        return bind_raise(L, "define: at most %d quantizers can be defined", MAX_DEFINED);
    definition *d = calloc(1, sizeof *d);
    if (!d) return bind_raise(L, "define: out of memory");
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    d->L = lua_tothread(L, -1);
    lua_pop(L, 1);
    d->q.name = name;
    d->q.doc = doc;
    lua_getfield(L, 1, "param_list");
    read_params(L, d);
    lua_getfield(L, 1, "learn_list");
    read_learn(L, d);
    lua_getfield(L, 1, "case_list");
    read_cases(L, d);
    finish(L, d, 1);
    d->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    defined[slot] = d; /* an old one stays where it is: handles point to it */
    if (slot == n_defined) n_defined++;
    return 0;
}

static const luaL_Reg functions[] = {{"quant_define", l_define}, {NULL, NULL}};

void trit_open_quant_define(lua_State *L);
void trit_open_quant_define(lua_State *L) { luaL_setfuncs(L, functions, 0); }
