/*
 * example.c - example calls of an op: from a line of text to operands and options.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trit/gradcheck.h"

/* ------------------------------------------------------------------- options */

static trit_status set_value(const char *owner, const trit_param *table, trit_args *args, int row,
                             int at, const char *text) {
    char *end;
    double v = strtod(text, &end);
    if (*text && !*end) return trit_args_set(owner, table, args, row, at, v);
    return trit_args_set_name(owner, table, args, row, text);
}

static trit_status set_option(const char *owner, const trit_param *table, trit_args *args,
                              char *item) {
    char *eq = strchr(item, '='), *save = NULL;
    if (eq) *eq = 0;
    const int row = eq ? trit_param_find(table, item) : -1;
    if (row < 0) return trit_fail(TRIT_ERR_ARG, "%s: case: unknown option \"%s\"", owner, item);
    int at = 0;
    for (char *v = strtok_r(eq + 1, ";", &save); v; v = strtok_r(NULL, ";", &save))
        TRIT_TRY(set_value(owner, table, args, row, at++, v));
    return TRIT_OK;
}

trit_status trit_case_args(const char *owner, const trit_param *table, const char *options,
                           trit_args *args) {
    char text[256], *save = NULL;
    trit_args_default(table, args);
    snprintf(text, sizeof text, "%s", options ? options : "");
    for (char *item = strtok_r(text, ",", &save); item; item = strtok_r(NULL, ",", &save))
        TRIT_TRY(set_option(owner, table, args, item));
    return TRIT_OK;
}

/* ------------------------------------------------------------------ operands */

typedef struct {
    trit_shape shape;
    bool transposed, channels_last, labels, positive, binary;
} operand_text;

/* "[2,3]LP" up to `;` or the end; returns what follows, NULL when it cannot be read. */
static const char *read_operand(const char *p, operand_text *o) {
    *o = (operand_text){0};
    if (*p++ != '[') return NULL;
    while (*p != ']') {
        char *end;
        if (o->shape.ndim == TRIT_MAX_DIM) return NULL;
        o->shape.dim[o->shape.ndim++] = strtoll(p, &end, 10);
        if (end == p) return NULL;
        p = *end == ',' ? end + 1 : end;
    }
    for (p++; *p && *p != ';'; p++) {
        switch (*p) {
        case 'T': o->transposed = true; break;
        case 'L': o->channels_last = true; break;
        case 'I': o->labels = true; break;
        case 'P': o->positive = true; break;
        case 'B': o->binary = true; break;
        default: return NULL;
        }
    }
    return p;
}

static trit_status make_operand(const operand_text *o, trit_tensor **out) {
    if (!o->transposed)
        return trit_tensor_new(&o->shape, o->channels_last ? TRIT_CHANNELS_LAST : TRIT_ROW_MAJOR,
                               out);
    trit_shape reversed = {.ndim = o->shape.ndim};
    int64_t stride[TRIT_MAX_DIM] = {0};
    trit_tensor *t;
    for (int i = 0; i < o->shape.ndim; i++) reversed.dim[i] = o->shape.dim[o->shape.ndim - 1 - i];
    TRIT_TRY(trit_tensor_new(&reversed, TRIT_ROW_MAJOR, &t));
    for (int i = 0; i < o->shape.ndim; i++) stride[i] = t->stride[o->shape.ndim - 1 - i];
    trit_status status = trit_tensor_view(t, &o->shape, stride, 0, out);
    trit_tensor_release(t);
    return status;
}

static bool near_kink(const trit_op *op, double x) {
    for (const double *k = op->kinks; k && !isnan(*k); k++)
        if (fabs(x - *k) < op->kink_gap) return true;
    return false;
}

typedef struct {
    const trit_op *op;
    uint64_t seed;
    uint32_t operand;
    int64_t classes;
} source;

static double draw(const source *s, const operand_text *o, int64_t i) {
    const uint64_t index = (uint64_t)i;
    double u = trit_rng_uniform(s->seed, TRIT_STREAM_USER, index, s->operand);
    if (o->labels) return 1 + floor(u * (double)s->classes);
    if (o->binary) return u < 0.5;
    if (o->positive) return 0.5 + 1.5 * u;
    double x = 3 * u - 1.5;
    for (uint32_t again = 1; s->op->grad == TRIT_GRAD_KINKED && near_kink(s->op, x); again++) {
        u = trit_rng_uniform(s->seed, TRIT_STREAM_USER, index, s->operand + TRIT_MAX_IN * again);
        x = 3 * u - 1.5;
    }
    return x;
}

/* A shuffled grid: any two numbers are at least kink_gap apart. */
static trit_status fill_grid(const source *s, float *x, int64_t n) {
    uint32_t *order = trit_alloc((size_t)n * sizeof *order);
    if (!order) return TRIT_ERR_MEM;
    trit_rng_permutation(s->seed, TRIT_STREAM_USER, s->operand, order, (uint32_t)n);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(s->op->kink_gap * ((double)order[i] - (double)n / 2));
    trit_free(order, (size_t)n * sizeof *order);
    return TRIT_OK;
}

static trit_status fill_operand(const source *s, const operand_text *o, trit_tensor *t) {
    const int64_t n = trit_numel(t);
    const bool plain = !o->labels && !o->binary && !o->positive;
    if (plain && s->op->grad == TRIT_GRAD_KINKED && (!s->op->kinks || isnan(s->op->kinks[0])))
        return fill_grid(s, t->data, n);
    for (int64_t i = 0; i < n; i++) t->data[i] = (float)draw(s, o, i);
    return TRIT_OK;
}

trit_status trit_example_new(const trit_op *op, const trit_case *one, uint64_t seed,
                             trit_example *out) {
    memset(out, 0, sizeof *out);
    TRIT_TRY(trit_case_args(op->name, op->params, one->options, &out->args));
    for (const char *p = one->shapes;; p++) {
        operand_text o;
        if (*p && *p != ';') {
            p = read_operand(p, &o);
            if (!p || out->n_in == TRIT_MAX_IN)
                return trit_fail(TRIT_ERR_ARG, "%s: case \"%s\" cannot be read", op->name,
                                 one->shapes);
            TRIT_TRY(make_operand(&o, &out->in[out->n_in]));
            source s = {op, seed, (uint32_t)out->n_in, 0};
            if (out->in[0]->shape.ndim > 1) s.classes = out->in[0]->shape.dim[1];
            TRIT_TRY(fill_operand(&s, &o, out->in[out->n_in]));
        }
        out->n_in++;
        if (!*p) return TRIT_OK;
    }
}

void trit_example_clear(trit_example *e) {
    for (int i = 0; i < TRIT_MAX_IN; i++) trit_tensor_release(e->in[i]);
    memset(e->in, 0, sizeof e->in);
    e->n_in = 0;
}
