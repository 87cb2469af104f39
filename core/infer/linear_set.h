/*
 * linear_set.h - integer products of a packed matrix with a few vectors (infer layer only).
 *
 *   q = round(127 x / max|x|) in -127 .. 127, also as u = q + 128
 *   y[c][r] = (float)(sum over k of w[r][k] q[c][k]) * (scale[r] step[c])
 *
 * The sums are exact integers and the two products are rounded alone: the same bits from every set.
 * Rows come in blocks; a block's packed weights follow those of the one before, padding of k counts
 * for nothing because q is 0 there (u is 128).
 *
 *   V8   32 rows x 4 k in 32 bytes: byte 4 lane + j holds k = j of rows lane, 8 + lane, 16 + lane,
 *        24 + lane as codes w + 1 in bits 0-1, 2-3, 4-5, 6-7                  (generic, avx2)
 *   V16  64 rows x 4 k in 64 bytes, 16 lanes, alike                           (vnni)
 */
#ifndef TRIT_INFER_LINEAR_SET_H
#define TRIT_INFER_LINEAR_SET_H

#include "trit/base.h"

typedef struct {
    int64_t rows, groups; /* groups of four k */
    size_t block_bytes;
    const uint8_t *packed;
    const float *scale;    /* [rows], filled up to whole blocks */
    const int32_t *weight; /* [rows], filled up: sums of w */
    const int8_t *q;       /* [n][pitch], 4 groups numbers each */
    const uint8_t *u;
    int64_t pitch, n;
    const int32_t *sums; /* [n] of q */
    const float *step;   /* [n] */
    float *y;            /* [n][rows] */
} trit_linear_job;

typedef struct {
    const char *name;
    int64_t block, lanes;    /* rows of a block, and of one field of it */
    int64_t max_k;           /* no partial sum overflows up to here */
    size_t scratch;          /* bytes, beside 4 block numbers a vector */
    bool (*supported)(void); /* at the instruction-set level in force, on this processor */
    /* Blocks [first, end). */
    void (*run)(const trit_linear_job *j, int64_t first, int64_t end, void *scratch);
} trit_linear_set;

/* THE list: slowest first, then NULL.  The generic set is the specification. */
extern const trit_linear_set *const trit_linear_sets[];
extern const trit_linear_set trit_linear_generic, trit_linear_avx2, trit_linear_vnni;

#define LINEAR_COLUMNS 64 /* vectors of one job, at most */

/* A result from its exact sum. */
static inline float trit_linear_result(const trit_linear_job *j, int64_t c, int64_t row,
                                       int32_t sum) {
    return (float)sum * (j->scale[row] * j->step[c]);
}

/* x [K] -> q, u, the sum of q and the step. */
void trit_linear_quantize_generic(int64_t K, const float *x, int8_t *q, uint8_t *u, int32_t *sum,
                                  float *step);
void trit_linear_quantize_avx2(int64_t K, const float *x, int8_t *q, uint8_t *u, int32_t *sum,
                               float *step);
void trit_linear_quantize_avx512(int64_t K, const float *x, int8_t *q, uint8_t *u, int32_t *sum,
                                 float *step);

#endif
