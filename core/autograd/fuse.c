/*
 * fuse.c - which gradients can be finished where they are made.
 *
 * A convolution's data gradient goes to a rectifier, and through it to a batch normalisation:
 *
 *   z = max(0, bn(y) [+ x])  ->  conv           gradient of z: dx of conv [+ others]
 *
 * When every other gradient of z has come already, the convolution's rows of dx can, while they are
 * in cache, be added to those, cut where z <= 0, and summed the way the normalisation needs: three
 * passes over memory less.  Where the convolution's input is quantized to levels, its gradient is
 * cut where z lies above the highest of them before it joins the others.  This file finds that
 * situation; the op does the work (trit_take).
 */
#include "autograd/fuse.h"

#include <stdlib.h>

#include "tensor/pending.h"

/* The maker of operand i when only this gradient of it is missing. */
static node *last_missing(const node *n, int i) {
    const trit_tensor *t = n->source[i];
    if (!n->call.want[i] || !t || !t->node || t != n->call.in[i]) return NULL;
    node *maker = (node *)t->node;
    return maker->expected - maker->given == 1 ? maker : NULL;
}

/* The rectifier whose last missing gradient is that of operand i, levels between passed by. */
static node *rectifier(const node *n, int i, trit_fusion_plan *plan) {
    node *r = n->call.op->takes_rows >> i & 1 ? last_missing(n, i) : NULL;
    plan->past = NULL;
    plan->take.capped = false;
    if (r && r->call.op->caps && !r->gy) {
        plan->past = r;
        plan->take.capped = true;
        r->call.op->caps(&r->call, &plan->take.top);
        r = last_missing(r, 0);
    }
    return r && r->call.op->rectifies ? r : NULL;
}

/* Does what comes behind the rectifier sum its gradient over a y?  An addition hands it on. */
static bool find_sums(const node *r, const trit_tensor **y, const float **mean) {
    const trit_tensor *t = r->source[0];
    const node *s = t ? (const node *)t->node : NULL;
    if (!s) return false;
    if (s->call.op->gradient_sums) return s->call.op->gradient_sums(&s->call, y, mean);
    for (int k = 0; s->call.op->passes && k < s->call.n_in; k++) {
        const trit_tensor *u = s->source[k];
        const node *v = u && trit_same_shape(u, t) ? (const node *)u->node : NULL;
        if (v && v->call.op->gradient_sums) return v->call.op->gradient_sums(&v->call, y, mean);
    }
    return false;
}

/* Which values stay: by what the rectifier's result is made of, or by the result. */
static trit_status plan_mask(trit_tensor *z, trit_take *take) {
    const struct trit_pending *d = z->pending;
    if (d && !d->rows.q && d->rows.pm && d->rows.p == take->y) {
        take->ya = d->rows.pa;
        take->yb = d->rows.pb;
        return TRIT_OK;
    }
    TRIT_TRY(trit_tensor_settle(z));
    take->z = z->data;
    return TRIT_OK;
}

static trit_status plan_add(node *r, const trit_tensor *like, trit_take *take, bool *fits) {
    if (!r->gy) return TRIT_OK;
    const struct trit_pending *d = r->gy->pending;
    if (d && d->rows.sparse.stride && !take->capped) {
        take->add = d->rows.p;
        take->sparse = d->rows.sparse;
        return TRIT_OK;
    }
    TRIT_TRY(trit_tensor_settle(r->gy));
    *fits = trit_same_strides(r->gy, like);
    take->add = r->gy->data;
    return TRIT_OK;
}

trit_status trit_fuse_plan(const node *n, trit_fusion_plan *plan, struct trit_sums **sums) {
    if (!n->call.op->takes_rows || !trit_fusion()) return TRIT_OK;
    for (int i = 0; i < n->call.n_in; i++) {
        node *r = rectifier(n, i, plan);
        if (!r) continue;
        trit_tensor *z = r->call.out;
        const trit_tensor *y = NULL;
        const float *mean = NULL;
        bool fits = trit_has_layout(z, TRIT_CHANNELS_LAST) && z->shape.ndim == 4;
        plan->take.C = z->shape.dim[1];
        if (find_sums(r, &y, &mean) && trit_same_shape(y, z) && trit_same_strides(y, z)) {
            plan->take.y = y->data;
            plan->take.ym = mean;
        } else {
            y = NULL;
        }
        if (fits) TRIT_TRY(plan_add(r, z, &plan->take, &fits));
        if (!fits) continue;
        TRIT_TRY(plan_mask(z, &plan->take));
        *sums = trit_sums_new(y, plan->take.C);
        if (!*sums) return TRIT_ERR_MEM;
        (*sums)->mean = plan->take.ym;
        plan->operand = i;
        plan->to = r;
        plan->sums = (*sums)->v;
        return TRIT_OK;
    }
    return TRIT_OK;
}

void trit_fuse_give(const trit_fusion_plan *plan, struct trit_sums *sums, trit_tensor *gx) {
    node *r = plan->to, *past = plan->past;
    if (past) past->given++;
    trit_tensor_release(r->gy);
    r->gy = gx;
    r->given++;
    r->masked = true;
    trit_tensor_set_sums(gx, sums);
    if (!sums->of) trit_tensor_set_sums(gx, NULL);
}
