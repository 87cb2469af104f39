/*
 * pass_kernels.c - the loops over a segment of weights; see passes.def.
 *
 * Loops that mix floats, doubles and codes run over short blocks in steps of one type each and
 * without branches: then the compiler uses vectors, and random weights mispredict nothing.
 */
#include <math.h>
#include <string.h>

#include "quant/passes.h"

#define PASTE_(name, suffix) trit_q_##name##_##suffix
#define PASTE(name, suffix)  PASTE_(name, suffix)
#define PASS(name)           PASTE(name, TRIT_ISA_SUFFIX)
#define INLINE               static inline __attribute__((always_inline))

#define P(name) void PASS(name)(void *context, const trit_segment *s);
#include "quant/isa/passes.def"
#undef P

/* Vectors wider than the registers of an instruction set: all functions on them are inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define LANES 8   /* independent sums, of every instruction set */
#define BLOCK 256 /* floats: a few of these stay in the first-level cache */

typedef double doubles __attribute__((vector_size(8 * LANES)));
typedef float floats __attribute__((vector_size(4 * LANES)));
typedef float floats_in_memory __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int64_t longs __attribute__((vector_size(8 * LANES)));

static int block_length(int64_t left) { return left < BLOCK ? (int)left : BLOCK; }

INLINE doubles widen(const float *x) {
    return __builtin_convertvector((floats) * (const floats_in_memory *)x, doubles);
}

INLINE doubles magnitude(doubles x) { return (doubles)((longs)x & INT64_MAX); }

/* NaN in `a` is passed over. */
INLINE doubles larger(doubles a, doubles b) {
    const longs m = a > b;
    return (doubles)((m & (longs)a) | (~m & (longs)b));
}

/* lane[j % LANES] += x[j] */
INLINE doubles add_lanes(int n, const float *x, doubles lane) {
    int i = 0;
    for (; i + LANES <= n; i += LANES) lane += widen(x + i);
    for (int j = 0; i + j < n; j++) lane[j] += (double)x[i + j];
    return lane;
}

/* Of a code -1, 0, 1: is it +1, is it -1?  Exact, and without a branch. */
INLINE float is_up(float f) { return 0.5f * (f * f + f); }
INLINE float is_down(float f) { return 0.5f * (f * f - f); }

/* Add up lanes in a fixed order. */
INLINE double fold(doubles lane) {
    double total = 0;
    for (int j = 0; j < LANES; j++) total += lane[j];
    return total;
}

/* --------------------------------------------------------------------- statistics */

static void scan_along(const trit_scan_pass *c, const trit_segment *s) {
    const float *w = c->w + s->at;
    const double shift = c->w[s->row * c->r->row_stride];
    doubles sum = {0}, square = {0}, absolute = {0}, top = {0};
    int64_t i = 0;
    for (; i + LANES <= s->n; i += LANES) {
        const doubles x = widen(w + i), d = x - shift, a = magnitude(x);
        sum += d;
        square += d * d;
        absolute += a;
        top = larger(a, top);
    }
    double rest = 0;
    for (; i < s->n; i++) {
        const double x = w[i], d = x - shift, a = fabs(x);
        sum[0] += d;
        square[0] += d * d;
        rest += a;
        top[0] = a > top[0] ? a : top[0];
    }
    double *out = trit_part_of(&c->sums, s);
    out[0] = fold(sum);
    out[1] = fold(square);
    out[2] = fold(absolute) + rest;
    for (int j = 0; j < LANES; j++) out[3] = fmax(out[3], top[j]);
}

static void scan_across(const trit_scan_pass *c, const trit_segment *s) {
    const float *restrict w = c->w + s->at, *restrict first = c->w;
    double *restrict sum = trit_part_of(&c->sums, s), *restrict square = sum + s->n;
    double *restrict absolute = square + s->n, *restrict top = absolute + s->n;
    for (int64_t r = 0; r < s->n; r++) {
        const double x = w[r], d = x - (double)first[r], a = fabs(x);
        sum[r] += d;
        square[r] += d * d;
        absolute[r] += a;
        top[r] = a > top[r] ? a : top[r];
    }
}

void PASS(scan)(void *context, const trit_segment *s) {
    if (s->across)
        scan_across(context, s);
    else
        scan_along(context, s);
}

/* ------------------------------------------------------ sums outside the two cuts */

void PASS(keep)(void *context, const trit_segment *s) {
    const trit_keep_pass *c = context;
    const float *w = c->w + s->at;
    double *out = trit_part_of(&c->sums, s);
    if (s->across) {
        double *restrict sum = out, *restrict count = out + s->n;
        const float *restrict lo = c->lo, *restrict hi = c->hi;
        for (int64_t r = 0; r < s->n; r++) {
            const float one = (float)((w[r] > hi[r]) + (w[r] < lo[r]));
            sum[r] += (double)(one * fabsf(w[r]));
            count[r] += (double)one;
        }
        return;
    }
    const float lo = c->lo[s->row], hi = c->hi[s->row];
    doubles sum = {0}, count = {0};
    for (int64_t i = 0; i < s->n; i += BLOCK) {
        float kept[BLOCK], one[BLOCK];
        const int n = block_length(s->n - i);
        for (int j = 0; j < n; j++) {
            one[j] = (float)((w[i + j] > hi) + (w[i + j] < lo));
            kept[j] = one[j] * fabsf(w[i + j]);
        }
        sum = add_lanes(n, kept, sum);
        count = add_lanes(n, one, count);
    }
    out[0] = fold(sum);
    out[1] = fold(count);
}

/* -------------------------------------------------------------- codes and weights */

/* A row's number, or with `across` that of row j: a choice that inlining makes once a loop. */
INLINE float at(const float *v, bool across, int64_t j) { return across ? v[j] : v[0]; }

