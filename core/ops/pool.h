/*
 * pool.h - geometry and loops that maximum and average pooling share.
 */
#ifndef TRIT_OPS_POOL_H
#define TRIT_OPS_POOL_H

#include "kernels/kernels.h"
#include "ops/ops.h"

/* Rows of both parameter tables, in this order. */
enum { POOL_KERNEL, POOL_STRIDE, POOL_PADDING, POOL_COUNT_PAD };

#define POOL_PARAMS                                                                                \
    {.name = "kernel",                                                                             \
     .integer = true,                                                                              \
     .def = 2,                                                                                     \
     .min = 1,                                                                                     \
     .max = 65536,                                                                                 \
     .len = 2,                                                                                     \
     .doc = "window, pixels: height, width"},                                                      \
        {.name = "stride",                                                                         \
         .integer = true,                                                                          \
         .def = 0,                                                                                 \
         .min = 0,                                                                                 \
         .max = 65536,                                                                             \
         .len = 2,                                                                                 \
         .doc = "pixels: height, width; 0: as the window"},                                        \
    {                                                                                              \
        .name = "padding", .integer = true, .def = 0, .min = 0, .max = 32768, .len = 2,            \
        .doc = "margin on each side, pixels: height, width"                                        \
    }

trit_pool_geom trit_pool_geometry(const trit_call *c);
trit_status trit_pool_infer(const trit_call *c, trit_shape *out);

/* Run `body` once per image, in parallel; body may use everything here. */
typedef struct trit_pool_job {
    trit_pool_geom g;
    const float *x, *gy; /* whole batches */
    float *out;          /* y or gx */
    void (*body)(const struct trit_pool_job *j, int64_t n);
} trit_pool_job;
void trit_pool_images(trit_pool_job *j, int64_t N);

#endif
