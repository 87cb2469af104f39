/*
 * dot.c - the list of dot-product sets, the choice, and the plain one.
 */
#include <string.h>

#include "infer/dot.h"

#define ROWS  32
#define LANES 8

const trit_dot_set *const trit_dot_sets[] = {
    &trit_dot_generic, &trit_dot_avx2,   &trit_dot_avx2n,  &trit_dot_vnni64,
    &trit_dot_vnni64x, &trit_dot_vnni32, &trit_dot_vnni16, NULL};

/* The last of the list that takes it: later ones are for fewer rows or shorter sums. */
static const trit_dot_set *choose(int64_t rows, int64_t k, bool conv) {
    const trit_dot_set *best = &trit_dot_generic;
    for (int i = 1; trit_dot_sets[i]; i++) {
        const trit_dot_set *s = trit_dot_sets[i];
        if (s->supported() && k <= s->max_k && (!s->max_rows || rows <= s->max_rows) &&
            (conv || !s->for_conv))
            best = s;
    }
    return best;
}

const trit_dot_set *trit_dot_choose(int64_t rows, int64_t k) { return choose(rows, k, false); }
const trit_dot_set *trit_dot_choose_conv(int64_t rows, int64_t k) { return choose(rows, k, true); }

/* Number k = 4 g + j of the group's run; false past its end. */
static bool number_of(const trit_dot_shape *s, int64_t g, int64_t j, int64_t *k) {
    const int64_t per = s->groups / s->segments, at = g % per * 4 + j;
    *k = g / per * s->length + at;
    return at < s->length;
}

void trit_dot_pack_v8(const trit_dot_shape *s, const int8_t *w, int64_t rows, uint8_t *packed) {
    const int64_t n = s->segments * s->length;
    for (int64_t g = 0; g < s->groups; g++, packed += ROWS)
        for (int64_t b = 0; b < ROWS; b++) {
            unsigned byte = 0x55;
            int64_t k;
            for (int64_t f = 0; f < 4; f++) {
                const int64_t r = f * LANES + b / 4;
                if (r >= rows || !number_of(s, g, b % 4, &k)) continue;
                byte = (byte & ~(3u << (2 * f))) | (unsigned)(w[r * n + k] + 1) << (2 * f);
            }
            packed[b] = (uint8_t)byte;
        }
}

void trit_dot_pack_s16(const trit_dot_shape *s, const int8_t *w, int64_t rows, int64_t block,
                       uint8_t *packed) {
    const int64_t n = s->segments * s->length, per = s->groups / s->segments;
    for (int64_t g = 0; g < s->groups; g++)
        for (int64_t r = 0; r < block; r++)
            for (int64_t j = 0; j < 4; j++, packed++) {
                const int64_t at = g % per * 4 + j;
                const bool there = r < rows && at < s->length;
                *packed = there ? (uint8_t)w[r * n + g / per * s->length + at] : 0;
            }
}

static void dot(const trit_dot_shape *s, const uint8_t *packed, const uint8_t *x, int64_t width,
                int64_t height, const int32_t *sums, int32_t *acc, void *scratch) {
    (void)sums;
    (void)scratch;
    memset(acc, 0, (size_t)(width * height * ROWS) * sizeof *acc);
    for (int64_t g = 0; g < s->groups; g++, packed += ROWS) {
        int8_t w[4][ROWS]; /* [j][row] */
        for (int64_t b = 0; b < ROWS; b++)
            for (int64_t f = 0; f < 4; f++)
                w[b % 4][f * LANES + b / 4] = (int8_t)((packed[b] >> (2 * f) & 3) - 1);
        int32_t *to = acc;
        for (int64_t p = 0; p < width * height; p++, to += ROWS) {
            const uint8_t *q = x + p / width * s->row_step + p % width * s->step + s->offset[g];
            for (int64_t r = 0; r < ROWS; r++)
                to[r] += w[0][r] * q[0] + w[1][r] * q[1] + w[2][r] * q[2] + w[3][r] * q[3];
        }
    }
}

static bool always(void) { return true; }

const trit_dot_set trit_dot_generic = {.name = "generic",
                                       .block = ROWS,
                                       .pixels = 64,
                                       .max_k = TRIT_DOT_MOST,
                                       .supported = always,
                                       .block_bytes = ROWS,
                                       .pack = trit_dot_pack_v8,
                                       .dot = dot};
