/*
 * square.h - a square of LANES x LANES floats transposed in registers: log2(LANES) stages, each
 * exchanging halves between rows whose numbers differ in one bit.
 */
#ifndef TRIT_CONV_SQUARE_H
#define TRIT_CONV_SQUARE_H

#include <stdint.h>

#include "conv/isa/vec.h"

typedef int lane_numbers __attribute__((vector_size(LANES * 4)));

/* Rows a (bit clear) and b (bit set): a keeps its lanes without the bit and takes b's there. */
INLINE void exchange(vec *a, vec *b, const int bit) {
    lane_numbers low, high; /* lanes of a, then of b from LANES on */
    UNROLL for (int l = 0; l < LANES; l++) {
        low[l] = l & bit ? LANES + l - bit : l;
        high[l] = l & bit ? LANES + l : l + bit;
    }
    vec first = __builtin_shuffle(*a, *b, low);
    *b = __builtin_shuffle(*a, *b, high);
    *a = first;
}

INLINE void stage(vec rows[LANES], const int bit) {
    UNROLL for (int i = 0; i < LANES; i++) if (!(i & bit)) exchange(&rows[i], &rows[i + bit], bit);
}

INLINE void transpose_lanes(vec rows[LANES]) {
    stage(rows, 1);
    stage(rows, 2);
#if LANES >= 8
    stage(rows, 4);
#endif
#if LANES == 16
    stage(rows, 8);
#endif
}

INLINE void transpose_square(const float *from, int64_t ld_from, float *to, int64_t ld_to) {
    vec rows[LANES];
    UNROLL for (int i = 0; i < LANES; i++) rows[i] = load(from + i * ld_from);
    transpose_lanes(rows);
    UNROLL for (int i = 0; i < LANES; i++) store(to + i * ld_to, rows[i]);
}

#endif
