/*
 * gradcheck.c - backward against finite differences of forward; the rules are in trit/gradcheck.h.
 */
#include "trit/gradcheck.h"

#include <math.h>
#include <string.h>

#include "autograd/node.h"

#define STEP       0x1p-6 /* h: about float's eps^(1/3), so truncation and rounding balance */
#define DIRECTIONS 4      /* random directions per operand                                 */
#define SINGLES    24     /* single elements per operand at most                           */
#define RELATIVE   5e-4   /* allowed share of |g d|                                        */
#define ROUNDING   16.0   /* roundings of y that L may show, times float's unit over h     */
#define FLOAT_UNIT 0x1p-24

typedef struct {
    const trit_op *op;
    const trit_case *one;
    trit_example e;
    trit_tensor *r;                 /* weights of the outputs, in y's shape, row-major */
    trit_tensor *grad[TRIT_MAX_IN]; /* analytic gradients                              */
    double y_norm;                  /* |r y|                                           */
    trit_gradcheck_report *report;
} check;

static bool differentiable(const check *k, int i) {
    return k->e.in[i] && !(k->op->nograd >> i & 1);
}

static trit_status apply(const check *k, trit_tensor **y) {
    return trit_apply(k->op, k->e.in, k->e.n_in, &k->e.args, NULL, NULL, y);
}

/* sum r y, and its terms' norm. */
static trit_status loss(const check *k, double *sum, double *norm) {
    trit_tensor *y = NULL, *flat = NULL;
    const bool old = trit_set_grad_enabled(false);
    trit_status status = apply(k, &y);
    trit_set_grad_enabled(old);
    if (status == TRIT_OK) status = trit_tensor_as(y, TRIT_ROW_MAJOR, &flat);
    double squares = 0;
    *sum = 0;
    for (int64_t i = 0; status == TRIT_OK && i < trit_numel(flat); i++) {
        const double term = (double)k->r->data[i] * (double)flat->data[i];
        *sum += term;
        squares += term * term;
    }
    *norm = sqrt(squares);
    trit_tensor_release(flat);
    trit_tensor_release(y);
    return status;
}

/* ------------------------------------------------------------ analytic gradients */

static void drop_grads(check *k) {
    for (int i = 0; i < k->e.n_in; i++) {
        if (!k->e.in[i]) continue;
        trit_tensor_release(k->e.in[i]->grad);
        k->e.in[i]->grad = NULL;
        k->e.in[i]->requires_grad = false;
    }
}

/* Forward and backward with gradients for the operands in `mask`. */
static trit_status backward_for(check *k, unsigned mask) {
    trit_tensor *y = NULL;
    drop_grads(k);
    for (int i = 0; i < k->e.n_in; i++)
        if (mask >> i & 1) k->e.in[i]->requires_grad = true;
    trit_status status = apply(k, &y);
    if (status == TRIT_OK) status = trit_backward(y, k->r);
    trit_tensor_release(y);
    return status;
}

static bool same_bits(const trit_tensor *a, const trit_tensor *b) {
    return !memcmp(a->data, b->data, (size_t)trit_numel(a) * sizeof(float));
}

/* Operand by operand: what is not wanted stays NULL, what is wanted has the same bits again. */
static trit_status check_alone(check *k, int i) {
    TRIT_TRY(backward_for(k, 1u << i));
    for (int j = 0; j < k->e.n_in; j++)
        if (j != i && k->e.in[j] && k->e.in[j]->grad)
            return trit_fail(TRIT_ERR_STATE, "gradcheck %s: operand %d got a gradient unasked",
                             k->op->name, j + 1);
    const trit_tensor *g = k->e.in[i]->grad;
    if (!g)
        return trit_fail(TRIT_ERR_STATE, "gradcheck %s: operand %d got no gradient", k->op->name,
                         i + 1);
    if (!same_bits(g, k->grad[i]))
        return trit_fail(TRIT_ERR_STATE,
                         "gradcheck %s: the gradient of operand %d depends on what "
                         "else is wanted, or on old memory",
                         k->op->name, i + 1);
    return TRIT_OK;
}

