/*
 * wino.c - the list of Winograd sets, the choice, packing, and the plain set.
 */
#include "infer/wino.h"

#include <string.h>

#define ROWS   32
#define LANES  8
#define LEAST  16    /* channels from which on transforming pays */
#define K_MAX  65536 /* numbers under a window: coded sums stay below 2^31 */
#define GROUP8 192   /* bytes of a group of W8: 64 + 64 + 32 + 32 */

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

/* Transformed weight of position t; w is the first tap of three, C numbers apart. */
static int weight(const int8_t *w, int64_t C, int t) {
    const int g0 = w[0], g1 = w[C], g2 = w[2 * C];
    return t == 0 ? g0 : t == 1 ? g0 + g1 + g2 : t == 2 ? g0 - g1 + g2 : g2;
}

typedef struct {
    const trit_wino_shape *s;
    const int8_t *w;
    int64_t rows, lanes;
    bool coded;
} source;

/* The field of row r, number j of group g in position t: a code, or u itself. */
static unsigned field(const source *from, int64_t g, int64_t j, int64_t r, int t) {
    const trit_dot_shape *d = &from->s->dot;
    const int zero = t == 1 || t == 2 ? 3 : 1;
    const int64_t per = d->groups / d->segments, c = g % per * 4 + j;
    if (r >= from->rows || c >= d->length) return from->coded ? 0 : (unsigned)zero;
    const int8_t *w = from->w + (r * d->segments + g / per) * 3 * d->length + c;
    const bool itself = from->coded && r >= 3 * from->lanes;
    return (unsigned)(weight(w, d->length, t) + (itself ? 0 : zero));
}

static uint8_t *pack_group(const source *from, int64_t g, int t, uint8_t *packed) {
    const bool wide = t == 1 || t == 2;
    const int64_t lanes = from->lanes;
    for (int64_t half = 0; half < (wide ? 2 : 1); half++)
        for (int64_t b = 0; b < 4 * lanes; b++) {
            unsigned byte = 0;
            for (int f = 0; f < (wide ? 2 : 4); f++) {
                const int64_t r = (2 * half + f) * lanes + b / 4;
                byte |= (field(from, g, b % 4, r, t) << (wide ? 4 * f : 2 * f)) & 0xff;
            }
            *packed++ = (uint8_t)byte;
        }
    return packed;
}

/* What the zero of the planes, and of the codes, adds: to be added to y0 and y1. */
static void constants(const source *from, int64_t r, int32_t *c0, int32_t *c1) {
    const trit_dot_shape *d = &from->s->dot;
    int32_t sum[WINO_PLANES] = {0};
    for (int64_t i = 0; r < from->rows && i < d->segments * d->length; i++) {
        const int8_t *w = from->w + r * d->segments * 3 * d->length +
                          i / d->length * 3 * d->length + i % d->length;
        for (int t = 0; t < WINO_PLANES; t++) sum[t] += weight(w, d->length, t);
    }
    const bool codes = from->coded && r < 3 * from->lanes;
    const int32_t counted = codes ? 320 * (int32_t)(d->segments * d->length) : 0;
    *c0 = -128 * sum[0] - 64 * sum[2] - counted;
    *c1 = 64 * sum[2] + 128 * sum[3] + counted;
}

void trit_wino_pack(const trit_wino_shape *s, const int8_t *w, int64_t rows, int64_t lanes,
                    bool coded, uint8_t *packed) {
    const source from = {s, w, rows, lanes, coded};
    for (int k = 0; k < WINO_PLANES; k++)
        for (int64_t g = 0; g < s->dot.groups; g++)
            packed = pack_group(&from, g, trit_wino_order[k], packed);
    for (int64_t r = 0; r < 4 * lanes; r++) {
        int32_t c[2];
        constants(&from, r, &c[0], &c[1]);
        memcpy(packed + r * 4, &c[0], 4);
        memcpy(packed + (4 * lanes + r) * 4, &c[1], 4);
    }
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
