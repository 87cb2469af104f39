/*
 * dot.h - integer dot products of ternary rows with 8-bit pixels: what convolution and linear
 * layers of the integer engine are made of.
 *
 * A pixel is a starting byte in an image; the numbers under it lie in `segments` runs of `length`
 * bytes at fixed offsets (for a convolution: one run per kernel row).  Four consecutive bytes of
 * a run form a group; a run's last group may reach up to 3 bytes past it: they are read, and count
 * for nothing.  Pixels lie on a grid of `width` x `height`.
 *
 *   acc[pixel][r] = sum over k of w[r][k] x[pixel, k]       exact: |w| <= 1, x in 0 .. 255
 *
 * Rows come in blocks of a set's `block`; a block's missing rows give numbers nobody reads.
 * Sets pack weights in a layout of their own.  Packed, one block after the other, groups in order:
 *
 *   V8   32 rows x 4 k in 32 bytes: byte 4 lane + j holds k = j of rows lane, 8 + lane, 16 + lane,
 *        24 + lane as codes w + 1 in bits 0-1, 2-3, 4-5, 6-7                  (generic, avx2)
 *   V16  64 rows x 4 k in 64 bytes, 16 lanes, alike; the field of rows 48 + lane holds w itself in
 *        two's complement, codes of missing k are 0                          (vnni64)
 *   S16  16 rows x 4 k in 64 bytes, w as signed bytes
 *                                                             (avx2n, vnni16, vnni32, vnni64x)
 */
#ifndef TRIT_INFER_DOT_H
#define TRIT_INFER_DOT_H

#include "trit/base.h"

#define TRIT_DOT_MOST (INT64_C(1) << 22) /* numbers under a pixel: 255 of each stay below 2^31 */

typedef struct {
    int64_t segments, length, groups; /* groups of all segments */
    const int32_t *offset;            /* [groups] from a pixel's start to the group */
    int64_t step, row_step;           /* bytes from pixel to pixel, from row to row */
} trit_dot_shape;

typedef struct {
    const char *name;
    int64_t block;           /* rows of a block                                                   */
    int64_t pixels;          /* that one call should have at least, for speed                     */
    int64_t max_rows;        /* 0: any; more are for another set */
    int64_t max_k;           /* numbers under a pixel it is meant for; no partial sum overflows */
    bool sums;               /* wants the sums of x under every pixel                             */
    bool for_conv;           /* weights are expanded, which pays for many pixels only             */
    size_t scratch;          /* bytes                                                             */
    bool (*supported)(void); /* at the instruction-set level in force, on this processor */
    size_t block_bytes;      /* of one block, per group */
    size_t more_bytes;       /* of one block, behind its groups */
    /* One block: w [rows][segments * length] of -1, 0, 1; rows <= block. */
    void (*pack)(const trit_dot_shape *s, const int8_t *w, int64_t rows, uint8_t *packed);
    /* acc [height * width][block]; sums [height * width] when wanted; packed and scratch
     * are 64-byte aligned. */
    void (*dot)(const trit_dot_shape *s, const uint8_t *packed, const uint8_t *x, int64_t width,
                int64_t height, const int32_t *sums, int32_t *acc, void *scratch);
} trit_dot_set;

/* THE list: all sets, slowest first, then NULL.  The generic set is the specification. */
extern const trit_dot_set *const trit_dot_sets[];
extern const trit_dot_set trit_dot_generic, trit_dot_avx2, trit_dot_avx2n, trit_dot_vnni64,
    trit_dot_vnni64x, trit_dot_vnni32, trit_dot_vnni16;

/* The fastest supported set for so many rows of k numbers. */
const trit_dot_set *trit_dot_choose(int64_t rows, int64_t k);
const trit_dot_set *trit_dot_choose_conv(int64_t rows, int64_t k); /* many pixels are meant */

void trit_dot_pack_v8(const trit_dot_shape *s, const int8_t *w, int64_t rows, uint8_t *packed);
/* S16 in blocks of `block` rows. */
void trit_dot_pack_s16(const trit_dot_shape *s, const int8_t *w, int64_t rows, int64_t block,
                       uint8_t *packed);

#endif