/* lo .. neg of the first element; `mode`: 0 codes only, 1 set, 2 add. */
INLINE void cut_run(int64_t n, const float *restrict w, trit_row_cuts by, bool across, int mode,
                    int8_t *restrict codes, float *restrict wq) {
    float up[BLOCK], down[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        const int m = block_length(n - i);
        const int64_t k = across ? i : 0;
        const float *lo = by.lo + k, *hi = by.hi + k, *pos = by.pos + k, *neg = by.neg + k;
        for (int j = 0; j < m; j++) up[j] = w[i + j] > at(hi, across, j) ? 1.0f : 0.0f;
        for (int j = 0; j < m; j++) down[j] = w[i + j] < at(lo, across, j) ? 1.0f : 0.0f;
        for (int j = 0; j < m; j++) codes[i + j] = (int8_t)(up[j] - down[j]);
        for (int j = 0; mode == 1 && j < m; j++)
            wq[i + j] = up[j] * at(pos, across, j) - down[j] * at(neg, across, j);
        for (int j = 0; mode == 2 && j < m; j++)
            wq[i + j] += up[j] * at(pos, across, j) - down[j] * at(neg, across, j);
    }
}

void PASS(cut)(void *context, const trit_segment *s) {
    const trit_cut_pass *c = context;
    const float *w = c->w + s->at;
    int8_t *codes = c->codes + s->at;
    float *wq = c->wq ? c->wq + s->at : NULL;
    const int mode = !wq ? 0 : c->add ? 2 : 1;
    const int64_t row = s->across ? 0 : s->row;
    const trit_row_cuts by = {c->by.lo + row, c->by.hi + row, c->by.pos + row, c->by.neg + row};
    if (s->across) {
        if (mode == 0) cut_run(s->n, w, by, true, 0, codes, wq);
        if (mode == 1) cut_run(s->n, w, by, true, 1, codes, wq);
        if (mode == 2) cut_run(s->n, w, by, true, 2, codes, wq);
    } else {
        if (mode == 0) cut_run(s->n, w, by, false, 0, codes, wq);
        if (mode == 1) cut_run(s->n, w, by, false, 1, codes, wq);
        if (mode == 2) cut_run(s->n, w, by, false, 2, codes, wq);
    }
}

/* ------------------------------------------------------------------ gradient sums */

void PASS(gather)(void *context, const trit_segment *s) {
    const trit_gather_pass *c = context;
    const float *g = c->g + s->at;
    const int8_t *t = c->codes + s->at;
    double *out = trit_part_of(&c->sums, s);
    if (s->across) {
        double *restrict pos = out, *restrict neg = out + s->n;
        for (int64_t r = 0; r < s->n; r++) {
            const float f = t[r];
            pos[r] += (double)(is_up(f) * g[r]);
            neg[r] += (double)(is_down(f) * g[r]);
        }
        return;
    }
    doubles pos = {0}, neg = {0};
    for (int64_t i = 0; i < s->n; i += BLOCK) {
        float up[BLOCK], down[BLOCK];
        const int n = block_length(s->n - i);
        for (int j = 0; j < n; j++) up[j] = is_up(t[i + j]) * g[i + j];
        for (int j = 0; j < n; j++) down[j] = is_down(t[i + j]) * g[i + j];
        pos = add_lanes(n, up, pos);
        neg = add_lanes(n, down, neg);
    }
    out[0] = fold(pos);
    out[1] = fold(neg);
}

/* --------------------------------------------------------------- weight gradients */

INLINE void affine_run(const trit_affine_pass *c, const trit_segment *s, bool across, bool full) {
    const float *restrict w = c->w + s->at, *restrict g = c->g + s->at;
    const int64_t row = across ? 0 : s->row;
    const float *restrict factor = c->by.factor + row, limit = c->by.limit;
    const float *restrict offset = full ? c->by.offset + row : NULL;
    const float *restrict slope = full ? c->by.slope + row : NULL;
    const float *restrict center = full ? c->by.center + row : NULL;
    float *restrict dw = c->dw + s->at;
    for (int64_t i = 0; i < s->n; i++) {
        const float through = at(factor, across, i) * g[i];
        float d = fabsf(w[i]) <= limit ? through : 0.0f;
        if (full)
            d += at(offset, across, i) + at(slope, across, i) * (w[i] - at(center, across, i));
        dw[i] = d;
    }
}

void PASS(affine)(void *context, const trit_segment *s) {
    const trit_affine_pass *c = context;
    if (s->across && c->by.offset) affine_run(c, s, true, true);
    if (s->across && !c->by.offset) affine_run(c, s, true, false);
    if (!s->across && c->by.offset) affine_run(c, s, false, true);
    if (!s->across && !c->by.offset) affine_run(c, s, false, false);
}

INLINE void by_code_run(const trit_by_code_pass *c, const trit_segment *s, bool across) {
    const float *restrict g = c->g + s->at;
    const int8_t *restrict t = c->codes + s->at;
    const int64_t row = across ? 0 : s->row;
    const float *restrict pos = c->pos + row, *restrict zero = c->zero + row;
    const float *restrict neg = c->neg + row;
    float *restrict dw = c->dw + s->at;
    for (int64_t i = 0; i < s->n; i++) {
        const float f = t[i];
        dw[i] = g[i] * (is_up(f) * at(pos, across, i) + (1 - f * f) * at(zero, across, i) +
                        is_down(f) * at(neg, across, i));
    }
}

void PASS(by_code)(void *context, const trit_segment *s) {
    if (s->across)
        by_code_run(context, s, true);
    else
        by_code_run(context, s, false);
}
