/*
 * op_quantize.c - a weight quantizer on the tape: w' = q(w; p).
 *
 * The call's user data is a trit_quant_state, made by whoever applies the quantizer; forward fills
 * it, backward reads it.  The quantizer's own file has the equations.
 */
#include "tensor/tensor.h"
#include "trit/op.h"
#include "trit/quant.h"

/* The quantizer's working set with this call's operands in it. */
static trit_quant_call *working_set(const trit_call *c) {
    trit_quant_state *s = c->user;
    s->call.w = c->in[0]->data;
    for (int k = 0; k < trit_quant_learn_count(s->call.quantizer); k++)
        s->call.learn[k] = c->in[1 + k]->data;
    return &s->call;
}

static trit_status infer(const trit_call *c, trit_shape *out) {
    const trit_quant_state *s = c->user;
    if (!s)
        return trit_fail(TRIT_ERR_ARG, "%s: needs a quantizer: call the quantizer itself, q(w)",
                         c->op->name);
    const trit_quantizer *q = s->call.quantizer;
    for (int k = 0; k < trit_quant_learn_count(q); k++) {
        const trit_shape want = trit_quant_learn_shape(q, &s->call.args, c->in[0], k);
        const trit_tensor *p = k + 1 < c->n_in ? c->in[k + 1] : NULL;
        char text[96];
        if (!p)
            return trit_fail(TRIT_ERR_ARG, "%s: parameter %s is missing", q->name,
                             q->learn[k].name);
        trit_tensor like = {.shape = want};
        if (!trit_same_shape(p, &like))
            return trit_fail(TRIT_ERR_SHAPE, "%s: parameter %s is %s but weights %s need %s",
                             q->name, q->learn[k].name, TRIT_TEXT(p), TRIT_TEXT(c->in[0]),
                             trit_shape_text(&want, text, sizeof text));
    }
    *out = c->in[0]->shape;
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    trit_quant_state *s = c->user;
    /* The promise is of the last forward's weights: not of others that share the quantizer, nor of
     * a layer's that has not run since they changed. */
    const trit_storage *w = c->in[0]->storage;
    s->call.same = s->call.same && s->valid && s->call.w == c->in[0]->data &&
                   s->serial == w->serial && s->changes == w->changes;
    s->serial = w->serial;
    s->changes = w->changes;
    s->valid = false;
    TRIT_TRY(trit_quant_state_fit(s, c->in[0]));
    trit_quant_call *q = working_set(c);
    q->wq = c->out->data;
    TRIT_TRY(q->quantizer->forward(q));
    s->valid = true;
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    trit_quant_call *q = working_set(c);
    float *dw = NULL, *dlearn[TRIT_MAX_LEARN] = {NULL};
    for (int i = 0; i < c->n_in; i++) {
        if (!c->want[i]) continue;
        TRIT_TRY(trit_grad_new(c, i, &gx[i]));
        if (i == 0)
            dw = gx[0]->data;
        else
            dlearn[i - 1] = gx[i]->data;
    }
    return trit_quant_backward(q, gy->data, dw, dlearn);
}

static const trit_case cases[] = {{0}}; /* the quantizers have their own driver */

const trit_op trit_op_quantize = {
    .name = "apply_quantizer",
    .doc = "q(w) -> w'\n"
           "Apply a quantizer to weights; see trit.help of the quantizer.\n"
           "shapes:  w [...], its trainable parameters -> w' [...]\n"
           "errors:  parameters that do not fit the weights; the quantizer's own\n",
    .operands = "w,p1?,p2?,p3?",
    .layout = TRIT_HWIO,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SURROGATE,
    .cases = cases,
};
