/*
 * checks.c - parameters and operands that several ops check in the same words.
 */
#include <math.h>

#include "ops/ops.h"

trit_status trit_op_axis(const trit_call *c, int row, int at, int ndim, int *axis) {
    const double v = c->args.v[row][at];
    const char *name = c->op->params[row].name;
    if (v != floor(v) || v == 0 || fabs(v) > ndim)
        return trit_fail(TRIT_ERR_ARG,
                         "%s: %s is %g but must be 1..%d, or -1..-%d from the last: x %s",
                         c->op->name, name, v, ndim, ndim, TRIT_TEXT(c->in[0]));
    *axis = v > 0 ? (int)v - 1 : ndim + (int)v;
    return TRIT_OK;
}

trit_status trit_op_rank(const trit_call *c, const char *what, int i, int ndim) {
    if (c->in[i]->shape.ndim == ndim) return TRIT_OK;
    return trit_fail(TRIT_ERR_SHAPE, "%s: %s must have %d dimensions: %s %s", c->op->name, what,
                     ndim, what, TRIT_TEXT(c->in[i]));
}

trit_status trit_op_vector(const trit_call *c, const char *what, int i, int64_t n) {
    const trit_tensor *t = c->in[i];
    if (!t || (t->shape.ndim == 1 && t->shape.dim[0] == n)) return TRIT_OK;
    return trit_fail(TRIT_ERR_SHAPE, "%s: %s must be f32[%lld]: %s %s, x %s", c->op->name, what,
                     (long long)n, what, TRIT_TEXT(t), TRIT_TEXT(c->in[0]));
}

trit_status trit_op_labels(const trit_call *c, const trit_tensor *labels, int64_t C) {
    for (int64_t n = 0; n < labels->shape.dim[0]; n++) {
        const float v = labels->data[n];
        if (v >= 1 && v <= (float)C && v == floorf(v)) continue;
        return trit_fail(
            TRIT_ERR_ARG, "%s: label of row %lld is %g but must be a class number 1..%lld: x %s",
            c->op->name, (long long)n + 1, (double)v, (long long)C, TRIT_TEXT(c->in[0]));
    }
    return TRIT_OK;
}

int64_t trit_window_count(int64_t in, int64_t window, int64_t stride, int64_t pad) {
    const int64_t room = in + 2 * pad - window;
    return room < 0 ? 0 : room / stride + 1;
}

trit_status trit_box_view(const trit_tensor *whole, const int64_t *start, const int64_t *step,
                          const trit_shape *box, trit_tensor **out) {
    int64_t stride[TRIT_MAX_DIM] = {0}, offset = 0;
    for (int i = 0; i < box->ndim; i++) {
        stride[i] = whole->stride[i] * (step ? step[i] : 1);
        if (box->dim[i] > 0) offset += whole->stride[i] * start[i];
    }
    return trit_tensor_view(whole, box, stride, offset, out);
}
