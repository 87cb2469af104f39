/*
 * shape.c - dimensions, strides and layouts.
 */
#include <stdio.h>
#include <string.h>

#include "trit/tensor.h"

/* Order of the dimensions in memory, slowest first. */
static void memory_order(const trit_shape *s, trit_layout layout, int order[TRIT_MAX_DIM]) {
    static const int nhwc[4] = {0, 2, 3, 1}, hwio[4] = {2, 3, 1, 0};
    for (int i = 0; i < s->ndim; i++) order[i] = i;
    if (s->ndim == 4 && layout == TRIT_CHANNELS_LAST) memcpy(order, nhwc, sizeof nhwc);
    if (s->ndim == 4 && layout == TRIT_HWIO) memcpy(order, hwio, sizeof hwio);
}

int64_t trit_layout_strides(const trit_shape *shape, trit_layout layout, int64_t *stride) {
    int order[TRIT_MAX_DIM];
    memory_order(shape, layout, order);
    int64_t n = 1;
    for (int i = shape->ndim - 1; i >= 0; i--) {
        int64_t d = shape->dim[order[i]];
        stride[order[i]] = n;
        if (d < 0 || (d && n > (INT64_C(1) << 44) / d)) return -1;
        n *= d ? d : 1;
    }
    for (int i = 0; i < shape->ndim; i++)
        if (shape->dim[i] == 0) return 0;
    return n;
}

const char *trit_shape_text(const trit_shape *shape, char *buffer, size_t size) {
    size_t used = (size_t)snprintf(buffer, size, "f32[");
    for (int i = 0; i < shape->ndim && used < size; i++)
        used += (size_t)snprintf(buffer + used, size - used, "%s%lld", i ? "," : "",
                                 (long long)shape->dim[i]);
    if (used < size) snprintf(buffer + used, size - used, "]");
    return buffer;
}

int64_t trit_numel(const trit_tensor *t) {
    int64_t n = 1;
    for (int i = 0; i < t->shape.ndim; i++) n *= t->shape.dim[i];
    return n;
}

bool trit_same_shape(const trit_tensor *a, const trit_tensor *b) {
    if (a->shape.ndim != b->shape.ndim) return false;
    for (int i = 0; i < a->shape.ndim; i++)
        if (a->shape.dim[i] != b->shape.dim[i]) return false;
    return true;
}

static bool strides_agree(const trit_shape *s, const int64_t *a, const int64_t *b) {
    for (int i = 0; i < s->ndim; i++)
        if (s->dim[i] > 1 && a[i] != b[i]) return false;
    return true;
}

bool trit_same_strides(const trit_tensor *a, const trit_tensor *b) {
    return trit_same_shape(a, b) && strides_agree(&a->shape, a->stride, b->stride);
}

bool trit_has_layout(const trit_tensor *t, trit_layout layout) {
    int64_t stride[TRIT_MAX_DIM];
    int64_t n = trit_layout_strides(&t->shape, layout, stride);
    return n <= 1 || strides_agree(&t->shape, t->stride, stride);
}

bool trit_is_dense(const trit_tensor *t) {
    /* Sort the dimensions longer than 1 by stride; each must continue the one before. */
    int order[TRIT_MAX_DIM], n = 0;
    for (int i = 0; i < t->shape.ndim; i++) {
        if (t->shape.dim[i] == 0) return true;
        if (t->shape.dim[i] == 1) continue;
        int k = n++;
        for (; k > 0 && t->stride[order[k - 1]] > t->stride[i]; k--) order[k] = order[k - 1];
        order[k] = i;
    }
    int64_t expected = 1;
    for (int k = 0; k < n; k++) {
        if (t->stride[order[k]] != expected) return false;
        expected *= t->shape.dim[order[k]];
    }
    return true;
}
