/*
 * backward.c - reverse-mode differentiation over the recorded calls.
 *
 * The nodes behind y are collected, sorted by the order they were made in, and visited from the
 * last to the first: then every consumer of a result has been visited before its maker.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/fuse.h"
#include "kernels/kernels.h"
#include "tensor/pending.h"

static int64_t next_order = 1;
static int64_t walk_number = 0;

void trit_node_clear(node *n) {
    /* The op of a function written in Lua is part of the call's user data, which goes now. */
    if (!n->spent) snprintf(n->name, sizeof n->name, "%s", n->call.op->name);
    trit_call_clear(&n->call);
    for (int i = 0; i < n->call.n_in; i++) {
        if (n->pinned >> i & 1) trit_tensor_unpin(n->source[i]);
        trit_tensor_release(n->source[i]);
        n->source[i] = NULL;
    }
    trit_tensor_release(n->gy);
    n->gy = NULL;
    n->pinned = 0;
    n->spent = true;
}

static void release_node(struct trit_node *base) {
    node *n = (node *)base;
    trit_node_clear(n);
    free(n);
}

node *trit_node_new(const trit_call *c, trit_tensor *const *source) {
    node *n = calloc(1, sizeof *n);
    if (!n) return NULL;
    n->base.release = release_node;
    n->order = next_order++;
    n->call = *c;
    for (int i = 0; i < c->n_in; i++) {
        if (!source[i]) continue;
        n->source[i] = trit_tensor_retain(source[i]);
        n->pinned |= (unsigned)trit_tensor_pin(source[i]) << i;
    }
    return n;
}

/* ---------------------------------------------------------- collecting nodes */

typedef struct {
    node **at;
    int64_t count, room;
} node_list;

static trit_status list_add(node_list *list, node *n) {
    if (list->count == list->room) {
        int64_t room = list->room ? 2 * list->room : 256;
        node **at = realloc(list->at, (size_t)room * sizeof *at);
        if (!at)
            return trit_fail(TRIT_ERR_MEM, "backward: out of memory for %lld nodes",
                             (long long)room);
        list->at = at;
        list->room = room;
    }
    list->at[list->count++] = n;
    return TRIT_OK;
}

static trit_status meet(node_list *list, trit_tensor *t) {
    node *n = t ? (node *)t->node : NULL;
    if (n && n->visited == walk_number) n->expected++;
    if (!n || n->visited == walk_number) return TRIT_OK;
    n->visited = walk_number;
    n->expected = 1;
    n->given = 0;
    n->masked = false;
    if (n->spent)
        return trit_fail(TRIT_ERR_STATE,
                         "backward: the graph behind %s (%s) was released by an earlier backward",
                         n->name, TRIT_TEXT(t));
    TRIT_TRY(list_add(list, n));
    n->call.out = trit_tensor_retain(t); /* until its visit is over: it owns the node */
    return TRIT_OK;
}

static int later_first(const void *a, const void *b) {
    int64_t x = (*(node *const *)a)->order, y = (*(node *const *)b)->order;
    return x < y ? 1 : x > y ? -1 : 0;
}

static trit_status collect(trit_tensor *y, node_list *list) {
    walk_number++;
    TRIT_TRY(meet(list, y));
    for (int64_t i = 0; i < list->count; i++) /* grows while we read it */
        for (int k = 0; k < list->at[i]->call.n_in; k++)
            if (list->at[i]->call.want[k]) TRIT_TRY(meet(list, list->at[i]->source[k]));
    qsort(list->at, (size_t)list->count, sizeof *list->at, later_first);
    return TRIT_OK;
}

/* ------------------------------------------------------------ adding gradients */

#define PIECE 65536 /* numbers of one unit */

typedef struct {
    float *y;
    const float *a, *b;
    int64_t n;
} add_job;

static void add_unit(void *context, int64_t unit, int worker) {
    const add_job *j = context;
    (void)worker;
    const int64_t from = unit * PIECE, n = j->n - from < PIECE ? j->n - from : PIECE;
    trit_kernels()->add(n, j->a + from, j->b + from, j->y + from);
}

