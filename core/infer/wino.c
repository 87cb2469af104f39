/*
 * wino.c - the list of Winograd sets, the choice, packing, and the plain set.
 */
#include <string.h>

#include "infer/wino.h"

#define ROWS      32
#define MOST_ROWS 64
#define LANES     8
#define LEAST     16    /* channels from which on transforming pays */
#define K_MAX     65536 /* numbers under a window: coded sums stay below 2^31 */
#define GROUP8    192   /* bytes of a group of W8: 64 + 64 + 32 + 32 */

const trit_wino_set *const trit_wino_sets[] = {&trit_wino_generic, &trit_wino_avx2,
                                               &trit_wino_vnni64, NULL};

const int trit_wino_order[WINO_PLANES] = {1, 2, 0, 3}; /* 0 and 3 finish what 1 and 2 give */

/* The plain set gains nothing over plain dot products: it is there to be compared with. */
const trit_wino_set *trit_wino_choose(int64_t rows, int64_t C, int64_t kernel_rows) {
    const trit_wino_set *best = NULL;
    if (C < LEAST || 3 * C * kernel_rows > K_MAX) return NULL;
    for (int i = 1; trit_wino_sets[i]; i++) {
        const trit_wino_set *s = trit_wino_sets[i];
        if (s->supported()) best = rows < s->least_rows ? NULL : s;
    }
    return best;
}

/* ------------------------------------------------------------------ packing */

typedef struct {
    int64_t lanes;
    bool coded;
    uint8_t *at[WINO_PLANES]; /* the group at work in every position */
    int32_t sum[MOST_ROWS][WINO_PLANES];
} target;

/* Row r, number j of a group: g0 g1 g2 lie C numbers apart; NULL: missing. */
static void pack_number(target *to, int64_t r, int64_t j, const int8_t *w, int64_t C) {
    const int g0 = w ? w[0] : 0, g1 = w ? w[C] : 0, g2 = w ? w[2 * C] : 0;
    const int64_t f = r / to->lanes, b = 4 * (r % to->lanes) + j;
    const int64_t half = f / 2 * 4 * to->lanes + b;
    const bool itself = to->coded && (!w || f == 3);
    const int one = itself ? 0 : 1, three = itself ? 0 : 3;
    const int u[WINO_PLANES] = {g0, g0 + g1 + g2, g0 - g1 + g2, g2};
    to->at[0][b] |= (uint8_t)((unsigned)(u[0] + one) << (2 * f));
    to->at[1][half] |= (uint8_t)((unsigned)(u[1] + three) << (4 * (f % 2)));
    to->at[2][half] |= (uint8_t)((unsigned)(u[2] + three) << (4 * (f % 2)));
    to->at[3][b] |= (uint8_t)((unsigned)(u[3] + one) << (2 * f));
    for (int t = 0; t < WINO_PLANES; t++) to->sum[r][t] += u[t];
}

/* What the zero of the planes, and of the codes, adds: to be added to y0 and y1. */
static void put_constants(const target *to, int64_t numbers, uint8_t *packed) {
    for (int64_t r = 0; r < 4 * to->lanes; r++) {
        const int32_t *sum = to->sum[r];
        const bool codes = to->coded && r < 3 * to->lanes;
        const int32_t counted = codes ? 320 * (int32_t)numbers : 0;
        const int32_t c0 = -128 * sum[0] - 64 * sum[2] - counted;
        const int32_t c1 = 64 * sum[2] + 128 * sum[3] + counted;
        memcpy(packed + r * 4, &c0, 4);
        memcpy(packed + (4 * to->lanes + r) * 4, &c1, 4);
    }
}

void trit_wino_pack(const trit_wino_shape *s, const int8_t *w, int64_t rows, int64_t lanes,
                    bool coded, uint8_t *packed) {
    const trit_dot_shape *d = &s->dot;
    const int64_t block = 4 * lanes, lines = d->groups * block, per = d->groups / d->segments;
    target to = {.lanes = lanes, .coded = coded};
    memset(packed, 0, (size_t)(6 * lines));
    for (int64_t k = 0, at = 0; k < WINO_PLANES; k++) {
        const int t = trit_wino_order[k];
        to.at[t] = packed + at;
        at += (t == 1 || t == 2 ? 2 : 1) * lines;
    }
    for (int64_t segment = 0; segment < d->segments; segment++)
        for (int64_t c = 0; c < 4 * per; c += 4) {
            for (int64_t r = 0; r < block; r++) {
                const int8_t *row = w + (r * d->segments + segment) * 3 * d->length;
                for (int64_t j = 0; j < 4; j++) {
                    const bool there = r < rows && c + j < d->length;
                    pack_number(&to, r, j, there ? row + c + j : NULL, d->length);
                }
            }
            for (int t = 0; t < WINO_PLANES; t++) to.at[t] += (t == 1 || t == 2 ? 2 : 1) * block;
        }
    put_constants(&to, d->segments * d->length, packed + 6 * lines);
}

size_t trit_wino_bytes_w8(const trit_wino_shape *s) {
    return (size_t)s->dot.groups * GROUP8 + 2 * ROWS * sizeof(int32_t);
}

void trit_wino_pack_w8(const trit_wino_shape *s, const int8_t *w, int64_t rows, uint8_t *packed) {
    trit_wino_pack(s, w, rows, LANES, false, packed);
}

/* ---------------------------------------------------------------- plain set */

/* m += the products of position t for one pair. */
static void position(const trit_wino_shape *s, const uint8_t *packed, const uint8_t *v, int t,
                     int32_t *m) {
    const bool wide = t == 1 || t == 2;
    for (int64_t g = 0; g < s->dot.groups; g++, packed += wide ? 2 * ROWS : ROWS)
        for (int64_t r = 0; r < ROWS; r++)
            for (int64_t j = 0; j < 4; j++) {
                const int64_t b = 4 * (r % LANES) + j, f = r / LANES;
                const int u = wide ? (packed[f / 2 * ROWS + b] >> (4 * (f % 2)) & 15) - 3
                                   : (packed[b] >> (2 * f) & 3) - 1;
                m[r] += u * v[s->dot.offset[g] + j];
            }
}

static void dot(const trit_wino_shape *s, const uint8_t *packed, const uint8_t *v, int64_t pairs,
                const int32_t *sums, int32_t *acc, void *scratch) {
    static const int64_t at[WINO_PLANES] = {4 * ROWS, 0, 2 * ROWS, 5 * ROWS}; /* times groups */
    const int32_t *c = (const int32_t *)(const void *)(packed + s->dot.groups * GROUP8);
    (void)sums;
    (void)scratch;
    for (int64_t p = 0; p < pairs; p++, v += s->dot.step, acc += 2 * ROWS) {
        int32_t m[WINO_PLANES][ROWS] = {{0}};
        for (int t = 0; t < WINO_PLANES; t++)
            position(s, packed + at[t] * s->dot.groups, v + t * s->plane, t, m[t]);
        for (int64_t r = 0; r < ROWS; r++) {
            acc[r] = m[0][r] + (m[1][r] + m[2][r]) / 2 + c[r];
            acc[ROWS + r] = (m[1][r] - m[2][r]) / 2 - m[3][r] + c[ROWS + r];
        }
    }
}

static bool always(void) { return true; }

const trit_wino_set trit_wino_generic = {.name = "generic",
                                         .block = ROWS,
                                         .pairs = 32,
                                         .supported = always,
                                         .bytes = trit_wino_bytes_w8,
                                         .pack = trit_wino_pack_w8,
                                         .dot = dot};