/* Ask backward itself: it must fill exactly what is wanted. */
static trit_status check_wanted(check *k, int i) {
    trit_tensor *y = NULL, *gy = NULL, *gx[TRIT_MAX_IN] = {0};
    drop_grads(k);
    k->e.in[i]->requires_grad = true;
    trit_status status = apply(k, &y);
    if (status == TRIT_OK) status = trit_tensor_like(y, &gy);
    if (status == TRIT_OK) status = trit_tensor_copy(gy, k->r);
    if (status == TRIT_OK) {
        node *n = (node *)y->node;
        n->call.out = y; /* as the walk does */
        status = k->op->backward(&n->call, gy, gx);
        n->call.out = NULL;
    }
    for (int j = 0; j < k->e.n_in; j++) {
        if (status == TRIT_OK && (gx[j] != NULL) != (j == i))
            status = trit_fail(TRIT_ERR_STATE, "gradcheck %s: backward %s operand %d, wanted is %d",
                               k->op->name, gx[j] ? "filled" : "left out", j + 1, i + 1);
        trit_tensor_release(gx[j]);
    }
    trit_tensor_release(gy);
    trit_tensor_release(y);
    return status;
}

static trit_status analytic(check *k) {
    unsigned mask = 0;
    for (int i = 0; i < k->e.n_in; i++)
        if (differentiable(k, i)) mask |= 1u << i;
    TRIT_TRY(backward_for(k, mask));
    for (int i = 0; i < k->e.n_in; i++)
        if (mask >> i & 1) k->grad[i] = trit_tensor_retain(k->e.in[i]->grad);
    for (int i = 0; i < k->e.n_in; i++) {
        if (!(mask >> i & 1)) continue;
        TRIT_TRY(check_alone(k, i));
        TRIT_TRY(check_wanted(k, i));
    }
    drop_grads(k);
    return TRIT_OK;
}

/* ------------------------------------------------------------ finite differences */

/* dL/dt at 0 of x + t d, from steps h and h/2 (Richardson); x is put back. */
static trit_status numeric(check *k, int i, const float *d, float *keep, double *slope) {
    trit_tensor *x = k->e.in[i];
    const int64_t n = trit_numel(x);
    double by_step[2], up, down, norm;
    memcpy(keep, x->data, (size_t)n * sizeof(float));
    for (int s = 0; s < 2; s++) {
        const float h = (float)(STEP / (1 + s));
        for (int64_t j = 0; j < n; j++) x->data[j] = keep[j] + h * d[j];
        TRIT_TRY(loss(k, &up, &norm));
        for (int64_t j = 0; j < n; j++) x->data[j] = keep[j] - h * d[j];
        TRIT_TRY(loss(k, &down, &norm));
        by_step[s] = (up - down) / (2 * (double)h);
    }
    memcpy(x->data, keep, (size_t)n * sizeof(float));
    *slope = (4 * by_step[1] - by_step[0]) / 3;
    return TRIT_OK;
}

/* `typical`: root mean square of the gradient; a single small element is judged beside it. */
static trit_status compare(check *k, int i, const float *d, float *keep, double typical,
                           const char *what, int64_t which) {
    const trit_tensor *g = k->grad[i];
    double slope, sum = 0, squares = 0;
    for (int64_t j = 0; j < trit_numel(g); j++) {
        const double term = (double)g->data[j] * (double)d[j];
        sum += term;
        squares += term * term;
    }
    TRIT_TRY(numeric(k, i, d, keep, &slope));
    const double allowed = RELATIVE * fmax(sqrt(squares), typical) +
                           ROUNDING * FLOAT_UNIT / STEP * fmax(k->y_norm, FLOAT_UNIT);
    const double off = fabs(sum - slope) / allowed;
    k->report->compared++;
    if (!(off <= k->report->worst)) k->report->worst = off;
    if (off <= 1) return TRIT_OK;
    return trit_fail(TRIT_ERR_STATE,
                     "gradcheck %s(%s; %s): operand %d, %s %lld: backward says %g, differences "
                     "say %g, allowed %g",
                     k->op->name, k->one->shapes, k->one->options, i + 1, what, (long long)which,
                     sum, slope, allowed);
}