static void add_run(void *context, int64_t n, float *const *p, const int64_t *s) {
    (void)context;
    for (int64_t i = 0; i < n; i++) p[0][i * s[0]] = p[1][i * s[1]] + p[2][i * s[2]];
}

static void add_into(trit_tensor *y, const trit_tensor *a, const trit_tensor *b) {
    if (trit_is_dense(y) && trit_same_strides(y, a) && trit_same_strides(y, b)) {
        add_job j = {y->data, a->data, b->data, trit_numel(y)};
        trit_parallel((j.n + PIECE - 1) / PIECE, add_unit, &j);
        return;
    }
    float *data[3] = {y->data, a->data, b->data};
    const int64_t *stride[3] = {y->stride, a->stride, b->stride};
    trit_walk(&y->shape, 3, data, stride, add_run, NULL);
}

/* sum += g; a sum that someone else also holds is replaced, not changed.  Takes g over. */
static trit_status accumulate(trit_tensor **sum, trit_tensor *g) {
    trit_status status = TRIT_OK;
    if (!*sum) {
        *sum = g;
        return TRIT_OK;
    }
    status = trit_tensor_settle(*sum);
    if (status == TRIT_OK) status = trit_tensor_settle(g);
    if (status != TRIT_OK) {
        trit_tensor_release(g);
        return status;
    }
    trit_tensor_set_sums(*sum, NULL);
    if ((*sum)->refs == 1 && (*sum)->storage->refs == 1) {
        add_into(*sum, *sum, g);
    } else {
        trit_tensor *fresh = NULL;
        status = trit_tensor_like(*sum, &fresh);
        if (status == TRIT_OK) {
            add_into(fresh, *sum, g);
            trit_tensor_release(*sum);
            *sum = fresh;
        }
    }
    trit_tensor_release(g);
    return status;
}

/* A leaf's gradient lives on in the script: it has the leaf's memory order and no other holder. */
static trit_status own_gradient(const trit_tensor *leaf, trit_tensor **g) {
    TRIT_TRY(trit_tensor_settle(*g));
    if ((*g)->refs == 1 && (*g)->storage->refs == 1 && trit_same_strides(*g, leaf)) return TRIT_OK;
    trit_tensor *fresh;
    trit_status status = trit_tensor_like(leaf, &fresh);
    if (status == TRIT_OK) trit_tensor_copy(fresh, *g);
    trit_tensor_release(*g);
    *g = status == TRIT_OK ? fresh : NULL;
    return status;
}

static trit_status give(trit_tensor *t, trit_tensor *g) {
    if (t->node) {
        ((node *)t->node)->given++;
        return accumulate(&((node *)t->node)->gy, g);
    }
    if (!t->requires_grad) {
        trit_tensor_release(g);
        return TRIT_OK;
    }
    trit_status status = own_gradient(t, &g);
    if (status == TRIT_OK) return accumulate(&t->grad, g);
    trit_tensor_release(g);
    return status;
}

/* ------------------------------------------------------------------- the walk */

static trit_status check_shapes(const node *n, trit_tensor *const *gx) {
    for (int i = 0; i < n->call.n_in; i++)
        if (gx[i] && !trit_same_shape(gx[i], n->source[i]))
            return trit_fail(TRIT_ERR_SHAPE,
                             "%s: backward gave a gradient %s for operand %d of shape %s",
                             n->call.op->name, TRIT_TEXT(gx[i]), i + 1, TRIT_TEXT(n->source[i]));
    return TRIT_OK;
}

/* Ops see the gradient in the layout of their result. */
static trit_status bring_gradient(node *n, trit_tensor **gy) {
    if (!n->call.op->takes_pending_grad) TRIT_TRY(trit_tensor_settle(n->gy));
    if (n->call.op->strided || trit_same_strides(n->gy, n->call.out)) {
        *gy = trit_tensor_retain(n->gy);
    } else {
        TRIT_TRY(trit_tensor_like(n->call.out, gy));
        trit_tensor_copy(*gy, n->gy);
    }
    trit_tensor_release(n->gy); /* so that an op handing gy on does not look shared */
    n->gy = NULL;
    return TRIT_OK;
}

