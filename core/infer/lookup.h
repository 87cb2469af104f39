/*
 * lookup.h - a matrix of ternary weights times float vectors, by lookups in registers (infer layer
 * only).
 *
 * The signed sums of three numbers are a small table that fits registers; rows lie in lanes, so one
 * permutation looks the sums of three weights up for as many rows as a vector has lanes.
 *
 *   L27   a dword holds 18 weights of a row: six entries, 5 bits each, of tables of 27 sums in two
 *         registers; 1.78 bits a weight                                               (avx512)
 *   L8    a dword holds 15 weights of a row: five pairs of 3-bit masks, of the weights +1 and of
 *         those -1, of tables of the 8 sums of subsets; 2.13 bits a weight    (generic, avx2)
 *
 * Two dwords of every row make a chunk.  Packed: [band of rows][chunk][lanes of rows][dword][lane].
 */
#ifndef TRIT_INFER_LOOKUP_H
#define TRIT_INFER_LOOKUP_H

#include "trit/base.h"

#define LOOKUP_BAND 1024 /* rows of a band: their sums stay in the first-level cache */

typedef struct {
    const char *name;
    int64_t lanes, chunk; /* rows of a vector; k of two dwords */
    /* A dword of chunk / 2 weights. */
    uint32_t (*code)(const int8_t *w);
    /* sums[r] = sum over k of w[r][k] x[k], of `vectors` times `lanes` rows of one band; x holds
     * chunks * chunk numbers. */
    void (*band)(int64_t chunks, int64_t vectors, const uint32_t *packed, const float *x,
                 float *sums);
} trit_lookup_kernels;

extern const trit_lookup_kernels trit_lookup_generic, trit_lookup_avx2, trit_lookup_avx512;

typedef struct {
    const trit_lookup_kernels *kernels;
    int64_t rows, K, chunks;
    uint32_t *packed;
    size_t packed_bytes;
    float *scale; /* [rows] */
    float *x;     /* one vector, filled up with zeros */
} trit_lookup;

/* codes, scale: as for trit_linear_new.  A failed one is closed by the caller. */
trit_status trit_lookup_new(trit_lookup *l, const uint8_t *codes, int64_t rows, int64_t K,
                            const float *scale, int64_t scales);
trit_status trit_lookup_run(trit_lookup *l, int64_t n, const float *x, float *y);
void trit_lookup_close(trit_lookup *l);

#endif
