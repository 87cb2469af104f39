/*
 * op_batch_norm.c - batch normalisation per channel (Ioffe & Szegedy 2015).
 *
 *   training:  mu = mean(x), v = mean((x - mu)^2) over the M values of a channel
 *   eval:      mu, v = running statistics
 *   y = (x - mu) / sqrt(v + eps) * weight + bias
 *   training also:  running_mean += momentum (mu - running_mean)
 *                   running_var  += momentum (v M/(M-1) - running_var)
 *   training:  gx = weight/sqrt(v+eps) (gy - mean(gy) - xhat mean(gy xhat));  eval: without means
 *
 * Sums are taken of x minus the channel's first value: as that is one of the values,
 * (mu - first)^2 <= M v, so the variance cannot cancel away however large the mean is.
 * Sums that the convolution before left with x (of x itself, made while the rows were hot) are used
 * unless the mean is so large that they lose the variance.
 * momentum = 0 leaves the running statistics untouched.
 *
 * Fusion: y is described rather than computed, so that the next op makes its rows itself; so is gx,
 * a gy + b (x - mean) + d, for the convolution before; sums of gy may come with it.
 */
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/ops.h"
#include "tensor/pending.h"

enum { TRAINING, MOMENTUM, EPS };
enum { X, WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR };
enum { MEAN, INV_STD }; /* saved, f32[C] each */

static const trit_param params[] = {
    {.name = "training",
     .def = 0,
     .min = 0,
     .max = 1,
     .choices = TRIT_BOOL,
     .doc = "use the batch's statistics and update the running ones"},
    {.name = "momentum",
     .def = 0.1,
     .min = 0,
     .max = 1,
     .doc = "share of the batch in the running statistics"},
    {.name = "eps", .def = 1e-5, .min = 0, .max = 1, .doc = "added to the variance"},
    {0},
};

static int64_t channels(const trit_call *c) { return c->in[X]->shape.dim[1]; }

static int64_t row_count(const trit_call *c) {
    const int64_t C = channels(c);
    return C ? trit_numel(c->in[X]) / C : 0;
}

static trit_status infer(const trit_call *c, trit_shape *out) {
    static const char *const names[] = {"input", "weight", "bias", "running_mean", "running_var"};
    const trit_shape *x = &c->in[X]->shape;
    if (x->ndim != 2 && x->ndim != 4)
        return trit_fail(TRIT_ERR_SHAPE, "batch_norm: input must be [N,C] or [N,C,H,W]: input %s",
                         TRIT_TEXT(c->in[X]));
    for (int i = WEIGHT; i <= RUNNING_VAR; i++)
        TRIT_TRY(trit_op_vector(c, names[i], i, channels(c)));
    const bool training = c->args.v[TRAINING][0] != 0;
    if (training && row_count(c) < 2)
        return trit_fail(TRIT_ERR_SHAPE,
                         "batch_norm: training needs at least 2 values per channel: input %s",
                         TRIT_TEXT(c->in[X]));
    if (!training && (!c->in[RUNNING_MEAN] || !c->in[RUNNING_VAR]))
        return trit_fail(TRIT_ERR_ARG,
                         "batch_norm: without training it needs running_mean and "
                         "running_var: input %s",
                         TRIT_TEXT(c->in[X]));
    *out = *x;
    return TRIT_OK;
}

/* Everything a row kernel needs; rows start at `from`. */
typedef struct {
    int64_t C;
    const float *x, *g, *mean;
} job;

static void moments_body(const void *context, int64_t from, int64_t count, double *s) {
    const job *j = context;
    trit_kernels()->row_moments(count, j->C, j->x + from * j->C, j->mean, s, s + j->C);
}

static void dots_body(const void *context, int64_t from, int64_t count, double *s) {
    const job *j = context;
    const int64_t at = from * j->C;
    trit_kernels()->row_dots(count, j->C, j->g + at, j->x + at, j->mean, s, s + j->C);
}

/* Mean and 1/sqrt(var + eps) of the batch from sums of x - shift (NULL: 0) and of its square;
 * running statistics follow. */
