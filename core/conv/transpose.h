/* transpose.h - weights with input and output channels exchanged, for backward data. */
#ifndef TRIT_CONV_TRANSPOSE_H
#define TRIT_CONV_TRANSPOSE_H

#include "conv/conv_algo.h"

typedef struct {
    int64_t taps, rows, columns;
    const float *from; /* [taps,rows,columns] */
    float *to;         /* [taps,columns,rows] */
} transpose_job;

/* unit = (tap, TRIT_TRANSPOSE_ROWS rows) */
void trit_conv_transpose_generic(void *context, int64_t unit, int worker);
void trit_conv_transpose_avx2(void *context, int64_t unit, int worker);
void trit_conv_transpose_avx512(void *context, int64_t unit, int worker);

#define TRIT_TRANSPOSE_ROWS 16 /* a cache line of `to`, whole vectors at every level */

/* [R,S,C/G,K] as [R,S,K,C/G] in a new block of *bytes; NULL when memory is short. */
float *trit_conv_transposed(const trit_conv_geom *g, const float *w, size_t *bytes);

#endif
