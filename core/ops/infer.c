/*
 * infer.c - shape rules that many ops share, and gradients' allocation.
 */
#include "trit/op.h"

trit_status trit_infer_same(const trit_call *c, trit_shape *out) {
    *out = c->in[0]->shape;
    return TRIT_OK;
}

trit_status trit_infer_scalar(const trit_call *c, trit_shape *out) {
    (void)c;
    *out = (trit_shape){0};
    return TRIT_OK;
}

/* Shapes are aligned at the last dimension; 1 stretches. */
trit_status trit_infer_broadcast(const trit_call *c, trit_shape *out) {
    const trit_shape *a = &c->in[0]->shape, *b = &c->in[1]->shape;
    out->ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int i = 1; i <= out->ndim; i++) {
        int64_t da = i <= a->ndim ? a->dim[a->ndim - i] : 1;
        int64_t db = i <= b->ndim ? b->dim[b->ndim - i] : 1;
        if (da != db && da != 1 && db != 1)
            return trit_fail(TRIT_ERR_SHAPE,
                             "%s: shapes do not broadcast (%lld against %lld in dimension %d from "
                             "the last): a %s, b %s",
                             c->op->name, (long long)da, (long long)db, i, TRIT_TEXT(c->in[0]),
                             TRIT_TEXT(c->in[1]));
        out->dim[out->ndim - i] = da == 1 ? db : da;
    }
    return TRIT_OK;
}

trit_status trit_grad_new(const trit_call *c, int i, trit_tensor **gx) {
    return trit_tensor_like(c->in[i], gx);
}

void trit_grad_pass(const trit_call *c, int i, trit_tensor *gy, trit_tensor **gx) {
    if (c->want[i]) *gx = trit_tensor_retain(gy);
}
