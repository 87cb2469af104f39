/* depthwise.h - between the depthwise algorithm and its kernels, one set per instruction set. */
#ifndef TRIT_CONV_DEPTHWISE_H
#define TRIT_CONV_DEPTHWISE_H

#include "conv/conv_algo.h"

typedef struct {
    const trit_conv_geom *g;
    const float *x, *dy, *w;
    float *out;
    const conv_slots *slots; /* backward weight only; an item is one output row */
} depthwise_job;

typedef struct {
    trit_work forward_row; /* unit = n*P + p: y[n,p,:,:]      */
    trit_work data_row;    /* unit = n*H + h: dx[n,h,:,:]     */
    trit_work weight_slot; /* unit = slot: its sums           */
} depthwise_kernels;

extern const depthwise_kernels trit_depthwise_generic, trit_depthwise_avx2, trit_depthwise_avx512;

#endif