/* A rectifier whose gradient was finished on the way hands it on. */
static trit_status run_backward(node *n, trit_tensor *gy, trit_tensor **gx) {
    if (n->masked) {
        gx[0] = trit_tensor_retain(gy);
        return TRIT_OK;
    }
    const double began = trit_profile_begin();
    trit_status status = n->call.op->backward(&n->call, gy, gx);
    trit_profile_end(began, n->call.op->name, 'b');
    return status == TRIT_OK ? check_shapes(n, gx) : status;
}

static trit_status visit(node *n) {
    trit_tensor *gx[TRIT_MAX_IN] = {0}, *gy = NULL;
    trit_fusion_plan plan = {.operand = -1};
    struct trit_sums *sums = NULL;
    const trit_op *op = n->call.op;
    if (!op->backward)
        return trit_fail(TRIT_ERR_UNSUPPORTED, "%s: has no gradient; detach its input", op->name);
    TRIT_TRY(bring_gradient(n, &gy));
    trit_status status = trit_fuse_plan(n, &plan, &sums);
    n->call.fusion = sums ? &plan : NULL;
    if (status == TRIT_OK) status = run_backward(n, gy, gx);
    n->call.fusion = NULL;
    trit_tensor_release(gy);
    for (int i = 0; i < n->call.n_in; i++) {
        if (!gx[i]) continue;
        if (status != TRIT_OK) {
            trit_tensor_release(gx[i]);
        } else if (plan.done && i == plan.operand) {
            trit_fuse_give(&plan, sums, gx[i]);
            sums = NULL;
        } else {
            status = give(n->source[i], gx[i]);
        }
    }
    free(sums);
    return status;
}

/* A view's memory is its source's: nodes between the two may still need it. */
static bool is_view(const node *n) {
    for (int i = 0; i < n->call.n_in; i++)
        if (n->source[i] && n->source[i]->storage == n->call.out->storage) return true;
    return false;
}

/* Nothing needs the result any more once its maker's backward has run. */
static void finish(node *n) {
    trit_tensor *out = n->call.out;
    const bool drop = out->storage->temporary && trit_tensor_alive(out) && !is_view(n);
    n->call.out = NULL;
    if (drop) trit_tensor_drop(out);
    trit_node_clear(n);
    trit_tensor_release(out); /* may free the node */
}

static trit_status seed(trit_tensor *y, const trit_tensor *gy, trit_tensor **out) {
    if (!trit_needs_grad(y))
        return trit_fail(TRIT_ERR_STATE,
                         "backward: %s does not depend on anything that requires a "
                         "gradient",
                         TRIT_TEXT(y));
    if (gy && !trit_same_shape(y, gy))
        return trit_fail(TRIT_ERR_SHAPE, "backward: gradient %s for a result of shape %s",
                         TRIT_TEXT(gy), TRIT_TEXT(y));
    if (!gy && trit_numel(y) != 1)
        return trit_fail(TRIT_ERR_SHAPE,
                         "backward: %s has more than one element: give its gradient", TRIT_TEXT(y));
    TRIT_TRY(trit_tensor_like(y, out));
    if (gy) return trit_tensor_copy(*out, gy);
    trit_tensor_fill(*out, 1.0f);
    return TRIT_OK;
}

trit_status trit_backward(trit_tensor *y, const trit_tensor *gy) {
    trit_tensor *g = NULL;
    TRIT_TRY(seed(y, gy, &g));
    node_list list = {0};
    trit_status status = collect(y, &list);
    bool old = trit_set_grad_enabled(false);
    if (status == TRIT_OK)
        status = give(y, g);
    else
        trit_tensor_release(g);
    for (int64_t i = 0; i < list.count; i++) {
        node *n = list.at[i];
        if (status == TRIT_OK && n->gy) status = visit(n);
        finish(n);
    }
    free(list.at);
    trit_set_grad_enabled(old);
    return status;
}
