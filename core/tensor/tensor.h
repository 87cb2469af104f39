/* tensor.h - what the tape needs of tensors beyond the public interface. */
#ifndef TRIT_TENSOR_TENSOR_H
#define TRIT_TENSOR_TENSOR_H

#include "trit/tensor.h"

struct trit_storage {
    int refs;
    bool temporary; /* made inside a module's call and not returned: the tape may drop it */
    int kept_to;    /* scope depth a return value moves to (autograd/scope.c) */
    int pins;       /* recorded calls that take this temporary as a constant operand */
    bool left;      /* its scope is gone: the last pin drops it */
    size_t bytes;
    uint64_t changes; /* how often a script or an optimizer changed values in place */
    uint64_t serial;  /* of all storages ever made: addresses come again, numbers do not */
    float *block;     /* NULL once dropped */
};

/* The tape's nodes begin with this, so that the last handle can let its history go. */
struct trit_node {
    void (*release)(struct trit_node *node);
};

/* Shape and layout without memory, for pending tensors; the memory for it; and the memory of
 * `from`, which is left without. */
trit_status trit_tensor_hollow(const trit_shape *shape, trit_layout layout, trit_tensor **out);
trit_status trit_tensor_fill_hollow(trit_tensor *t);
void trit_tensor_steal(trit_tensor *t, trit_tensor *from);

/* Give the block back now although handles remain; they become unusable, not dangling. */
void trit_tensor_drop(trit_tensor *t);

#endif
