/* quant_bench.h - a quantizer with weights and parameters, for tests that drive the registry. */
#ifndef TRIT_TESTS_QUANT_BENCH_H
#define TRIT_TESTS_QUANT_BENCH_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trit/quant.h"

#define CHECK(call) assert_string_equal((call) == TRIT_OK ? "" : trit_last_error(), "")

/* --------------------------------------------------------------- one application */

/* A quantizer with weights, parameters, a gradient, and room for every result. */
typedef struct {
    const trit_quantizer *q;
    trit_args args;
    trit_quant_state *state;
    trit_tensor *w, *g, *wq, *dw;
    trit_tensor *learn[TRIT_MAX_LEARN], *dlearn[TRIT_MAX_LEARN];
    int n_learn;
} bench;

static inline void parse_shape(const char *text, trit_shape *s) {
    char *end;
    s->ndim = 0;
    for (const char *p = text + 1; *p && p[-1] != ']'; p = end + 1)
        s->dim[s->ndim++] = strtol(p, &end, 10);
}

static inline void parse_options(const trit_quantizer *q, const char *text, trit_args *args) {
    char copy[256], *rest = NULL;
    trit_args_default(q->params, args);
    snprintf(copy, sizeof copy, "%s", text);
    for (char *item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(item, '=') + 1, *end;
        value[-1] = 0;
        int row = trit_param_find(q->params, item);
        assert_true(row >= 0);
        double v = strtod(value, &end);
        if (*end || (q->params[row].choices && !q->params[row].number))
            CHECK(trit_args_set_name(q->name, q->params, args, row, value));
        else
            CHECK(trit_args_set(q->name, q->params, args, row, 0, v));
    }
}

static inline trit_quant_call *call_of(bench *b) {
    trit_quant_call *c = &b->state->call;
    c->w = b->w->data;
    c->wq = b->wq->data;
    for (int k = 0; k < b->n_learn; k++) c->learn[k] = b->learn[k]->data;
    return c;
}

static inline void reset(bench *b) {
    float *learn[TRIT_MAX_LEARN] = {NULL};
    for (int k = 0; k < b->n_learn; k++) learn[k] = b->learn[k]->data;
    b->state->call.training = false;
    if (b->q->reset) CHECK(b->q->reset(call_of(b), learn));
}

static inline void forward(bench *b) { CHECK(b->q->forward(call_of(b))); }

static inline void backward(bench *b) {
    float *dlearn[TRIT_MAX_LEARN] = {NULL};
    for (int k = 0; k < b->n_learn; k++)
        if (!b->q->learn[k].state) dlearn[k] = b->dlearn[k]->data;
    CHECK(trit_quant_backward(call_of(b), b->g->data, b->dw->data, dlearn));
}

/* Weights around 0.02 with deviation 0.6, so that some exceed 1. */
static inline void open_bench(bench *b, const trit_quantizer *q, const trit_shape *shape,
                              const char *options, trit_layout layout, uint64_t seed) {
    trit_tensor *flat;
    *b = (bench){.q = q, .n_learn = trit_quant_learn_count(q)};
    parse_options(q, options, &b->args);
    CHECK(trit_tensor_new(shape, TRIT_ROW_MAJOR, &flat));
    trit_rng_fill_normal(seed, TRIT_STREAM_USER, 0.02f, 0.6f, flat->data, trit_numel(flat));
    CHECK(trit_tensor_as(flat, layout, &b->w));
    if (b->w == flat) CHECK(trit_tensor_clone(flat, &b->w)), trit_tensor_release(flat);
    trit_rng_fill_normal(seed + 1, TRIT_STREAM_USER, 0.1f, 1.0f, flat->data, trit_numel(flat));
    CHECK(trit_tensor_like(b->w, &b->g));
    trit_tensor_copy(b->g, flat);
    trit_tensor_release(flat);
    CHECK(trit_tensor_like(b->w, &b->wq));
    CHECK(trit_tensor_like(b->w, &b->dw));
    CHECK(trit_quant_state_new(q, &b->args, &b->state));
    CHECK(trit_quant_state_fit(b->state, b->w));
    for (int k = 0; k < b->n_learn; k++) {
        const trit_shape s = trit_quant_learn_shape(q, &b->args, b->w, k);
        CHECK(trit_tensor_zeros(&s, TRIT_HWIO, &b->learn[k]));
        CHECK(trit_tensor_zeros(&s, TRIT_HWIO, &b->dlearn[k]));
    }
    reset(b);
}

static inline void close_bench(bench *b) {
    for (int k = 0; k < b->n_learn; k++) {
        trit_tensor_release(b->learn[k]);
        trit_tensor_release(b->dlearn[k]);
    }
    trit_tensor_release(b->w);
    trit_tensor_release(b->g);
    trit_tensor_release(b->wq);
    trit_tensor_release(b->dw);
    trit_quant_state_release(b->state);
}

/* Row of the number at memory position i. */
static inline int64_t row_at(const trit_rows *r, int64_t i) {
    return r->rows == 1 ? 0 : r->row_stride == 1 ? i % r->rows : i / r->row_stride;
}

typedef void (*bench_body)(bench *b, const char *label);

static inline void each_case(bench_body f) {
    static const trit_layout layouts[] = {TRIT_ROW_MAJOR, TRIT_HWIO};
    for (int i = 0; i < trit_quantizers_count; i++)
        for (const trit_case *c = trit_quantizers[i]->cases; c->shapes; c++)
            for (int l = 0; l < 2; l++) {
                char label[200];
                trit_shape shape;
                bench b;
                parse_shape(c->shapes, &shape);
                snprintf(label, sizeof label, "%s %s {%s} layout %d", trit_quantizers[i]->name,
                         c->shapes, c->options, l);
                open_bench(&b, trit_quantizers[i], &shape, c->options, layouts[l], 7);
                f(&b, label);
                close_bench(&b);
            }
}

static inline void expect(bool ok, const char *label, const char *what, int64_t at, double got,
                          double want) {
    if (ok) return;
    print_error("%s: %s at %lld: got %.9g, expected %.9g\n", label, what, (long long)at, got, want);
    fail();
}

static inline int8_t *copy_codes(const bench *b) {
    const size_t n = (size_t)(b->state->call.n * b->state->call.terms);
    int8_t *codes = malloc(n);
    memcpy(codes, b->state->call.codes, n);
    return codes;
}

static inline double largest(const trit_tensor *t) {
    double top = 0;
    for (int64_t i = 0; i < trit_numel(t); i++) top = fmax(top, fabs((double)t->data[i]));
    return top;
}

#endif