static void settle_batch(trit_call *c, int64_t M, const float *shift, const double *sums,
                         float *mean, float *inv_std) {
    const int64_t C = channels(c);
    const double eps = c->args.v[EPS][0], momentum = c->args.v[MOMENTUM][0];
    for (int64_t k = 0; k < C; k++) {
        const double offset = sums[k] / (double)M;
        double var = sums[C + k] / (double)M - offset * offset;
        if (var < 0) var = 0;
        const double mu = (shift ? (double)shift[k] : 0.0) + offset;
        mean[k] = (float)mu;
        inv_std[k] = (float)(1.0 / sqrt(var + eps));
        if (momentum == 0) continue;
        float *rm = c->in[RUNNING_MEAN] ? &c->in[RUNNING_MEAN]->data[k] : NULL;
        float *rv = c->in[RUNNING_VAR] ? &c->in[RUNNING_VAR]->data[k] : NULL;
        const double unbiased = var * (double)M / (double)(M - 1);
        if (rm) *rm = (float)((1 - momentum) * (double)*rm + momentum * mu);
        if (rv) *rv = (float)((1 - momentum) * (double)*rv + momentum * unbiased);
    }
}

/* Sums of x and x^2 in double hold the variance to about 1e-7 MOST_CANCELLED. */
#define MOST_CANCELLED 100.0

static bool sums_hold_variance(const struct trit_sums *s, int64_t C, int64_t M) {
    if (!s || s->of) return false;
    for (int64_t k = 0; k < C; k++) {
        const double mean = s->v[k] / (double)M, square = s->v[C + k] / (double)M;
        if (!(square <= MOST_CANCELLED * (square - mean * mean))) return false;
    }
    return true;
}

static void settle_running(const trit_call *c, float *mean, float *inv_std) {
    const double eps = c->args.v[EPS][0];
    for (int64_t k = 0; k < channels(c); k++) {
        mean[k] = c->in[RUNNING_MEAN]->data[k];
        inv_std[k] = (float)(1.0 / sqrt((double)c->in[RUNNING_VAR]->data[k] + eps));
    }
}

static trit_status statistics(trit_call *c, float *mean, float *inv_std) {
    const int64_t C = channels(c), M = row_count(c);
    if (c->args.v[TRAINING][0] == 0) {
        settle_running(c, mean, inv_std);
        return TRIT_OK;
    }
    const struct trit_sums *left = trit_tensor_sums(c->in[X]);
    if (sums_hold_variance(left, C, M)) {
        settle_batch(c, M, NULL, left->v, mean, inv_std);
        return TRIT_OK;
    }
    const job j = {.C = C, .x = c->in[X]->data, .mean = c->in[X]->data};
    const size_t bytes = (size_t)(2 * C) * sizeof(double);
    double *sums = trit_alloc(bytes);
    if (!sums) return TRIT_ERR_MEM;
    trit_status status = trit_sum_rows(M, C, 2, moments_body, &j, sums);
    if (status == TRIT_OK) settle_batch(c, M, c->in[X]->data, sums, mean, inv_std);
    trit_free(sums, bytes);
    return status;
}

/* Statistics, and with them the vectors of y = (x - mean) a + b. */
static trit_status prepare(trit_call *c, trit_tensor **vectors) {
    const int64_t C = channels(c);
    const trit_shape vector = {1, {C}};
    for (int i = MEAN; i <= INV_STD; i++)
        TRIT_TRY(trit_tensor_new(&vector, TRIT_ROW_MAJOR, &c->saved[i]));
    float *mean = c->saved[MEAN]->data, *inv_std = c->saved[INV_STD]->data;
    TRIT_TRY(statistics(c, mean, inv_std));
    TRIT_TRY(trit_pending_vectors(C, vectors));
    float *m = (*vectors)->data + ROWS_PM * C, *a = (*vectors)->data + ROWS_PA * C;
    float *b = (*vectors)->data + ROWS_PB * C;
    for (int64_t k = 0; k < C; k++) {
        m[k] = mean[k];
        a[k] = inv_std[k] * (c->in[WEIGHT] ? c->in[WEIGHT]->data[k] : 1.0f);
        b[k] = c->in[BIAS] ? c->in[BIAS]->data[k] : 0.0f;
    }
    return TRIT_OK;
}

static trit_status describe(trit_call *c, bool *done) {
    trit_tensor *x = c->in[X], *vectors = NULL;
    TRIT_TRY(trit_tensor_settle(x));
    if (x->shape.ndim != 4 || !trit_has_layout(x, TRIT_CHANNELS_LAST)) return TRIT_OK;
    for (int i = WEIGHT; i <= RUNNING_VAR; i++)
        if (c->in[i] && !trit_has_layout(c->in[i], TRIT_ROW_MAJOR)) return TRIT_OK;
    trit_status status = prepare(c, &vectors);
    const unsigned has = 1u << ROWS_PM | 1u << ROWS_PA | 1u << ROWS_PB;
    if (status == TRIT_OK) status = trit_pending_new(x, NULL, vectors, has, false, &c->out);
    trit_tensor_release(vectors);
    *done = true;
    return status;
}

