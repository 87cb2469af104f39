/*
 * ste.c - the choices that every quantizer has: whose gradient the latent weights get, what the
 * codes are worth, how many bits they take.
 */
#include <math.h>

#include "quant/rows.h"

enum { OWN, IDENTITY, CLIPPED, SCALED, INV_SCALED, ANNEALED }; /* TRIT_STE_PARAM's choices */
static const char *const names[] = {"own",    "identity",   "clipped",
                                    "scaled", "inv_scaled", "annealed"};

static int choice(const trit_quantizer *q, const trit_args *args) {
    const int row = trit_param_find(q->params, "ste");
    return row < 0 ? OWN : (int)args->v[row][0];
}

bool trit_quant_own_ste(const trit_quantizer *q, const trit_args *args) {
    return choice(q, args) == OWN;
}

trit_status trit_quant_check(const trit_quantizer *q, const trit_args *args) {
    if (q->unrounded && choice(q, args) != OWN)
        return trit_fail(TRIT_ERR_ARG,
                         "%s: ste is \"%s\", but no weight that trains is rounded: the gradient is "
                         "the method's own",
                         q->name, names[choice(q, args)]);
    return q->check ? q->check(args) : TRIT_OK;
}

/* S of a row. */
static double row_scale(const trit_quant_call *c, int64_t row) {
    double sum = 0;
    for (int k = 0; k < c->terms; k++)
        sum +=
            0.5 * ((double)c->scale[row * c->terms + k] + (double)c->scale_neg[row * c->terms + k]);
    return fabs(sum);
}

#define ANNEAL_END 2 /* of w / S at the end of training */

static double factor_of(int kind, double progress, double S, double w) {
    const double t = S > 0 ? tanh(ANNEAL_END * progress * w / S) : 0;
    if (kind == CLIPPED) return fabs(w) < 1;
    if (kind == SCALED) return S;
    if (kind == INV_SCALED) return S > 0 ? 1 / S : 0;
    return kind == ANNEALED ? 1 - t * t : 1;
}

typedef struct {
    const trit_quant_call *c;
    const float *g;
    float *dw;
    const double *scale; // [rows]
    int kind;
} surrogate;

static void apply_body(void *context, const trit_segment *s) {
    const surrogate *m = context;
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const double S = m->scale[trit_segment_row(s, j)];
        m->dw[i] =
            (float)((double)m->g[i] * factor_of(m->kind, m->c->progress, S, (double)m->c->w[i]));
    }
}

/* dL/dw of the latent weights c->w. */
static trit_status through_factor(const trit_quant_call *c, int kind, const float *g, float *dw) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(double);
    double *scale = trit_alloc(bytes);
    if (!scale) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) scale[r] = row_scale(c, r);
    trit_rows_each(&c->rows, apply_body, &(surrogate){c, g, dw, scale, kind});
    trit_free(scale, bytes);
    return c->quantizer->beside ? c->quantizer->beside(c, g, dw) : TRIT_OK;
}

trit_status trit_quant_backward(const trit_quant_call *c, const float *g, float *dw,
                                float *const dlearn[TRIT_MAX_LEARN]) {
    const int kind = choice(c->quantizer, &c->args);
    if (kind == OWN) return c->quantizer->backward(c, g, dw, dlearn);
    bool others = false;
    for (int k = 0; k < TRIT_MAX_LEARN; k++) others = others || dlearn[k];
    if (others) TRIT_TRY(c->quantizer->backward(c, g, NULL, dlearn));
    if (dw) TRIT_TRY(through_factor(c, kind, g, dw));
    for (int k = 0; k < trit_quant_learn_count(c->quantizer); k++) {
        if (!c->quantizer->learn[k].latent || !dlearn[k]) continue;
        trit_quant_call other = *c;
        other.w = c->learn[k];
        TRIT_TRY(through_factor(&other, kind, g, dlearn[k]));
    }
    return TRIT_OK;
}

/* Integrals of factor_of, shared evenly among the terms over which drivers add. */
double trit_quant_integral(const trit_quant_call *c, trit_at at, double w) {
    const int kind = choice(c->quantizer, &c->args);
    if (kind == OWN) return c->quantizer->integral ? c->quantizer->integral(c, at, w) : NAN;
    if (c->quantizer->beside && !trit_quant_attached(c->quantizer, &c->args)) return NAN;
    const double S = row_scale(c, at.row), p = ANNEAL_END * c->progress;
    double whole = w;
    if (kind == CLIPPED) whole = fmax(-1, fmin(1, w));
    if (kind == SCALED) whole = S * w;
    if (kind == INV_SCALED) whole = S > 0 ? w / S : 0;
    if (kind == ANNEALED && S > 0 && p > 0) whole = S / p * tanh(p * w / S);
    return whole / c->terms;
}

bool trit_quant_attached(const trit_quantizer *q, const trit_args *args) {
    return (choice(q, args) == OWN || q->beside) && q->attached && q->attached(args);
}

unsigned trit_quant_properties(const trit_quantizer *q, const trit_args *args) {
    return q->properties_of ? q->properties_of(args) : q->properties;
}

double trit_quant_bits(const trit_quantizer *q, const trit_args *args) {
    return q->bits ? q->bits(args) : 2.0 * trit_quant_terms(q, args);
}

double trit_quant_level(const trit_quant_call *c, trit_at at) {
    if (c->quantizer->level) return c->quantizer->level(c, at);
    const int64_t k = at.row * c->terms + at.term;
    if (at.code == 0) return 0;
    return at.code > 0 ? (double)c->scale[k] : -(double)c->scale_neg[k];
}
