/*
 * op_quantile.c - the number below which a share q of a tensor's numbers lies.
 *
 *   h = q (n - 1);  y = x(floor h) + (h - floor h) (x(floor h + 1) - x(floor h)), x sorted from 0
 *
 * Linear interpolation, numpy's default (Hyndman & Fan 1996, definition 7).  No gradient.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"

enum { Q };

static const trit_param params[] = {
    {.name = "q", .def = 0.5, .min = 0, .max = 1, .doc = "share of the numbers below"},
    {0},
};

static trit_status infer(const trit_call *c, trit_shape *out) {
    if (trit_numel(c->in[0]) == 0)
        return trit_fail(TRIT_ERR_SHAPE, "quantile: no numbers: x %s", TRIT_TEXT(c->in[0]));
    *out = (trit_shape){0};
    return TRIT_OK;
}

static int ascending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static trit_status forward(trit_call *c) {
    const int64_t n = trit_numel(c->in[0]);
    const size_t bytes = (size_t)n * sizeof(float);
    for (int64_t i = 0; i < n; i++)
        if (isnan(c->in[0]->data[i])) {
            c->out->data[0] = NAN; /* NaN has no place in an order */
            return TRIT_OK;
        }
    float *x = trit_alloc(bytes);
    if (!x) return TRIT_ERR_MEM;
    memcpy(x, c->in[0]->data, bytes);
    qsort(x, (size_t)n, sizeof *x, ascending);
    const double h = c->args.v[Q][0] * (double)(n - 1);
    const int64_t low = (int64_t)h;
    double y = (double)x[low];
    if (low + 1 < n && h > (double)low) y += (h - (double)low) * ((double)x[low + 1] - y);
    c->out->data[0] = (float)y;
    trit_free(x, bytes);
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[7]", ""}, {"[2,3,5,4]L", "q=0.9"}, {"[3,4]T", "q=1"}, {"[1]", "q=0"}, {0},
};

const trit_op trit_op_quantile = {
    .name = "quantile",
    .doc = "quantile(x [, {q}]) -> y\n"
           "Finds the number below which a share q of all numbers lies; no gradient.\n"
           "shapes:  x [...] -> y []\n"
           "eq:      linear interpolation between order statistics at q (n - 1)\n"
           "         (Hyndman & Fan 1996, definition 7); NaN if there is one\n"
           "threads: serial\n"
           "exact:   rounded from double\n"
           "errors:  a tensor without elements; q outside [0, 1]\n",
    .operands = "x",
    .params = params,
    .infer = infer,
    .forward = forward,
    .grad = TRIT_GRAD_NONE,
    .cases = cases,
};
