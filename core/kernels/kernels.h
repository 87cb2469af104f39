/*
 * kernels.h - element-wise, reduction and pooling kernels, chosen by instruction set.
 *
 * kernels.def is the list and states the contracts.  Call through trit_kernels():
 *     trit_kernels()->relu(n, x, y);
 */
#ifndef TRIT_KERNELS_KERNELS_H
#define TRIT_KERNELS_KERNELS_H

#include "trit/rows.h"

/* One pooling: window R x S, positions outside the image do not exist. */
typedef struct {
    int64_t H, W, C, P, Q, R, S;
    int64_t stride_h, stride_w, pad_h, pad_w;
    bool count_pad; /* average: divide by R*S instead of the positions that exist */
} trit_pool_geom;

/* Output rows [p0, p1) of an image as a pooling of its own, of input rows from *h0. */
trit_pool_geom trit_pool_band(const trit_pool_geom *g, int64_t p0, int64_t p1, int64_t *h0);

typedef struct {
#define K(name, parameters) void(*name) parameters;
#include "kernels/kernels.def"
#undef K
} trit_kernel_table;

/* The table of the level in force (trit_isa_level). */
const trit_kernel_table *trit_kernels(void);

#endif
