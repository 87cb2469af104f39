/*
 * table_kernels.c - tables of sums, their addition, and the way back to channels; see tables.h.
 *
 * Sums are rounded in one order on every instruction set, so that all give the same bits: an entry
 * is (+-a +-b) +-c, the entries of a row are added one by one in the order of k, terms likewise,
 * and no product is fused with a sum (this file is compiled without contraction).
 */
#include "infer/tables.h"

#include "conv/isa/square.h"

#if LANES == 16
#include "infer/float/table_add_avx512.h"
#elif LANES == 8
#include "infer/float/table_add_avx2.h"
#else
#include "infer/float/table_add_generic.h"
#endif

#define VECTORS (TABLE_PIXELS / LANES) /* of a tile */

typedef int32_t lanes_mask __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

/* ------------------------------------------------------------- channels and planes */

static void planes(int64_t n, int64_t C, const float *x, int64_t step, int64_t plane, float *to) {
    int64_t c = 0;
    for (; c + LANES <= C; c += LANES) {
        int64_t i = 0;
        for (; i + LANES <= n; i += LANES)
            transpose_square(x + i * step + c, step, to + c * plane + i, plane);
        for (; i < n; i++)
            for (int64_t l = c; l < c + LANES; l++) to[l * plane + i] = x[i * step + l];
    }
    for (; c < C; c++)
        for (int64_t i = 0; i < n; i++) to[c * plane + i] = x[i * step + c];
}

/* ---------------------------------------------------------------------------- tables */

INLINE vec lanes_at(const float *x, const trit_table_tile *t, int v) {
    vec a = load(x + v * LANES);
    for (int64_t b = 0; b < t->breaks; b++) {
        const lane_numbers m = (lane_numbers) * (const lanes_mask *)(t->mask[b] + v * LANES);
        const vec further = load(x + v * LANES + (b + 1) * t->gap);
        a = (vec)((m & (lane_numbers)further) | (~m & (lane_numbers)a));
    }
    return a;
}

/* The tables of one vector of pixels: 27 vectors, one behind the other. */
INLINE void build_group(vec a, vec b, vec c, float *to) {
    const vec none = {0};
    const vec l[9] = {none - a - b, none - b, a - b, none - a, none, a, b - a, b, a + b};
    UNROLL for (int i = 0; i < 9; i++) {
        store(to + i * LANES, l[i] - c);
        store(to + (9 + i) * LANES, l[i]);
        store(to + (18 + i) * LANES, l[i] + c);
    }
}

static void build(int64_t groups, const float *x, const int32_t *offset, const trit_table_tile *t,
                  float *tables) {
    for (int64_t g = 0; g < groups; g++, offset += 3, tables += TABLE_ENTRIES * TABLE_PIXELS)
        for (int v = 0; v * LANES < t->pixels; v++)
            build_group(lanes_at(x + offset[0], t, v), lanes_at(x + offset[1], t, v),
                        lanes_at(x + offset[2], t, v), tables + v * TABLE_ENTRIES * LANES);
}

static void add(int64_t pixels, int64_t rows, int64_t groups, const uint8_t *codes,
                const float *tables, bool first, float *sums) {
    const int vectors = (int)((pixels + LANES - 1) / LANES);
    for (int64_t r = 0; r < rows; r += TABLE_ROWS, codes += groups * TABLE_ROWS)
        if (vectors == VECTORS)
            add_rows(groups, codes, tables, first, sums + r * TABLE_PIXELS, VECTORS);
        else
            add_rows(groups, codes, tables, first, sums + r * TABLE_PIXELS, vectors);
}

/* ---------------------------------------------------------------------------- results */

INLINE float bounded(float v, float lo, float hi) {
    v = lo > v ? lo : v; /* NaN stays */
    return hi < v ? hi : v;
}

INLINE vec bounded_vec(vec v, float lo, float hi) {
    const vec l = splat(lo), h = splat(hi);
    lane_numbers m = l > v;
    v = (vec)((m & (lane_numbers)l) | (~m & (lane_numbers)v));
    m = h < v;
    return (vec)((m & (lane_numbers)h) | (~m & (lane_numbers)v));
}

/* A channel's results of one vector of pixels, before what is added. */
INLINE vec combined(const trit_table_finish *f, int64_t channel, const float *sums) {
    vec v = {0};
    for (int64_t t = 0; t < f->terms; t++) {
        const int64_t row = trit_table_row(f->terms, t, channel);
        const vec s = load(sums + row * TABLE_PIXELS) * splat(f->factor[row]);
        v = t ? v + s : s;
    }
    return v + splat(f->bias[channel]);
}

static void finish(const trit_table_finish *f, int64_t n, const float *sums, const float *add,
                   float *y) {
    float side[TABLE_PIXELS];
    for (int64_t first = 0; first < n; first += LANES) {
        const int64_t pixels = n - first < LANES ? n - first : LANES;
        int64_t k = 0;
        for (; k + LANES <= f->channels; k += LANES) {
            vec v[LANES];
            UNROLL for (int i = 0; i < LANES; i++) v[i] = combined(f, k + i, sums + first);
            transpose_lanes(v);
            UNROLL for (int i = 0; i < LANES; i++) {
                if (i >= pixels) break;
                const int64_t at = (first + i) * f->ld + k;
                if (add) v[i] += load(add + at);
                store(y + at, bounded_vec(v[i], f->lo, f->hi));
            }
        }
        for (; k < f->channels; k++) {
            store(side, combined(f, k, sums + first));
            for (int64_t i = 0; i < pixels; i++) {
                const int64_t at = (first + i) * f->ld + k;
                y[at] = bounded(side[i] + (add ? add[at] : 0.0f), f->lo, f->hi);
            }
        }
    }
}

static void finish_single(const trit_table_finish *f, const float *sums, const float *add,
                          float *y) {
    for (int64_t k = 0; k < f->channels; k++) {
        float v = 0;
        for (int64_t t = 0; t < f->terms; t++) {
            const int64_t row = trit_table_row(f->terms, t, k);
            const float s = sums[row] * f->factor[row];
            v = t ? v + s : s;
        }
        v += f->bias[k];
        if (add) v += add[k];
        y[k] = bounded(v, f->lo, f->hi);
    }
}

const trit_table_kernels SYMBOL(trit_tables) = {.portion = PORTION,
                                                .unit = LANES / 2,
                                                .planes = planes,
                                                .build = build,
                                                .add = add,
                                                .single = SINGLE,
                                                .finish = finish,
                                                .finish_single = finish_single};