static trit_status forward(trit_call *c) {
    const int64_t C = channels(c);
    trit_tensor *vectors = NULL;
    trit_status status = prepare(c, &vectors);
    if (status == TRIT_OK) {
        const float *v = vectors->data;
        const trit_make rows = {.C = C,
                                .p = c->in[X]->data,
                                .pm = v + ROWS_PM * C,
                                .pa = v + ROWS_PA * C,
                                .pb = v + ROWS_PB * C};
        trit_rows_make_all(&rows, row_count(c), c->out->data);
    }
    trit_tensor_release(vectors);
    return status;
}

/* The vectors of gx = a gy + b (x - mean) + d, from sums of gy and of gy (x - mean). */
static trit_status gradient_vectors(const trit_call *c, const double *sums, trit_tensor **vectors) {
    const int64_t C = channels(c), M = row_count(c);
    const float *inv_std = c->saved[INV_STD]->data, *mean = c->saved[MEAN]->data;
    TRIT_TRY(trit_pending_vectors(C, vectors));
    float *v = (*vectors)->data;
    const bool training = c->args.v[TRAINING][0] != 0;
    for (int64_t k = 0; k < C; k++) {
        const double is = (double)inv_std[k];
        const double scale = is * (c->in[WEIGHT] ? (double)c->in[WEIGHT]->data[k] : 1.0);
        v[ROWS_PA * C + k] = (float)scale;
        v[ROWS_QM * C + k] = mean[k];
        v[ROWS_QA * C + k] = training ? (float)(-scale * is * is * sums[C + k] / (double)M) : 0.0f;
        v[ROWS_QB * C + k] = training ? (float)(-scale * sums[k] / (double)M) : 0.0f;
    }
    return TRIT_OK;
}

/*
 * Sums of gx and of gx x for whoever differentiates a scale of x.  In training the first is 0, and
 * the second what eps leaves of gy (x - mean): y hardly depends on the scale of x, and the terms of
 * sum gx x cancel to that.  Here they need not cancel.
 */
static struct trit_sums *gradient_sums_of_x(const trit_call *c, const double *sums) {
    const int64_t C = channels(c);
    const bool training = c->args.v[TRAINING][0] != 0;
    struct trit_sums *s = trit_sums_new(c->in[X], C);
    if (!s) return NULL;
    s->raw = true;
    for (int64_t k = 0; k < C; k++) {
        const double is = (double)c->saved[INV_STD]->data[k];
        const double scale = is * (c->in[WEIGHT] ? (double)c->in[WEIGHT]->data[k] : 1.0);
        const double left = training ? c->args.v[EPS][0] * is * is : 1.0;
        s->v[k] = training ? 0.0 : scale * sums[k];
        s->v[C + k] = scale * left * sums[C + k] + (double)c->saved[MEAN]->data[k] * s->v[k];
    }
    return s;
}

/* Without parameters to train, evaluation's backward needs no sums: none were made. */
static bool sums_made(const trit_call *c) {
    return c->want[WEIGHT] || c->want[BIAS] || c->args.v[TRAINING][0] != 0;
}

static trit_status describe_gradient(const trit_call *c, trit_tensor *gy, trit_tensor *vectors,
                                     const double *sums, trit_tensor **gx) {
    const unsigned has = 1u << ROWS_PA | 1u << ROWS_QM | 1u << ROWS_QA | 1u << ROWS_QB;
    TRIT_TRY(trit_pending_new(gy, c->in[X], vectors, has, false, gx));
    if (!sums_made(c)) return TRIT_OK;
    struct trit_sums *s = gradient_sums_of_x(c, sums);
    if (!s) return TRIT_ERR_MEM;
    trit_tensor_set_sums(*gx, s);
    return TRIT_OK;
}

