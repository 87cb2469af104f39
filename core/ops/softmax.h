/*
 * softmax.h - lines along an axis, for softmax, its logarithm and the losses.
 */
#ifndef TRIT_OPS_SOFTMAX_H
#define TRIT_OPS_SOFTMAX_H

#include "ops/ops.h"

/* log(sum(exp(x))) of n numbers `step` apart; NaN if one is NaN. */
double trit_log_sum_exp(int64_t n, const float *x, int64_t step);

typedef struct trit_softmax_job {
    trit_axis_split split;
    const float *x, *gy;
    float *out;
    void (*line)(const struct trit_softmax_job *j, int64_t at); /* at = its first number */
} trit_softmax_job;

/* Run j->line over every line of operand 0 along the axis in parameter row `row`. */
trit_status trit_softmax_lines(const trit_call *c, int row, trit_softmax_job *j);

#endif
