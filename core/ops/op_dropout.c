/*
 * op_dropout.c - zero a random share of the numbers and scale up the rest.
 *
 *   y = x mask / (1 - p), mask = 0 with probability p (Srivastava et al. 2014, inverted form)
 *
 * The draw of element i, in memory order (channels-last), is a function of (seed, call, i) alone;
 * backward draws it again.  A mask may be given instead.  Outside of training y = x.
 */
#include "ops/ops.h"

enum { P, SEED, CALL, TRAINING };
enum { X, MASK };

#define DRAWS 4 /* numbers out of one trit_rng call */

static const trit_param params[] = {
    {.name = "p", .def = 0.5, .min = 0, .max = 1, .doc = "probability of zero"},
    {.name = "seed",
     .integer = true,
     .def = 0,
     .min = 0,
     .max = 0x1p53,
     .doc = "of the random numbers"},
    {.name = "call",
     .integer = true,
     .def = 0,
     .min = 0,
     .max = 0xffffffffp0,
     .doc = "number of the call: another one draws another mask"},
    {.name = "training", .def = 1, .min = 0, .max = 1, .choices = TRIT_BOOL, .doc = "false: y = x"},
    {0},
};

typedef struct {
    uint64_t seed;
    uint32_t call;
    double cut; /* draws below it are dropped, of 2^32 */
    float scale;
    const float *from, *mask;
    float *to;
    int64_t n;
} job;

static trit_status infer(const trit_call *c, trit_shape *out) {
    if (c->in[MASK] && !trit_same_shape(c->in[X], c->in[MASK]))
        return trit_fail(TRIT_ERR_SHAPE, "dropout: mask must have the shape of x: mask %s, x %s",
                         TRIT_TEXT(c->in[MASK]), TRIT_TEXT(c->in[X]));
    return trit_infer_same(c, out);
}

static void drop_quads(const void *context, int64_t from, int64_t count) {
    const job *j = context;
    for (int64_t q = from; q < from + count; q++) {
        uint32_t r[DRAWS];
        trit_rng(j->seed, TRIT_STREAM_DROPOUT, (uint64_t)q, j->call, r);
        for (int64_t k = 0, i = q * DRAWS; k < DRAWS && i < j->n; k++, i++)
            j->to[i] = (double)r[k] < j->cut ? 0.0f : j->from[i] * j->scale;
    }
}

static void mask_quads(const void *context, int64_t from, int64_t count) {
    const job *j = context;
    const int64_t end = (from + count) * DRAWS < j->n ? (from + count) * DRAWS : j->n;
    for (int64_t i = from * DRAWS; i < end; i++)
        j->to[i] = j->mask[i] != 0.0f ? j->from[i] * j->scale : 0.0f;
}

static void copy_quads(const void *context, int64_t from, int64_t count) {
    const job *j = context;
    const int64_t end = (from + count) * DRAWS < j->n ? (from + count) * DRAWS : j->n;
    for (int64_t i = from * DRAWS; i < end; i++) j->to[i] = j->from[i];
}

/* The same map for x -> y and gy -> gx. */
static void apply(const trit_call *c, const float *from, float *to) {
    const double p = c->args.v[P][0];
    const job j = {.seed = (uint64_t)c->args.v[SEED][0],
                   .call = (uint32_t)c->args.v[CALL][0],
                   .cut = p * 0x1p32,
                   .scale = p < 1 ? (float)(1 / (1 - p)) : 0.0f,
                   .from = from,
                   .mask = c->in[MASK] ? c->in[MASK]->data : NULL,
                   .to = to,
                   .n = trit_numel(c->in[X])};
    const bool drops = c->args.v[TRAINING][0] != 0 && p > 0;
    trit_each_rows((j.n + DRAWS - 1) / DRAWS, DRAWS,
                   !drops   ? copy_quads
                   : j.mask ? mask_quads
                            : drop_quads,
                   &j);
}

static trit_status forward(trit_call *c) {
    apply(c, c->in[X]->data, c->out->data);
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_grad_reuse(c, X, gy, &gx[X]));
    apply(c, gy->data, gx[X]->data);
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[4,9]", "p=0.5,seed=3,call=7"},
    {"[2,3,5,4]L", "p=0.3"},
    {"[3,4]T", "training=false"},
    {"[0,3]", ""},
    {"[1]", "p=0.2"},
    {0},
};

const trit_op trit_op_dropout = {
    .name = "dropout",
    .doc = "dropout(x [, mask] [, {p, seed, call, training}]) -> y\n"
           "Zeroes a random share of the numbers and scales up the rest.\n"
           "shapes:  x [...], mask [...] of 0 and 1 (1 = keep) -> y [...]\n"
           "eq:      y = x mask / (1 - p) (Srivastava et al. 2014, inverted); p = 1 gives zeros\n"
           "threads: parallel over fixed pieces; draws depend on (seed, call, element) alone\n"
           "exact:   bit-exact across instruction sets\n"
           "errors:  p outside [0, 1]; a mask of another shape\n",
    .operands = "x,mask?",
    .params = params,
    .nograd = 1u << MASK,
    .layout = TRIT_CHANNELS_LAST,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
