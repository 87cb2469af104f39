/*
 * wino.h - exact integer Winograd F(2,3) along the row: convolutions of ternary kernel rows of
 * three taps, stride 1, with 12 products where the direct way takes 18, and the same integer sums.
 *
 * Two neighbouring results of one kernel row g0 g1 g2 over the pixels d0 d1 d2 d3 are
 *
 *   y0 = m0 + (m1 + m2) / 2      m0 = (d0 - d2) g0        m1 = (d1 + d2)(g0 + g1 + g2)
 *   y1 = (m1 - m2) / 2 - m3      m3 = (d1 - d3) g2        m2 = (d2 - d1)(g0 - g1 + g2)
 *
 * m1 + m2 = 2 (y0 - m0) is even, so halving is exact.  Transformed weights u lie in -3 .. 3.
 * With pixels of at most 7 bits the planes v0 = d0 - d2 + 128, v1 = d1 + d2, v2 = d2 - d1 + 128 and
 * v3 = d1 - d3 + 128 fit a byte; what 128 adds is a constant per row of weights:
 *
 *   y0 = M0 + (M1 + M2) / 2 - 128 sum(u0) - 64 sum(u2)                    Mi = sum(ui vi)
 *   y1 = (M1 - M2) / 2 - M3 + 64 sum(u2) + 128 sum(u3)
 *
 * Packed, one block after the other: positions 1 and 2 as W (4 bits a weight), positions 0 and 3 as
 * V8 or V16 of dot.h (2 bits), then the constants [2][block] as int32.
 *
 *   W8   32 rows x 4 k in 64 bytes: byte 4 lane + j of the first half holds rows lane and 8 + lane
 *        as codes u + 3 in bits 0-3 and 4-7, the second half rows 16 + lane and 24 + lane
 *                                                                             (generic, avx2)
 *   W16  64 rows x 4 k in 128 bytes, 16 lanes, alike; the field of rows 48 + lane holds u itself in
 *        two's complement, codes of missing k are 0                           (vnni64)
 *   Sets that want sums compute with codes: every number then counts 1 (positions 0, 3) or 3 times
 *   too often, which adds d0 + 2 d2 to y0 and 2 d1 + d3 to y1, and a constant.
 */
#ifndef TRIT_INFER_WINO_H
#define TRIT_INFER_WINO_H

#include "infer/dot.h"

#define WINO_PLANES 4
#define WINO_BITS   7 /* most of a pixel */

typedef struct {
    trit_dot_shape dot; /* of one position: a segment per kernel row, step from pair to pair */
    int64_t plane;      /* bytes from plane to plane */
} trit_wino_shape;

typedef struct {
    const char *name;
    int64_t block;           /* rows of a block                                               */
    int64_t pairs;           /* that one call should have, for speed                          */
    int64_t least_rows;      /* fewer leave too much of a block empty: the direct way is faster */
    bool sums;               /* wants sum of d0 + 2 d2 and of 2 d1 + d3 under every pair      */
    size_t scratch;          /* bytes                                                         */
    bool (*supported)(void); /* at the instruction-set level in force, on this processor      */
    size_t (*bytes)(const trit_wino_shape *s); /* of one packed block */
    /* One block: w [rows][segments][3][length] of -1, 0, 1; rows <= block. */
    void (*pack)(const trit_wino_shape *s, const int8_t *w, int64_t rows, uint8_t *packed);
    /* acc [2 pairs][block]: what dot.h gives for the two pixels of every pair, whose first byte in
     * plane 0 is v + pair * step; sums [2 pairs] when wanted; scratch 64-byte aligned. */
    void (*dot)(const trit_wino_shape *s, const uint8_t *packed, const uint8_t *v, int64_t pairs,
                const int32_t *sums, int32_t *acc, void *scratch);
} trit_wino_set;

extern const int trit_wino_order[WINO_PLANES]; /* of packed positions */

/* THE list: all sets, slowest first, then NULL.  The generic set is the specification. */
extern const trit_wino_set *const trit_wino_sets[];
extern const trit_wino_set trit_wino_generic, trit_wino_avx2, trit_wino_vnni64;

/* The fastest supported set for `rows` rows over C channels; NULL: the direct way is faster. */
const trit_wino_set *trit_wino_choose(int64_t rows, int64_t C, int64_t kernel_rows);

size_t trit_wino_bytes_w8(const trit_wino_shape *s);
void trit_wino_pack_w8(const trit_wino_shape *s, const int8_t *w, int64_t rows, uint8_t *packed);
/* A layout of blocks of 4 lanes rows; coded: as W16, for sets that want sums. */
void trit_wino_pack(const trit_wino_shape *s, const int8_t *w, int64_t rows, int64_t lanes,
                    bool coded, uint8_t *packed);

#endif
