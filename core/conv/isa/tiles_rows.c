/*
 * tiles_rows.c - the register tile of forward and backward data.
 *
 * It holds PX pixels by CV vectors of output channels: one weight vector feeds PX multiply-adds and
 * one broadcast strip value CV.  The compiler turns the unrolled loops into bare multiply-adds with
 * all sums in registers; sizes are compile-time constants, hence the switches.
 */
#include "conv/isa/tiles.h"

/* Pixels of a tile with 1, 2, 4 vectors: what the vector registers hold beside operands. */
#if LANES == 16
#define PIXELS_1 16
#define PIXELS_2 14
#define PIXELS_4 7
#else
#define PIXELS_1 12
#define PIXELS_2 6
#define PIXELS_4 1 /* 16 registers: not used */
#endif
#define PIXELS_MAX 16

INLINE void tile(const int px, const int cv, const rows_task *t, int64_t ahead, const float *strip,
                 const float *w, float *y) {
    vec sum[PIXELS_MAX][4];
    UNROLL for (int i = 0; i < px; i++) UNROLL for (int j = 0; j < cv; j++) sum[i][j] =
        t->add ? load(y + i * t->ldy + j * LANES) : (vec){0};
    for (int64_t b = 0; b < t->blocks; b++, strip += t->block_floats) {
        int64_t width = b == t->blocks - 1 ? t->last_width : t->width;
        for (int64_t tap = 0; tap < t->taps; tap++) {
            const float *at = strip + t->offset[tap];
            if (ahead)
                UNROLL for (int i = 0; i < px; i++) __builtin_prefetch(at + ahead + i * LANES);
            for (int64_t l = 0; l < width; l++, w += cv * LANES) {
                vec weight[4];
                UNROLL for (int j = 0; j < cv; j++) weight[j] = load(w + j * LANES);
                UNROLL for (int i = 0; i < px; i++) {
                    vec value = splat(at[i * LANES + l]);
                    UNROLL for (int j = 0; j < cv; j++) sum[i][j] += value * weight[j];
                }
            }
        }
    }
    UNROLL for (int i = 0; i < px; i++) UNROLL for (int j = 0; j < cv; j++)
        store(y + i * t->ldy + j * LANES, sum[i][j]);
}

#define CASE(px, cv)                                                                               \
    case px: tile(px, cv, t, ahead, strip, w, y); return

static void tile_1(int px, const rows_task *t, int64_t ahead, const float *strip, const float *w,
                   float *y) {
    switch (px) {
        CASE(1, 1);
        CASE(2, 1);
        CASE(3, 1);
        CASE(4, 1);
        CASE(5, 1);
        CASE(6, 1);
        CASE(7, 1);
        CASE(8, 1);
        CASE(9, 1);
        CASE(10, 1);
        CASE(11, 1);
        CASE(12, 1);
#if LANES == 16
        CASE(13, 1);
        CASE(14, 1);
        CASE(15, 1);
        CASE(16, 1);
#endif
    }
}

static void tile_2(int px, const rows_task *t, int64_t ahead, const float *strip, const float *w,
                   float *y) {
    switch (px) {
        CASE(1, 2);
        CASE(2, 2);
        CASE(3, 2);
        CASE(4, 2);
        CASE(5, 2);
        CASE(6, 2);
#if LANES == 16
        CASE(7, 2);
        CASE(8, 2);
        CASE(9, 2);
        CASE(10, 2);
        CASE(11, 2);
        CASE(12, 2);
        CASE(13, 2);
        CASE(14, 2);
#endif
    }
}

static void tile_4(int px, const rows_task *t, int64_t ahead, const float *strip, const float *w,
                   float *y) {
#if LANES == 16
    switch (px) {
        CASE(1, 4);
        CASE(2, 4);
        CASE(3, 4);
        CASE(4, 4);
        CASE(5, 4);
        CASE(6, 4);
        CASE(7, 4);
    }
#else
    (void)px, (void)t, (void)ahead, (void)strip, (void)w, (void)y;
#endif
}

static void tile_any(int px, int64_t cv, const rows_task *t, int64_t ahead, const float *strip,
                     const float *w, float *y) {
    if (cv == 1)
        tile_1(px, t, ahead, strip, w, y);
    else if (cv == 2)
        tile_2(px, t, ahead, strip, w, y);
    else
        tile_4(px, t, ahead, strip, w, y);
}

/* Divisions are 32 bits wide: this runs once per short row, where 64-bit ones would show. */
void SYMBOL(trit_conv_rows_tiles_ahead)(int64_t pixels, int64_t cv, const rows_task *t,
                                        int64_t ahead, const float *strip, const float *w,
                                        float *y) {
    uint32_t left = (uint32_t)pixels;
    uint32_t tiles = cv == 1   ? (left + PIXELS_1 - 1) / PIXELS_1
                     : cv == 2 ? (left + PIXELS_2 - 1) / PIXELS_2
                               : (left + PIXELS_4 - 1) / PIXELS_4;
    for (; tiles > 0; tiles--) { /* of nearly equal width */
        uint32_t px = tiles == 1 ? left : left / tiles;
        tile_any((int)px, cv, t, ahead, strip, w, y);
        strip += px * LANES;
        y += px * t->ldy;
        left -= px;
    }
}

void SYMBOL(trit_conv_rows_tiles)(int64_t pixels, int64_t cv, const rows_task *t,
                                  const float *strip, const float *w, float *y) {
    SYMBOL(trit_conv_rows_tiles_ahead)(pixels, cv, t, 0, strip, w, y);
}
