/*
 * columns.h - ternary weights kept packed for algorithms that read numbers (infer layer only).
 *
 * Two bits a weight, output channels side by side: byte [i / 4][k] holds elements i .. i + 3 of
 * channel k's row, from the low bits up.  Before a convolution they become [i][k] numbers, whole
 * vectors of channels at a time; that is cheap beside the convolution and its weights need not
 * stay expanded.
 */
#ifndef TRIT_INFER_COLUMNS_H
#define TRIT_INFER_COLUMNS_H

#include "infer/runner.h"

typedef struct {
    int64_t planes, len, K;
    uint8_t *codes;          /* [planes][len / 4, rounded up][K] */
    float *pos, *neg, *gain; /* [planes][K], [planes][K], [K] */
} trit_columns;

typedef struct {
    const trit_columns *columns;
    float *w; /* [len][K] */
} trit_columns_job;

/* unit = 4 elements of all rows */
void trit_columns_unpack_generic(void *context, int64_t unit, int worker);
void trit_columns_unpack_avx2(void *context, int64_t unit, int worker);
void trit_columns_unpack_avx512(void *context, int64_t unit, int worker);

size_t trit_columns_code_bytes(const trit_node *d);
size_t trit_columns_numbers(const trit_node *d); /* of the other arrays */
void trit_columns_pack(const trit_node *d, trit_columns *c, uint8_t *codes, float *numbers);
/* The effective weights, gain included, [R][S][C/groups][K]. */
void trit_columns_unpack(const trit_columns *c, float *w);

#endif