static trit_status input_gradient(trit_call *c, trit_tensor *gy, const double *sums,
                                  trit_tensor **gx) {
    const int64_t C = channels(c);
    trit_tensor *vectors = NULL;
    TRIT_TRY(gradient_vectors(c, sums, &vectors));
    trit_status status;
    if (trit_fusion() && c->in[X]->shape.ndim == 4 && trit_has_layout(gy, TRIT_CHANNELS_LAST)) {
        status = describe_gradient(c, gy, vectors, sums, gx);
        trit_tensor_release(vectors);
        return status;
    }
    status = trit_grad_reuse(c, X, gy, gx);
    if (status == TRIT_OK) {
        const float *v = vectors->data;
        const trit_make rows = {.C = C,
                                .p = gy->data,
                                .pa = v + ROWS_PA * C,
                                .q = c->in[X]->data,
                                .qm = v + ROWS_QM * C,
                                .qa = v + ROWS_QA * C,
                                .qb = v + ROWS_QB * C};
        trit_rows_make_all(&rows, row_count(c), (*gx)->data);
    }
    trit_tensor_release(vectors);
    return status;
}

/* Sums of gy and gy (x - mean): brought along, or made in a pass. */
static trit_status gradient_moments(const trit_call *c, const trit_tensor *gy, double *sums) {
    const int64_t C = channels(c);
    const struct trit_sums *left = trit_tensor_sums(gy);
    if (left && left->of == c->in[X] && left->mean == c->saved[MEAN]->data) {
        memcpy(sums, left->v, (size_t)(2 * C) * sizeof *sums);
        return TRIT_OK;
    }
    const job j = {.C = C, .x = c->in[X]->data, .g = gy->data, .mean = c->saved[MEAN]->data};
    return trit_sum_rows(row_count(c), C, 2, dots_body, &j, sums);
}

static trit_status gradients(trit_call *c, trit_tensor *gy, double *sums, trit_tensor **gx) {
    const int64_t C = channels(c);
    if (sums_made(c)) TRIT_TRY(gradient_moments(c, gy, sums));
    for (int i = WEIGHT; i <= BIAS; i++)
        if (c->want[i]) TRIT_TRY(trit_grad_new(c, i, &gx[i]));
    for (int64_t k = 0; k < C; k++) {
        if (gx[WEIGHT])
            gx[WEIGHT]->data[k] = (float)(sums[C + k] * (double)c->saved[INV_STD]->data[k]);
        if (gx[BIAS]) gx[BIAS]->data[k] = (float)sums[k];
    }
    return c->want[X] ? input_gradient(c, gy, sums, &gx[X]) : TRIT_OK;
}

static bool gradient_sums(const trit_call *c, const trit_tensor **y, const float **mean) {
    *y = c->in[X];
    *mean = c->saved[MEAN]->data;
    return true;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    const size_t bytes = (size_t)(2 * channels(c)) * sizeof(double);
    double *sums = trit_alloc(bytes);
    if (!sums) return TRIT_ERR_MEM;
    trit_status status = gradients(c, gy, sums, gx);
    trit_free(sums, bytes);
    return status;
}

static const trit_case cases[] = {
    {"[5,6,4,3]L;[6];[6];[6];[6]P", "training=true"},
    {"[8,10];[10];[10];[10];[10]P", "training=true,eps=0.001"},
    {"[2,3,7,7];[3];[3];[3];[3]P", ""},
    {"[4,20]T;[20];[20];[20];[20]P", ""},
    {"[3,40,2,2]L;[40];[40]", "training=true"},
    {"[6,2];;", "training=true"},
    {"[0,3,4,4];[3];[3];[3];[3]P", ""},
    {"[1,1];[1];[1];[1];[1]P", ""},
    {0},
};

const trit_op trit_op_batch_norm = {
    .name = "batch_norm",
    .doc = "batch_norm(x [, weight, bias, running_mean, running_var] [, {training, momentum, eps}])"
           " -> y\n"
           "Normalises every channel by the batch's or the running mean and variance.\n"
           "shapes:  x [N,C] or [N,C,H,W], the others [C] -> y like x\n"
           "eq:      y = (x - mean) / sqrt(var + eps) weight + bias (Ioffe & Szegedy 2015);\n"
           "         var is biased here, unbiased in running_var\n"
           "alloc:   in training running_mean and running_var are updated in place:\n"
           "         running += momentum (batch - running)\n"
           "threads: parallel over fixed blocks of rows, sums in at most 64 slots\n"
           "exact:   relative 1e-5\n"
           "errors:  other ranks; vectors that are not [C]; training on one value per channel;\n"
           "         evaluation without running statistics\n",
    .operands = "x,weight?,bias?,running_mean?,running_var?",
    .params = params,
    .nograd = 1u << RUNNING_MEAN | 1u << RUNNING_VAR,
    .layout = TRIT_CHANNELS_LAST,
    .infer = infer,
    .describe = describe,
    .gradient_sums = gradient_sums,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
