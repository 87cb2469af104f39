/*
 * pending.c - tensors described by how their rows are made, and computing them after all.
 */
#include "tensor/pending.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/tensor.h"

static bool fusion = true, asked;
static trit_tensor *first; /* all pending tensors, linked through pending->next */

bool trit_set_fusion(bool on) {
    const bool old = trit_fusion();
    fusion = on;
    return old;
}

bool trit_fusion(void) {
    if (!asked) {
        const char *wish = getenv("TRIT_FUSION");
        if (wish && strcmp(wish, "off") == 0) fusion = false;
        asked = true;
    }
    return fusion;
}

/* ------------------------------------------------------------------------ pins */

bool trit_tensor_pin(trit_tensor *t) {
    if (!t->storage->temporary || t->node) return false;
    t->storage->pins++;
    return true;
}

void trit_tensor_unpin(trit_tensor *t) {
    if (--t->storage->pins) return;
    if (t->storage->temporary && t->storage->left && trit_tensor_alive(t)) trit_tensor_drop(t);
}

/* ------------------------------------------------------------------------ making */

trit_status trit_pending_vectors(int64_t C, trit_tensor **out) {
    return trit_tensor_new(&(trit_shape){2, {ROWS_VECTORS, C}}, TRIT_ROW_MAJOR, out);
}

static const float *vector(const trit_tensor *vectors, unsigned has, int which) {
    if (!vectors) return NULL;
    return has >> which & 1 ? vectors->data + which * vectors->shape.dim[1] : NULL;
}

/* What ends a description. */
typedef struct {
    bool relu;
    trit_levels levels;
} ending;

static struct trit_pending *describe(trit_tensor *p, trit_tensor *q, trit_tensor *vectors,
                                     unsigned has, ending e) {
    struct trit_pending *d = calloc(1, sizeof *d);
    if (!d) {
        trit_fail(TRIT_ERR_MEM, "out of memory: no room for a tensor handle");
        return NULL;
    }
    d->rows = (trit_make){.C = p->shape.dim[1],
                          .p = p->data,
                          .q = q ? q->data : NULL,
                          .pm = vector(vectors, has, ROWS_PM),
                          .pa = vector(vectors, has, ROWS_PA),
                          .pb = vector(vectors, has, ROWS_PB),
                          .qm = vector(vectors, has, ROWS_QM),
                          .qa = vector(vectors, has, ROWS_QA),
                          .qb = vector(vectors, has, ROWS_QB),
                          .relu = e.relu,
                          .levels = e.levels};
    d->p = trit_tensor_retain(p);
    d->q = q ? trit_tensor_retain(q) : NULL;
    d->vectors = vectors ? trit_tensor_retain(vectors) : NULL;
    d->pinned_p = trit_tensor_pin(p);
    d->pinned_q = q && trit_tensor_pin(q);
    return d;
}

static void release(struct trit_pending *d) {
    if (d->pinned_p) trit_tensor_unpin(d->p);
    if (d->pinned_q) trit_tensor_unpin(d->q);
    trit_tensor_release(d->p);
    trit_tensor_release(d->q);
    trit_tensor_release(d->vectors);
    free(d);
}

/* A tensor of that shape with the description; takes `d` over. */
static trit_status described(struct trit_pending *d, const trit_shape *shape, trit_tensor **out) {
    *out = NULL;
    if (!d) return TRIT_ERR_MEM;
    trit_status status = trit_tensor_hollow(shape, TRIT_CHANNELS_LAST, out);
    if (status != TRIT_OK) {
        release(d);
        return status;
    }
    d->next = first;
    if (first) first->pending->before = *out;
    first = *out;
    (*out)->pending = d;
    return TRIT_OK;
}

static trit_status pending_new(trit_tensor *p, trit_tensor *q, trit_tensor *vectors, unsigned has,
                               ending e, trit_tensor **out) {
    return described(describe(p, q, vectors, has, e), &p->shape, out);
}

trit_status trit_pending_sparse(trit_tensor *p, const trit_shape *shape, int64_t stride,
                                trit_tensor **out) {
    struct trit_pending *d = describe(p, NULL, NULL, 0, (ending){0});
    if (d) {
        d->rows.C = shape->dim[1];
        d->rows.sparse = (trit_sparse){stride, shape->dim[2], shape->dim[3], p->shape.dim[1]};
    }
    return described(d, shape, out);
}

