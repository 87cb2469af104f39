/*
 * softmax.c - lines along an axis, for softmax, its logarithm and the losses.
 */
#include "ops/softmax.h"

#include <math.h>

double trit_log_sum_exp(int64_t n, const float *x, int64_t step) {
    double top = -INFINITY, sum = 0;
    for (int64_t k = 0; k < n; k++) {
        const double v = (double)x[k * step];
        if (isnan(v)) return v;
        if (v > top) top = v;
    }
    if (isinf(top)) return top; /* all -inf, or a +inf: exp(x - top) would be NaN */
    for (int64_t k = 0; k < n; k++) sum += exp((double)x[k * step] - top);
    return top + log(sum);
}

static void lines(const void *context, int64_t from, int64_t count) {
    const trit_softmax_job *j = context;
    const trit_axis_split s = j->split;
    for (int64_t i = from; i < from + count; i++)
        j->line(j, i / s.inner * s.length * s.inner + i % s.inner);
}

trit_status trit_softmax_lines(const trit_call *c, int row, trit_softmax_job *j) {
    int axis;
    TRIT_TRY(trit_op_axis(c, row, 0, c->in[0]->shape.ndim, &axis));
    j->split = trit_split_axis(&c->in[0]->shape, axis);
    trit_each_rows(j->split.outer * j->split.inner, j->split.length, lines, j);
    return TRIT_OK;
}
