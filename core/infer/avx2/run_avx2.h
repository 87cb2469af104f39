/*
 * run_avx2.h - runs of groups: how many a block's 16-bit sums may take before they are widened, and
 * the tiles that add one.
 *
 * A lane adds the products of two weights of every group with bytes x <= 255.  Its sum lies between
 * -255 times its negative weights and 255 times its positive ones, so it holds as long as neither
 * part is above 128: 64 groups of two weights -1, 0, 1 whatever they are (21 of weights up to 3),
 * and half as many again (four times as many) where some are 0 and the others of both signs.
 * Whoever packs a block finds its longest run; every run less is 8 sums widened, loaded and stored
 * a tile.
 */
#ifndef TRIT_INFER_RUN_AVX2_H
#define TRIT_INFER_RUN_AVX2_H

#include "infer/avx2/tile_avx2.h"

#define MOST_RUN   96  /* groups: 12 KiB; what longer ones save they evict from the first cache */
#define LANE_HOLDS 128 /* 128 x 255 < 2^15 */
#define TRIES      8   /* numbers of parts looked at: odd weights must not cost minutes */

/* n groups of packed weights -> [group][field][8 rows][4 k] signed bytes. */
typedef void expander(const uint8_t *w, int64_t n, int8_t *s);

/* Do the sums of groups [0, n) hold? */
static inline bool holds(const uint8_t *w, int64_t n, expander *expand_group, int64_t group_bytes) {
    int16_t up[4 * ROWS] = {0}, down[4 * ROWS] = {0};
    _Alignas(32) int8_t s[4 * ROWS];
    for (int64_t g = 0; g < n; g++, w += group_bytes) {
        expand_group(w, 1, s);
        for (int i = 0; i < 4 * ROWS; i++) up[i] = (int16_t)(up[i] + (s[i] > 0 ? s[i] : 0));
        for (int i = 0; i < 4 * ROWS; i++) down[i] = (int16_t)(down[i] - (s[i] < 0 ? s[i] : 0));
    }
    int most = 0;
    for (int i = 0; i < 4 * ROWS; i += 2) {
        most = up[i] + up[i + 1] > most ? up[i] + up[i + 1] : most;
        most = down[i] + down[i + 1] > most ? down[i] + down[i + 1] : most;
    }
    return most <= LANE_HOLDS;
}

/* The longest run into which all groups of a block part evenly; `sure` holds for any weights. */
static inline int32_t longest_run(const uint8_t *w, int64_t groups, int64_t sure,
                                  expander *expand_group, int64_t group_bytes) {
    const int64_t fewest = (groups + MOST_RUN - 1) / MOST_RUN;
    for (int64_t parts = fewest; parts < fewest + TRIES; parts++) {
        const int64_t run = (groups + parts - 1) / parts;
        if (run <= sure) break;
        bool all = true;
        for (int64_t g = 0; g < groups && all; g += run)
            all = holds(w + g * group_bytes, groups - g < run ? groups - g : run, expand_group,
                        group_bytes);
        if (all) return (int32_t)run;
    }
    return (int32_t)sure;
}

/* Functions of their own: in a larger one gcc keeps the weights' address on the stack. */
#define SIZED(nn)                                                                                  \
    __attribute__((noinline)) static void tile_##nn(const int8_t *s, const uint8_t *x,             \
                                                    int64_t step, const int32_t *offset,           \
                                                    int64_t n, int32_t *acc, bool first) {         \
        sized_tile(s, x, step, offset, n, acc, first, nn);                                         \
    }
SIZED(1)
SIZED(2)

#endif
