/*
 * op_quantize_scale.c - the scale of a quantized weight as a tensor: S [rows] of (w; p).
 *
 * For passes that train a quantizer's parameters only: the layer takes w' as a constant and S as
 * what to differentiate, and no gradient of the weights is formed.  Comes after the quantizer was
 * applied: the state in the call's user data already holds the scale, nothing is computed twice.
 */
#include "trit/op.h"
#include "trit/quant.h"

static trit_status infer(const trit_call *c, trit_shape *out) {
    const trit_quant_state *s = c->user;
    if (!s)
        return trit_fail(TRIT_ERR_ARG, "%s: needs a quantizer: call q:scale_node(w)", c->op->name);
    const trit_quantizer *q = s->call.quantizer;
    if (!q->backward_scale || (q->scale_only && !q->scale_only(&s->call.args)))
        return trit_fail(TRIT_ERR_UNSUPPORTED,
                         "%s: with these options its parameters do not act through one scale",
                         q->name);
    if (!s->valid)
        return trit_fail(TRIT_ERR_STATE, "%s: has not been applied to weights yet", q->name);
    *out = (trit_shape){.ndim = 1, .dim = {s->call.rows.rows}};
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    const trit_quant_state *s = c->user;
    for (int64_t r = 0; r < s->call.rows.rows; r++) c->out->data[r] = s->call.scale[r];
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    const trit_quant_state *s = c->user;
    float *dlearn[TRIT_MAX_LEARN] = {NULL};
    const size_t bytes = (size_t)s->call.rows.rows * sizeof(double);
    double *G = trit_alloc(bytes);
    if (!G) return TRIT_ERR_MEM;
    trit_status status = TRIT_OK;
    for (int64_t r = 0; r < s->call.rows.rows; r++) G[r] = gy->data[r];
    for (int i = 1; i < c->n_in && status == TRIT_OK; i++) {
        if (!c->want[i]) continue;
        status = trit_grad_new(c, i, &gx[i]);
        if (status == TRIT_OK) dlearn[i - 1] = gx[i]->data;
    }
    if (status == TRIT_OK) status = s->call.quantizer->backward_scale(&s->call, G, dlearn);
    trit_free(G, bytes);
    return status;
}

static const trit_case cases[] = {{0}}; /* the quantizers have their own driver */

const trit_op trit_op_quantize_scale = {
    .name = "quantizer_scale",
    .doc = "q:scale_node(w) -> w', S\n"
           "The scale of a quantized weight, differentiable in the quantizer's parameters only.\n"
           "shapes:  w [...], its trainable parameters -> S [rows], rows = 1 or filters\n"
           "errors:  parameters that act through more than one scale\n",
    .operands = "w,p1?,p2?,p3?",
    .nograd = 1,
    .layout = TRIT_HWIO,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SURROGATE,
    .cases = cases,
};
