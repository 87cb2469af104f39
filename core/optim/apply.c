/*
 * apply.c - one optimizer step on one parameter, and what is done to gradients before it.
 */
#include "trit/optim.h"

#include <string.h>

#define CHUNK 16384 /* numbers of one unit of work: 64 KiB a tensor */

unsigned trit_optimizer_uses(const trit_optimizer *o, const trit_args *args) {
    unsigned all = 0;
    for (int i = 0; i < TRIT_MAX_SLOTS && o->slots[i]; i++) all |= 1u << i;
    return o->uses ? all & o->uses(args) : all;
}

/* --------------------------------------------------------------------------- step */

typedef struct {
    const trit_optimizer *o;
    const trit_args *args;
    int64_t t, n;
    float *p, *slot[TRIT_MAX_SLOTS];
    const float *g;
} step;

static void step_unit(void *context, int64_t unit, int worker) {
    const step *s = context;
    (void)worker;
    const int64_t at = unit * CHUNK, left = s->n - at;
    float *slot[TRIT_MAX_SLOTS] = {NULL};
    for (int i = 0; i < TRIT_MAX_SLOTS; i++) slot[i] = s->slot[i] ? s->slot[i] + at : NULL;
    s->o->update(s->args, s->t, left < CHUNK ? left : CHUNK, s->p + at, s->g + at, slot);
}

static trit_status check(const trit_optimizer *o, const trit_args *args, const trit_tensor *p,
                         const trit_tensor *g, trit_tensor *const *slot) {
    const unsigned uses = trit_optimizer_uses(o, args);
    if (!trit_same_shape(p, g))
        return trit_fail(TRIT_ERR_SHAPE, "%s: parameter %s has a gradient %s", o->name,
                         TRIT_TEXT(p), TRIT_TEXT(g));
    if (!trit_is_dense(p))
        return trit_fail(TRIT_ERR_UNSUPPORTED, "%s: parameter %s is a view with gaps", o->name,
                         TRIT_TEXT(p));
    for (int i = 0; i < TRIT_MAX_SLOTS; i++)
        if (uses >> i & 1 && (!slot[i] || !trit_same_strides(slot[i], p)))
            return trit_fail(TRIT_ERR_ARG, "%s: state %s does not fit parameter %s", o->name,
                             o->slots[i], TRIT_TEXT(p));
    return TRIT_OK;
}

trit_status trit_optimizer_step(const trit_optimizer *o, const trit_args *args, int64_t t,
                                trit_tensor *p, const trit_tensor *g, trit_tensor *const *slot) {
    trit_tensor *copy = NULL;
    TRIT_TRY(check(o, args, p, g, slot));
    TRIT_TRY(trit_tensor_will_change(p));
    if (!trit_same_strides(g, p)) {
        TRIT_TRY(trit_tensor_like(p, &copy));
        trit_tensor_copy(copy, g); /* shapes agree: cannot fail */
        g = copy;
    }
    step s = {.o = o, .args = args, .t = t, .n = trit_numel(p), .p = p->data, .g = g->data};
    for (int i = 0; i < TRIT_MAX_SLOTS; i++)
        if (o->slots[i] && slot[i]) s.slot[i] = slot[i]->data;
    trit_parallel((s.n + CHUNK - 1) / CHUNK, step_unit, &s);
    trit_tensor_release(copy);
    return TRIT_OK;
}

/* ------------------------------------------------------------------ sum of squares */

typedef struct {
    const float *x;
    int64_t n;
    double *part;
} squares;

static void squares_unit(void *context, int64_t unit, int worker) {
    enum { LANES = 8 };
    const squares *s = context;
    (void)worker;
    const int64_t at = unit * CHUNK, left = s->n - at, n = left < CHUNK ? left : CHUNK;
    const float *x = s->x + at;
    double lane[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) lane[j] += (double)x[i + j] * (double)x[i + j];
    for (; i < n; i++) lane[0] += (double)x[i] * (double)x[i];
    for (int j = 0; j < LANES; j++) sum += lane[j];
    s->part[unit] = sum;
}

static trit_status add_squares(const trit_tensor *t, double *sum) {
    const int64_t n = trit_numel(t), units = (n + CHUNK - 1) / CHUNK;
    const size_t bytes = (size_t)units * sizeof(double);
    double *part = trit_alloc(bytes);
    if (!part) return TRIT_ERR_MEM;
    squares s = {t->data, n, part};
    trit_parallel(units, squares_unit, &s);
    for (int64_t u = 0; u < units; u++) *sum += part[u];
    trit_free(part, bytes);
    return TRIT_OK;
}

trit_status trit_sum_squares(trit_tensor *const *t, int count, double *sum) {
    *sum = 0;
    for (int i = 0; i < count; i++) {
        trit_tensor *dense = t[i], *copy = NULL;
        if (!trit_is_dense(t[i])) {
            TRIT_TRY(trit_tensor_clone(t[i], &copy));
            dense = copy;
        }
        trit_status status = add_squares(dense, sum);
        trit_tensor_release(copy);
        TRIT_TRY(status);
    }
    return TRIT_OK;
}

/* ----------------------------------------------------------------------- in place */

static void scale_run(void *context, int64_t n, float *const *p, const int64_t *s) {
    const float factor = *(const float *)context;
    for (int64_t i = 0; i < n; i++) p[0][i * s[0]] *= factor;
}

void trit_scale_inplace(trit_tensor *t, float factor) {
    trit_walk(&t->shape, 1, (float *const[]){t->data}, (const int64_t *const[]){t->stride},
              scale_run, &factor);
}

static void clamp_run(void *context, int64_t n, float *const *p, const int64_t *s) {
    const float lo = ((const float *)context)[0], hi = ((const float *)context)[1];
    for (int64_t i = 0; i < n; i++) {
        const float v = p[0][i * s[0]];
        p[0][i * s[0]] = v > hi ? hi : v < lo ? lo : v;
    }
}

void trit_clamp_inplace(trit_tensor *t, float lo, float hi) {
    float limits[2] = {lo, hi};
    trit_walk(&t->shape, 1, (float *const[]){t->data}, (const int64_t *const[]){t->stride},
              clamp_run, limits);
}
