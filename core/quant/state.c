/*
 * state.c - the outputs of one application of a quantizer and who holds them.
 */
#include <stdlib.h>
#include <string.h>

#include "trit/quant.h"

bool trit_quant_per_filter(const trit_quantizer *q, const trit_args *args) {
    int row = trit_param_find(q->params, "granularity");
    return row >= 0 && args->v[row][0] == 1;
}

int trit_quant_terms(const trit_quantizer *q, const trit_args *args) {
    return q->terms ? q->terms(args) : 1;
}

int trit_quant_learn_count(const trit_quantizer *q) {
    int n = 0;
    while (q->learn && n < TRIT_MAX_LEARN && q->learn[n].name) n++;
    return n;
}

trit_shape trit_quant_learn_shape(const trit_quantizer *q, const trit_args *args,
                                  const trit_tensor *w, int k) {
    trit_shape s = {.ndim = 1, .dim = {trit_rows_of(w, trit_quant_per_filter(q, args)).rows}};
    if (q->learn[k].per_weight) return w->shape;
    if (q->learn[k].per_term || q->learn[k].per_level) {
        s.ndim = 2;
        s.dim[1] = q->learn[k].per_level ? q->levels(args) : trit_quant_terms(q, args);
    }
    return s;
}

trit_status trit_quant_state_new(const trit_quantizer *q, const trit_args *args,
                                 trit_quant_state **out) {
    trit_quant_state *s = calloc(1, sizeof *s);
    if (!s) return trit_fail(TRIT_ERR_MEM, "%s: out of memory for its state", q->name);
    s->refs = 1;
    s->call.quantizer = q;
    s->call.args = *args;
    s->call.terms = trit_quant_terms(q, args);
    *out = s;
    return TRIT_OK;
}

trit_quant_state *trit_quant_state_retain(trit_quant_state *s) {
    s->refs++;
    return s;
}

static size_t code_bytes(const trit_quant_call *c) { return (size_t)(c->n * c->terms); }
static size_t scale_bytes(const trit_quant_call *c) {
    return (size_t)(c->rows.rows * c->terms) * sizeof(float);
}
static size_t cache_bytes(const trit_quant_call *c) {
    return (size_t)(c->rows.rows * TRIT_ROW_CACHE) * sizeof(double);
}

static void drop_outputs(trit_quant_call *c) {
    trit_free(c->codes, code_bytes(c));
    trit_free(c->scale, scale_bytes(c));
    trit_free(c->scale_neg, scale_bytes(c));
    trit_free(c->cache, cache_bytes(c));
    c->codes = NULL;
    c->scale = c->scale_neg = NULL;
    c->cache = NULL;
}

void trit_quant_state_release(trit_quant_state *s) {
    if (!s || --s->refs > 0) return;
    drop_outputs(&s->call);
    free(s);
}

trit_status trit_quant_state_fit(trit_quant_state *s, const trit_tensor *w) {
    trit_quant_call *c = &s->call;
    const trit_rows rows = trit_rows_of(w, trit_quant_per_filter(c->quantizer, &c->args));
    const bool fits = c->codes && c->n == trit_numel(w) && c->rows.rows == rows.rows;
    if (!fits) drop_outputs(c);
    c->rows = rows;
    c->n = trit_numel(w);
    s->shape = w->shape;
    memcpy(s->stride, w->stride, sizeof s->stride);
    if (fits) return TRIT_OK;
    c->same = false;
    c->codes = trit_alloc(code_bytes(c));
    c->scale = trit_alloc(scale_bytes(c));
    c->scale_neg = trit_alloc(scale_bytes(c));
    c->cache = trit_alloc(cache_bytes(c));
    if (c->codes && c->scale && c->scale_neg && c->cache) return TRIT_OK;
    drop_outputs(c);
    return trit_fail_within(TRIT_ERR_MEM, "%s", c->quantizer->name);
}
