/*
 * apply.c - one way to run an op: check, bring operands into its layout, infer the shape, run,
 * and record the call when a gradient may come.
 */
#include <stdlib.h>
#include <string.h>

#include "autograd/node.h"
#include "autograd/scope.h"

static bool grad_enabled = true;

bool trit_grad_enabled(void) { return grad_enabled; }

bool trit_set_grad_enabled(bool on) {
    bool old = grad_enabled;
    grad_enabled = on;
    return old;
}

bool trit_needs_grad(const trit_tensor *t) { return t->requires_grad || t->node != NULL; }

trit_status trit_detach(const trit_tensor *t, trit_tensor **out) {
    return trit_tensor_view(t, &t->shape, t->stride, 0, out);
}

/* Operand i's name in "x,w,b?"; `optional` tells of a trailing `?`, and "..." repeats. */
static const char *operand_name(const char *operands, int i, int *length, bool *optional) {
    const char *p = operands;
    for (int k = 0;; k++) {
        int len = (int)strcspn(p, ",");
        bool repeats = len >= 3 && !strncmp(p + len - 3, "...", 3);
        if (k == i || repeats) {
            *optional = p[len - 1] == '?' || (repeats && i > k);
            *length = repeats ? len - 3 : len - (p[len - 1] == '?');
            return p;
        }
        if (!p[len]) return NULL;
        p += len + 1;
    }
}

static trit_status check_operands(const trit_op *op, trit_tensor *const *in, int n_in) {
    int len;
    bool optional;
    for (int i = 0; i < TRIT_MAX_IN; i++) {
        const char *name = operand_name(op->operands, i, &len, &optional);
        bool given = i < n_in && in[i];
        if (!name && given)
            return trit_fail(TRIT_ERR_ARG, "%s: takes (%s), got %d operands", op->name,
                             op->operands, n_in);
        if (!name) return TRIT_OK;
        if (!given && !optional)
            return trit_fail(TRIT_ERR_ARG, "%s: operand %.*s is missing; it takes (%s)", op->name,
                             len, name, op->operands);
        if (given && !trit_tensor_alive(in[i]))
            return trit_fail(
                TRIT_ERR_STATE,
                "%s: operand %.*s %s has been released: a module's temporary ends with "
                "backward; return it from the module or keep() it",
                op->name, len, name, TRIT_TEXT(in[i]));
    }
    return n_in <= TRIT_MAX_IN
               ? TRIT_OK
               : trit_fail(TRIT_ERR_ARG, "%s: at most %d operands", op->name, TRIT_MAX_IN);
}

static trit_layout layout_of_operand(const trit_op *op, int i) {
    return i == 1 && op->weight_is_hwio ? TRIT_HWIO : op->layout;
}

static trit_status bring_operands(trit_call *c, trit_tensor *const *in) {
    for (int i = 0; i < c->n_in; i++) {
        if (!in[i]) continue;
        if (!(c->op->takes_pending >> i & 1)) TRIT_TRY(trit_tensor_settle(in[i]));
        if (c->op->strided)
            c->in[i] = trit_tensor_retain(in[i]);
        else
            TRIT_TRY(trit_tensor_as(in[i], layout_of_operand(c->op, i), &c->in[i]));
    }
    return TRIT_OK;
}

/* A strided op's result takes the memory order of an operand of its shape. */
static trit_status make_result(trit_call *c, const trit_shape *shape) {
    for (int i = 0; c->op->strided && i < c->n_in; i++) {
        const trit_tensor *t = c->in[i];
        if (!t || !trit_is_dense(t) || t->shape.ndim != shape->ndim) continue;
        if (memcmp(t->shape.dim, shape->dim, (size_t)shape->ndim * sizeof *shape->dim)) continue;
        return trit_tensor_like(t, &c->out);
    }
    return trit_tensor_new(shape, c->op->layout, &c->out);
}

static void release_operands(trit_call *c) {
    for (int i = 0; i < c->n_in; i++) trit_tensor_release(c->in[i]);
    memset(c->in, 0, sizeof c->in);
}

void trit_call_clear(trit_call *c) {
    release_operands(c);
    for (int i = 0; i < TRIT_MAX_SAVED; i++) trit_tensor_release(c->saved[i]);
    memset(c->saved, 0, sizeof c->saved);
    if (c->release_user) c->release_user(c->user);
    c->release_user = NULL;
    c->user = NULL;
}

/* Inside a module the result may be described only: the next op computes it, or makes its rows. */
static trit_status describe(trit_call *c, trit_tensor *const *in, bool *done) {
    trit_shape shape = {0};
    if (!c->op->describe || !trit_scope_open() || !trit_fusion()) return TRIT_OK;
    for (int i = 0; i < c->n_in; i++) c->in[i] = in[i] ? trit_tensor_retain(in[i]) : NULL;
    TRIT_TRY(c->op->infer(c, &shape));
    TRIT_TRY(c->op->describe(c, done));
    if (*done)
        trit_scope_note(c->out);
    else
        release_operands(c);
    return TRIT_OK;
}

static trit_status run(trit_call *c, trit_tensor *const *in) {
    trit_shape shape = {0};
    bool done = false;
    TRIT_TRY(describe(c, in, &done));
    if (done) return TRIT_OK;
    TRIT_TRY(bring_operands(c, in));
    TRIT_TRY(c->op->infer(c, &shape));
    if (!c->op->makes_out) {
        TRIT_TRY(make_result(c, &shape));
        trit_scope_note(c->out);
    }
    return c->op->forward(c);
}

static bool mark_wanted(trit_call *c, trit_tensor *const *in) {
    for (int i = 0; i < c->n_in; i++) {
        c->want[i] = grad_enabled && in[i] && !(c->op->nograd >> i & 1) && trit_needs_grad(in[i]);
        c->training |= c->want[i];
    }
    return c->training;
}

trit_status trit_apply(const trit_op *op, trit_tensor *const *in, int n_in, const trit_args *args,
                       void *user, void (*release_user)(void *), trit_tensor **out) {
    trit_call c = {.op = op, .n_in = n_in, .user = user, .release_user = release_user};
    trit_status status = check_operands(op, in, n_in);
    if (status != TRIT_OK) {
        c.n_in = 0;
        trit_call_clear(&c);
        return status;
    }
    if (args)
        c.args = *args;
    else
        trit_args_default(op->params, &c.args);
    mark_wanted(&c, in);
    const double began = trit_profile_begin();
    status = run(&c, in);
    trit_profile_end(began, op->name, 'f');
    if (status == TRIT_OK && c.training) {
        node *n = trit_node_new(&c, in);
        if (!n) {
            status = trit_fail(TRIT_ERR_MEM, "%s: out of memory for the tape", op->name);
        } else {
            c.out->node = &n->base;
            *out = c.out;
            return TRIT_OK;
        }
    }
    trit_call_clear(&c);
    if (status == TRIT_OK)
        *out = c.out;
    else
        trit_tensor_release(c.out);
    return status;
}
