/*
 * tensor.c - handles and views over counted storage.
 *
 * A storage is one block of the arena.  Its reference count is that of the handles on it; the
 * tape may give the block back early (trit_tensor_drop): then every handle on it has data = NULL
 * and using it is an error, not a crash.  A pending tensor has a storage without a block
 * (pending.h).
 */
#include "tensor/tensor.h"

#include "tensor/pending.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FEW_CHANNELS 4

trit_status trit_tensor_view(const trit_tensor *t, const trit_shape *shape, const int64_t *stride,
                             int64_t offset, trit_tensor **out) {
    TRIT_TRY(trit_tensor_settle((trit_tensor *)t));
    trit_tensor *v = calloc(1, sizeof *v);
    if (!v) return trit_fail(TRIT_ERR_MEM, "out of memory: no room for a tensor handle");
    v->refs = 1;
    v->shape = *shape;
    memcpy(v->stride, stride, (size_t)shape->ndim * sizeof *stride);
    v->data = t->data ? t->data + offset : NULL;
    v->storage = t->storage;
    v->storage->refs++; /* head handles of trit_tensor_new do not count */
    *out = v;
    return TRIT_OK;
}

trit_status trit_tensor_hollow(const trit_shape *shape, trit_layout layout, trit_tensor **out) {
    char text[96];
    if (shape->ndim < 0 || shape->ndim > TRIT_MAX_DIM)
        return trit_fail(TRIT_ERR_SHAPE, "tensor: %d dimensions, at most %d are possible",
                         shape->ndim, TRIT_MAX_DIM);
    trit_tensor head = {0};
    int64_t n = trit_layout_strides(shape, layout, head.stride);
    if (n < 0)
        return trit_fail(TRIT_ERR_SHAPE, "tensor: shape %s is not possible",
                         trit_shape_text(shape, text, sizeof text));
    static _Atomic uint64_t made;
    trit_storage *s = calloc(1, sizeof *s);
    if (!s) return trit_fail(TRIT_ERR_MEM, "out of memory: no room for a tensor handle");
    s->serial = ++made;
    s->bytes = (size_t)n * sizeof(float);
    head.storage = s;
    trit_status status = trit_tensor_view(&head, shape, head.stride, 0, out);
    if (status != TRIT_OK) free(s);
    return status;
}

trit_status trit_tensor_fill_hollow(trit_tensor *t) {
    trit_storage *s = t->storage;
    s->block = trit_alloc(s->bytes);
    if (!s->block) return trit_fail_within(TRIT_ERR_MEM, "tensor %s", TRIT_TEXT(t));
    t->data = s->block;
    return TRIT_OK;
}

void trit_tensor_steal(trit_tensor *t, trit_tensor *from) {
    t->storage->block = from->storage->block;
    t->data = t->storage->block;
    from->storage->block = NULL;
    from->data = NULL;
}

trit_status trit_tensor_new(const trit_shape *shape, trit_layout layout, trit_tensor **out) {
    TRIT_TRY(trit_tensor_hollow(shape, layout, out));
    trit_status status = trit_tensor_fill_hollow(*out);
    if (status != TRIT_OK) {
        trit_tensor_release(*out);
        *out = NULL;
    }
    return status;
}

trit_status trit_tensor_zeros(const trit_shape *shape, trit_layout layout, trit_tensor **out) {
    TRIT_TRY(trit_tensor_new(shape, layout, out));
    memset((*out)->data, 0, (*out)->storage->bytes);
    return TRIT_OK;
}

trit_status trit_tensor_like(const trit_tensor *t, trit_tensor **out) {
    TRIT_TRY(trit_tensor_new(&t->shape, TRIT_ROW_MAJOR, out));
    if (trit_is_dense(t)) memcpy((*out)->stride, t->stride, sizeof t->stride);
    return TRIT_OK;
}

trit_status trit_tensor_clone(const trit_tensor *t, trit_tensor **out) {
    TRIT_TRY(trit_tensor_like(t, out));
    return trit_tensor_copy(*out, t);
}

trit_status trit_tensor_as(trit_tensor *t, trit_layout layout, trit_tensor **out) {
    if (trit_has_layout(t, layout)) {
        *out = trit_tensor_retain(t);
        return TRIT_OK;
    }
    TRIT_TRY(trit_tensor_new(&t->shape, layout, out));
    return trit_tensor_copy(*out, t);
}

trit_tensor *trit_tensor_retain(trit_tensor *t) {
    t->refs++;
    return t;
}

static void release_storage(trit_storage *s) {
    if (--s->refs > 0) return;
    trit_free(s->block, s->bytes);
    free(s);
}

void trit_tensor_release(trit_tensor *t) {
    if (!t || --t->refs > 0) return;
    trit_pending_free(t);
    trit_tensor_set_sums(t, NULL);
    trit_tensor_release(t->grad);
    if (t->node) t->node->release(t->node);
    release_storage(t->storage);
    free(t);
}

void trit_tensor_drop(trit_tensor *t) {
    trit_pending_free(t);
    trit_free(t->storage->block, t->storage->bytes);
    t->storage->block = NULL;
    t->data = NULL;
}

size_t trit_storage_bytes(const trit_tensor *t) { return t->storage->bytes; }

bool trit_tensor_alive(const trit_tensor *t) { return t->storage->block || t->pending; }

/* ------------------------------------------------------------ moving numbers */

static void fill_run(void *context, int64_t n, float *const *p, const int64_t *s) {
    const float value = *(const float *)context;
    for (int64_t i = 0; i < n; i++) p[0][i * s[0]] = value;
}

void trit_tensor_fill(trit_tensor *t, float value) {
    trit_tensor_set_sums(t, NULL);
    float *data[1] = {t->data};
    const int64_t *stride[1] = {t->stride};
    trit_walk(&t->shape, 1, data, stride, fill_run, &value);
}

static void copy_run(void *context, int64_t n, float *const *p, const int64_t *s) {
    (void)context;
    if (s[0] == 1 && s[1] == 1)
        memcpy(p[0], p[1], (size_t)n * sizeof(float));
    else
        for (int64_t i = 0; i < n; i++) p[0][i * s[0]] = p[1][i * s[1]];
}

/* Pictures between layouts: channel after channel, for the runs along a pixel are too short. */
static void copy_channels(trit_tensor *dst, const trit_tensor *src) {
    trit_shape one = dst->shape;
    one.dim[1] = 1;
    const int64_t *stride[2] = {dst->stride, src->stride};
    for (int64_t c = 0; c < dst->shape.dim[1]; c++) {
        float *data[2] = {dst->data + c * dst->stride[1], src->data + c * src->stride[1]};
        trit_walk(&one, 2, data, stride, copy_run, NULL);
    }
}

trit_status trit_tensor_copy(trit_tensor *dst, const trit_tensor *src) {
    if (!trit_same_shape(dst, src))
        return trit_fail(TRIT_ERR_SHAPE, "copy: shapes differ: to %s, from %s", TRIT_TEXT(dst),
                         TRIT_TEXT(src));
    TRIT_TRY(trit_tensor_settle(dst));
    TRIT_TRY(trit_tensor_settle((trit_tensor *)src));
    trit_tensor_set_sums(dst, NULL);
    float *data[2] = {dst->data, src->data};
    const int64_t *stride[2] = {dst->stride, src->stride};
    if (dst->shape.ndim == 4 && dst->shape.dim[1] <= FEW_CHANNELS && dst->stride[1] == 1 &&
        src->stride[1] != 1)
        copy_channels(dst, src);
    else
        trit_walk(&dst->shape, 2, data, stride, copy_run, NULL);
    return TRIT_OK;
}
