/*
 * moments.c - means, variances and the way their gradients go back.
 */
#include "kernels/kernels.h"
#include "ops/ops.h"

static void square_span(const void *context, int64_t n, float *const *p) {
    (void)context;
    trit_kernels()->sub(n, p[1], p[2], p[0]);
    trit_kernels()->mul(n, p[0], p[0], p[0]);
}

static trit_status squares(const trit_tensor *x, const trit_tensor *mean, double divisor,
                           trit_tensor *var) {
    trit_tensor *square;
    TRIT_TRY(trit_tensor_like(x, &square));
    trit_spans(3, (const trit_tensor *[]){square, x, mean}, square_span, NULL);
    trit_status status = trit_reduce_sum(square, 1.0 / divisor, var);
    trit_tensor_release(square);
    return status;
}

trit_status trit_moments(const trit_tensor *x, const bool *reduced, double divisor,
                         trit_tensor **mean, trit_tensor *var) {
    trit_shape shape;
    trit_reduced_shape(&x->shape, reduced, true, &shape);
    TRIT_TRY(trit_tensor_new(&shape, TRIT_ROW_MAJOR, mean));
    TRIT_TRY(trit_reduce_sum(x, 1.0 / (double)trit_reduced_count(&x->shape, reduced), *mean));
    return squares(x, *mean, divisor, var);
}

static void stretch_span(const void *context, int64_t n, float *const *p) {
    trit_kernels()->affine(n, *(const float *)context, 0.0f, p[1], p[0]);
}

trit_status trit_stretch_grad(const trit_call *c, const trit_tensor *gy, const bool *reduced,
                              double scale, trit_tensor **gx) {
    trit_tensor *view;
    const float factor = (float)scale;
    TRIT_TRY(trit_grad_new(c, 0, gx));
    TRIT_TRY(trit_keep_view(gy, &c->in[0]->shape, reduced, &view));
    trit_spans(2, (const trit_tensor *[]){*gx, view}, stretch_span, &factor);
    trit_tensor_release(view);
    return TRIT_OK;
}