static trit_status compare_operand(check *k, int i, uint64_t seed, float *d, float *keep) {
    const int64_t n = trit_numel(k->e.in[i]);
    double squares = 0;
    for (int64_t j = 0; j < n; j++)
        squares += (double)k->grad[i]->data[j] * (double)k->grad[i]->data[j];
    const double typical = sqrt(squares / (double)n);
    for (uint32_t t = 0; t < DIRECTIONS; t++) {
        for (int64_t j = 0; j < n; j++) {
            const uint32_t lane = 1000 + t * TRIT_MAX_IN + (uint32_t)i;
            d[j] = trit_rng_uniform(seed, TRIT_STREAM_USER, (uint64_t)j, lane) < 0.5 ? -1.0f : 1.0f;
        }
        TRIT_TRY(compare(k, i, d, keep, typical, "direction", t));
    }
    const int64_t stride = n > SINGLES ? n / SINGLES : 1;
    memset(d, 0, (size_t)n * sizeof(float));
    for (int64_t j = 0; j < n; j += stride) {
        d[j] = 1.0f;
        TRIT_TRY(compare(k, i, d, keep, typical, "element", j));
        d[j] = 0.0f;
    }
    return TRIT_OK;
}

static trit_status differences(check *k, uint64_t seed) {
    double sum;
    TRIT_TRY(loss(k, &sum, &k->y_norm));
    for (int i = 0; i < k->e.n_in; i++) {
        if (!differentiable(k, i) || trit_numel(k->e.in[i]) == 0) continue;
        const size_t bytes = 2 * (size_t)trit_numel(k->e.in[i]) * sizeof(float);
        float *room = trit_alloc(bytes);
        if (!room) return TRIT_ERR_MEM;
        trit_status status = compare_operand(k, i, seed, room, room + trit_numel(k->e.in[i]));
        trit_free(room, bytes);
        TRIT_TRY(status);
    }
    return TRIT_OK;
}

/* ------------------------------------------------------------------- the driver */

/* Backward through an op without gradient fails and names it; ops whose operands never have one
 * give constants instead. */
static trit_status check_none(check *k) {
    unsigned mask = 0;
    for (int i = 0; i < k->e.n_in; i++)
        if (differentiable(k, i)) mask |= 1u << i;
    if (!mask) return TRIT_OK;
    if (backward_for(k, mask) != TRIT_OK && strstr(trit_last_error(), k->op->name)) return TRIT_OK;
    return trit_fail(TRIT_ERR_STATE, "gradcheck %s: backward through it must fail with its name",
                     k->op->name);
}

static trit_status make_weights(check *k, uint64_t seed) {
    trit_tensor *y = NULL;
    TRIT_TRY(apply(k, &y));
    trit_status status = trit_tensor_new(&y->shape, TRIT_ROW_MAJOR, &k->r);
    if (status == TRIT_OK)
        trit_rng_fill_uniform(seed + 1, TRIT_STREAM_USER, -1.0f, 1.0f, k->r->data, trit_numel(y));
    trit_tensor_release(y);
    return status;
}

static trit_status run(check *k, uint64_t seed) {
    TRIT_TRY(trit_example_new(k->op, k->one, seed, &k->e));
    TRIT_TRY(make_weights(k, seed));
    if (k->op->grad == TRIT_GRAD_NONE) return check_none(k);
    TRIT_TRY(analytic(k));
    return differences(k, seed);
}

trit_status trit_gradcheck(const trit_op *op, const trit_case *one, uint64_t seed,
                           trit_gradcheck_report *report) {
    check k = {.op = op, .one = one, .report = report};
    *report = (trit_gradcheck_report){0};
    if (op->grad == TRIT_GRAD_SURROGATE) return TRIT_OK;
    if (op->grad == TRIT_GRAD_KINKED && op->kink_gap < 2 * STEP)
        return trit_fail(TRIT_ERR_ARG, "gradcheck %s: kink_gap %g is below twice the step %g",
                         op->name, op->kink_gap, STEP);
    trit_status status = run(&k, seed);
    drop_grads(&k);
    for (int i = 0; i < TRIT_MAX_IN; i++) trit_tensor_release(k.grad[i]);
    trit_tensor_release(k.r);
    trit_example_clear(&k.e);
    return status;
}
