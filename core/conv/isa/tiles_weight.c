/*
 * tiles_weight.c - the register tile of backward weight.
 *
 * It holds NI values of a strip pixel by CV vectors of output channels and runs over pixels: one dy
 * vector feeds NI multiply-adds and one broadcast strip value CV.
 */
#include "conv/isa/tiles.h"

#include <stddef.h>

/* Values of a tile with 1 and 2 vectors: what the vector registers hold beside operands. */
#if LANES == 16
#define VALUES_1 16
#define VALUES_2 12
#else
#define VALUES_1 8
#define VALUES_2 4
#endif

#define RUN     16 /* pixels between fetches */
#define FETCHES 4

INLINE void tile(const int ni, const int cv, const weight_task *t, fetch_list *fetch,
                 const float *strip, const float *dy, float *dw) {
    vec sum[VALUES_1][2];
    UNROLL for (int i = 0; i < ni; i++) UNROLL for (int j = 0; j < cv; j++) sum[i][j] = (vec){0};
    for (int64_t r = 0; r < t->rows; r++, strip += t->strip_row, dy += t->dy_row) {
        const float *at = strip, *from = dy;
        for (int64_t q = 0; q < t->pixels; q++, at += LANES, from += cv * LANES) {
            if (fetch && q % RUN == 0) fetch_some(fetch, FETCHES);
            vec slope[2];
            UNROLL for (int j = 0; j < cv; j++) slope[j] = load(from + j * LANES);
            UNROLL for (int i = 0; i < ni; i++) {
                vec value = splat(at[i]);
                UNROLL for (int j = 0; j < cv; j++) sum[i][j] += value * slope[j];
            }
        }
    }
    UNROLL for (int i = 0; i < ni; i++) UNROLL for (int j = 0; j < cv; j++) {
        float *to = dw + i * t->ldw + j * LANES;
        store(to, t->fresh ? sum[i][j] : load(to) + sum[i][j]);
    }
}

#define CASE(ni, cv)                                                                               \
    case ni: tile(ni, cv, t, NULL, strip, dy, dw); return

static void tile_1(int ni, const weight_task *t, const float *strip, const float *dy, float *dw) {
    switch (ni) {
        CASE(1, 1);
        CASE(2, 1);
        CASE(3, 1);
        CASE(4, 1);
#if LANES >= 8
        CASE(5, 1);
        CASE(6, 1);
        CASE(7, 1);
        CASE(8, 1);
#endif
#if LANES == 16
        CASE(9, 1);
        CASE(10, 1);
        CASE(11, 1);
        CASE(12, 1);
        CASE(13, 1);
        CASE(14, 1);
        CASE(15, 1);
        CASE(16, 1);
#endif
    }
}

static void tile_2(int ni, const weight_task *t, const float *strip, const float *dy, float *dw) {
    switch (ni) {
        CASE(1, 2);
        CASE(2, 2);
        CASE(3, 2);
        CASE(4, 2);
#if LANES == 16
        CASE(5, 2);
        CASE(6, 2);
        CASE(7, 2);
        CASE(8, 2);
        CASE(9, 2);
        CASE(10, 2);
        CASE(11, 2);
        CASE(12, 2);
#endif
    }
}

void SYMBOL(trit_conv_weight_tiles)(int64_t width, int64_t cv, const weight_task *t,
                                    const float *strip, const float *dy, float *dw) {
    uint32_t left = (uint32_t)width;
    uint32_t tiles = cv == 1 ? (left + VALUES_1 - 1) / VALUES_1 : (left + VALUES_2 - 1) / VALUES_2;
    for (; tiles > 0; tiles--) { /* of nearly equal height */
        uint32_t ni = tiles == 1 ? left : left / tiles;
        if (cv == 1)
            tile_1((int)ni, t, strip, dy, dw);
        else
            tile_2((int)ni, t, strip, dy, dw);
        strip += ni;
        dw += ni * t->ldw;
        left -= ni;
    }
}

/* Values of a tile with 2 vectors when there are LANES of them. */
#define HALF (LANES > VALUES_2 ? LANES / 2 : LANES)

void SYMBOL(trit_conv_weight_tiles_fetch)(int64_t cv, const weight_task *t, fetch_list *fetch,
                                          const float *strip, const float *dy, float *dw) {
    if (cv == 1) {
        tile(LANES, 1, t, fetch, strip, dy, dw);
        return;
    }
    for (int i = 0; i < LANES; i += HALF) tile(HALF, 2, t, fetch, strip + i, dy, dw + i * t->ldw);
}
