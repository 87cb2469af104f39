/*
 * tensor.h - float32 tensors: a handle (shape and strides) over counted storage.
 *
 * The interface speaks N,C,H,W for images and O,I,kh,kw for convolution weights.  In memory
 * images are kept channels-last and weights H,W,I,O: the strides say so, the shape does not.
 */
#ifndef TRIT_TENSOR_H
#define TRIT_TENSOR_H

#include "trit/base.h"

#define TRIT_MAX_DIM 8

typedef enum {
    TRIT_ROW_MAJOR = 0, /* last dimension fastest                                  */
    TRIT_CHANNELS_LAST, /* 4-D images [N,C,H,W] stored N,H,W,C; else row-major       */
    TRIT_HWIO,          /* 4-D conv weights [O,I,kh,kw] stored kh,kw,I,O; else row-major */
} trit_layout;

typedef struct {
    int ndim;
    int64_t dim[TRIT_MAX_DIM];
} trit_shape;

struct trit_node;    /* autograd: how this tensor came about */
struct trit_pending; /* how its values are made, when they are not there yet */
struct trit_sums;    /* sums of its values that were left with it */
typedef struct trit_storage trit_storage;

typedef struct trit_tensor {
    int refs;
    trit_shape shape;
    int64_t stride[TRIT_MAX_DIM]; /* in elements */
    float *data; /* first element; NULL once the storage was released, and while pending */
    trit_storage *storage;
    struct trit_pending *pending; /* NULL: the values are there */
    struct trit_sums *sums;       /* NULL: none */
    bool requires_grad;           /* a leaf that collects its gradient */
    struct trit_tensor *grad;     /* of a leaf, after backward; owned; NULL = none yet */
    struct trit_node *node;       /* owned by the tape; NULL for leaves and constants */
} trit_tensor;

/* Errors: more than TRIT_MAX_DIM dimensions, a negative one, size overflow, no memory. */
trit_status trit_tensor_new(const trit_shape *shape, trit_layout layout, trit_tensor **out);
trit_status trit_tensor_zeros(const trit_shape *shape, trit_layout layout, trit_tensor **out);
/* Same shape and, when `t` is dense, the same strides; content undefined. */
trit_status trit_tensor_like(const trit_tensor *t, trit_tensor **out);
trit_status trit_tensor_clone(const trit_tensor *t, trit_tensor **out);
/* Another handle on the same storage; a pending tensor is settled first. */
trit_status trit_tensor_view(const trit_tensor *t, const trit_shape *shape, const int64_t *stride,
                             int64_t offset, trit_tensor **out);
/* `t` itself (+1 reference) when its memory already has `layout`, else a copy that has. */
trit_status trit_tensor_as(trit_tensor *t, trit_layout layout, trit_tensor **out);
trit_status trit_tensor_copy(trit_tensor *dst,
                             const trit_tensor *src); /* same shape, any strides */
void trit_tensor_fill(trit_tensor *t, float value);   /* of a settled tensor */

/*
 * Inside a module's call some ops describe their result instead of computing it, so that the next
 * one can do both in a single pass (core/tensor/pending.h).  Settle computes it; whoever reads
 * `data` of a tensor that an op may have made calls this first.  Errors: no memory.
 */
trit_status trit_tensor_settle(trit_tensor *t);
bool trit_is_pending(const trit_tensor *t);
/* To be called before the values of `t` are changed in place: settles what is described by them. */
trit_status trit_tensor_will_change(trit_tensor *t);
/* Describing may be switched off (returns the old setting); also by TRIT_FUSION=off. */
bool trit_set_fusion(bool on);
bool trit_fusion(void);

trit_tensor *trit_tensor_retain(trit_tensor *t);
void trit_tensor_release(trit_tensor *t); /* NULL is fine */
/* false once the tape took the memory back (a module's temporary after backward) */
bool trit_tensor_alive(const trit_tensor *t);
/* Pins: whoever holds a temporary without history keeps its memory (autograd/scope.c). */
bool trit_tensor_pin(trit_tensor *t); /* true: it is pinned now, and must be unpinned */
void trit_tensor_unpin(trit_tensor *t);

int64_t trit_numel(const trit_tensor *t);
bool trit_is_dense(const trit_tensor *t); /* some permutation of its dims is gapless */
bool trit_has_layout(const trit_tensor *t, trit_layout layout);
bool trit_same_shape(const trit_tensor *a, const trit_tensor *b);
bool trit_same_strides(const trit_tensor *a, const trit_tensor *b); /* ignoring dims of size 1 */
size_t trit_storage_bytes(const trit_tensor *t);
/* Strides of a gapless tensor of this shape in this layout; returns the element count or -1. */
int64_t trit_layout_strides(const trit_shape *shape, trit_layout layout, int64_t *stride);

/* "f32[128,3,32,32]" into a buffer; returns the buffer. */
const char *trit_shape_text(const trit_shape *shape, char *buffer, size_t size);
#define TRIT_TEXT(t) trit_shape_text(&(t)->shape, (char[96]){0}, 96)

/* Element-wise walk over operands of one shape with any strides, innermost runs first:
 * body(context, n, p, s): n elements, operand k at p[k] with step s[k]. */
typedef void (*trit_run)(void *context, int64_t n, float *const *p, const int64_t *s);
void trit_walk(const trit_shape *shape, int n_operands, float *const *data,
               const int64_t *const *stride, trit_run body, void *context);

#endif
