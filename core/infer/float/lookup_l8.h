/*
 * lookup_l8.h - layout L8 plainly, row by row.
 */
#include "infer/float/lookup_l8_code.h"

#define NAME "generic l8"
#define ROWS 8

static float subset(const float *x, uint32_t mask) {
    return ((mask & 1 ? x[0] : 0.0f) + (mask & 2 ? x[1] : 0.0f)) + (mask & 4 ? x[2] : 0.0f);
}

static void band(int64_t chunks, int64_t vectors, const uint32_t *packed, const float *x,
                 float *sums) {
    float t[CHUNK / 3][8];
    for (int64_t r = 0; r < vectors * ROWS; r++) sums[r] = 0;
    for (int64_t c = 0; c < chunks; c++, x += CHUNK) {
        for (int g = 0; g < CHUNK / 3; g++)
            for (uint32_t m = 0; m < 8; m++) t[g][m] = subset(x + 3 * g, m);
        for (int64_t r = 0; r < vectors * ROWS; r++) {
            const uint32_t *d = packed + r / ROWS * 2 * ROWS + r % ROWS;
            float less = 0;
            for (int g = 0; g < CHUNK / 3; g++) {
                const uint32_t pair = d[g / 5 * ROWS] >> (g % 5 * 6);
                sums[r] += t[g][pair & 7];
                less += t[g][pair >> 3 & 7];
            }
            sums[r] -= less;
        }
        packed += vectors * 2 * ROWS;
    }
}