trit_status trit_pending_new(trit_tensor *p, trit_tensor *q, trit_tensor *vectors, unsigned has,
                             bool relu, trit_tensor **out) {
    return pending_new(p, q, vectors, has, (ending){.relu = relu}, out);
}

/* The same description with another end. */
static trit_status end_with(const struct trit_pending *d, ending e, trit_tensor **out) {
    const float *const vectors[] = {d->rows.pm, d->rows.pa, d->rows.pb,
                                    d->rows.qm, d->rows.qa, d->rows.qb};
    unsigned has = 0;
    for (int i = 0; i < ROWS_VECTORS; i++) has |= (unsigned)(vectors[i] != NULL) << i;
    return pending_new(d->p, d->q, d->vectors, has, e, out);
}

trit_status trit_pending_relu(const trit_tensor *t, trit_tensor **out) {
    return end_with(t->pending, (ending){.relu = true}, out);
}

trit_status trit_pending_levels(trit_tensor *t, trit_levels levels, trit_tensor **out) {
    const struct trit_pending *d = t->pending;
    if (d) return end_with(d, (ending){.relu = d->rows.relu, .levels = levels}, out);
    return pending_new(t, NULL, NULL, 0, (ending){.levels = levels}, out);
}

void trit_pending_free(trit_tensor *t) {
    struct trit_pending *d = t->pending;
    if (!d) return;
    if (d->next) d->next->pending->before = d->before;
    if (d->before)
        d->before->pending->next = d->next;
    else
        first = d->next;
    t->pending = NULL;
    release(d);
}

/* ------------------------------------------------------------------------ settling */

/* A gradient nobody else holds is overwritten: one block of memory less. */
static bool may_reuse(const struct trit_pending *d) {
    const trit_tensor *p = d->p;
    return !d->rows.sparse.stride && p->refs == 1 && p->storage->refs == 1 && !p->node &&
           trit_is_dense(p);
}

trit_status trit_tensor_settle(trit_tensor *t) {
    struct trit_pending *d = t->pending;
    if (!d) return TRIT_OK;
    if (!d->p->data || (d->q && !d->q->data))
        return trit_fail(TRIT_ERR_STATE,
                         "tensor %s has been released: a module's temporary ends with backward; "
                         "return it from the module or keep() it",
                         TRIT_TEXT(t));
    const int64_t pixels = d->rows.C ? trit_numel(t) / d->rows.C : 0;
    if (may_reuse(d) && trit_same_strides(d->p, t))
        trit_tensor_steal(t, d->p);
    else
        TRIT_TRY(trit_tensor_fill_hollow(t));
    trit_rows_make_all(&d->rows, pixels, t->data);
    trit_pending_free(t);
    return TRIT_OK;
}

static bool reads(const struct trit_pending *d, const trit_storage *s) {
    return d->p->storage == s || (d->q && d->q->storage == s);
}

trit_status trit_tensor_will_change(trit_tensor *t) {
    for (trit_tensor *reader = first, *next; reader; reader = next) {
        next = reader->pending->next;
        if (reads(reader->pending, t->storage)) TRIT_TRY(trit_tensor_settle(reader));
    }
    t->storage->changes++;
    return TRIT_OK;
}

bool trit_is_pending(const trit_tensor *t) { return t->pending != NULL; }

/* ------------------------------------------------------------------------ sums */

struct trit_sums *trit_sums_new(const trit_tensor *of, int64_t C) {
    struct trit_sums *s = calloc(1, sizeof *s + (size_t)(2 * C) * sizeof(double));
    if (!s) {
        trit_fail(TRIT_ERR_MEM, "out of memory: no room for a tensor's sums");
        return NULL;
    }
    s->of = of;
    s->C = C;
    return s;
}

void trit_tensor_set_sums(trit_tensor *t, struct trit_sums *sums) {
    free(t->sums);
    t->sums = sums;
    if (sums) sums->changes = t->storage->changes;
}

const struct trit_sums *trit_tensor_sums(const trit_tensor *t) {
    return t->sums && t->sums->changes == t->storage->changes ? t->sums : NULL;
}
