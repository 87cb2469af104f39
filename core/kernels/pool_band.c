/*
 * pool_band.c - a part of a pooling as a pooling of its own.
 */
#include "kernels/kernels.h"

trit_pool_geom trit_pool_band(const trit_pool_geom *g, int64_t p0, int64_t p1, int64_t *h0) {
    const int64_t top = p0 * g->stride_h - g->pad_h, end = (p1 - 1) * g->stride_h - g->pad_h + g->R;
    trit_pool_geom band = *g;
    *h0 = top > 0 ? top : 0;
    band.pad_h = *h0 - top;
    band.H = (end < g->H ? end : g->H) - *h0;
    band.P = p1 - p0;
    return band;
}
