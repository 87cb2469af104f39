/*
 * row_work.c - making and taking rows (trit/rows.h), one loop per combination that occurs.
 *
 * Work goes in bands of BAND rows; inside a band one group of up to four vectors of channels after
 * the other, so that per-channel vectors stay in registers and memory is read in runs of whole
 * cache lines: side by side for 64 channels, which is what the hardware's prefetch follows.  Sums
 * are kept in float for one band, then in double.  The combinations are constants of inlined
 * functions, so that every loop has only the work it needs.
 */
#include "kernels/isa/isa.h"

#define BAND   32
#define WIDEST (LANES == 16 ? 4 : 2) /* vectors of a group: what the registers hold */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 4")

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

enum { NONE, PLAIN, SCALED, AFFINE }; /* what P and Q are */

/* Which loop: what P and Q are, the maximum, levels. */
typedef struct {
    int p, q;
    bool relu, levels;
} making;

#define TO_WHOLE 12582912.0f /* 1.5 2^23: added and taken away, a float keeps no fraction */

/* The nearest level, halves to even; NaN stays. */
INLINE vf level(vf v, const trit_levels *l) {
    const vf none = {0}, low = none + l->low, top = none + l->top;
    v = pick(v < low, low, v);
    v = pick(v > top, top, v);
    return (v * l->scale + TO_WHOLE - TO_WHOLE) * l->step;
}

/* ------------------------------------------------------------------- making */

/* `nb` vectors from channel c of n rows. */
INLINE void make_group(const trit_make *r, const float *p, const float *q, int64_t n, float *dst,
                       int64_t c, int nb, making k) {
    const vf none = {0};
    vf pm[4], pa[4], pb[4], qm[4], qa[4], qb[4];
    UNROLL for (int b = 0; b < nb; b++) {
        const int64_t at = c + b * LANES;
        pm[b] = k.p == AFFINE ? load(r->pm + at) : none;
        pb[b] = k.p == AFFINE ? load(r->pb + at) : none;
        pa[b] = k.p != PLAIN ? load(r->pa + at) : none;
        qm[b] = qa[b] = qb[b] = none;
        if (k.q == AFFINE)
            qm[b] = load(r->qm + at), qa[b] = load(r->qa + at), qb[b] = load(r->qb + at);
    }
    for (int64_t i = c; i < n * r->C; i += r->C) UNROLL for (int b = 0; b < nb; b++) {
            const int64_t at = i + b * LANES;
            vf v = load(p + at);
            if (k.p == SCALED) v *= pa[b];
            if (k.p == AFFINE) v = (v - pm[b]) * pa[b] + pb[b];
            if (k.q == PLAIN) v += load(q + at);
            if (k.q == AFFINE) v += (load(q + at) - qm[b]) * qa[b] + qb[b];
            if (k.relu) v = pick(v < none, none, v); /* NaN stays */
            if (k.levels) v = level(v, &r->levels);
            store(dst + at, v);
        }
}

/* Channels beyond the last full vector, one by one. */
static void make_rest(const trit_make *r, const float *p, const float *q, int64_t n, float *dst,
                      int64_t c0) {
    for (int64_t c = c0; c < r->C; c++)
        for (int64_t i = c; i < n * r->C; i += r->C) {
            float v = p[i];
            if (r->pa) v = r->pm ? (v - r->pm[c]) * r->pa[c] + r->pb[c] : v * r->pa[c];
            if (r->q) v += r->qm ? (q[i] - r->qm[c]) * r->qa[c] + r->qb[c] : q[i];
            if (r->relu && v < 0.0f) v = 0.0f;
            dst[i] = r->levels.scale != 0.0f ? level((vf){0} + v, &r->levels)[0] : v;
        }
}

INLINE void make(const trit_make *r, int64_t first, int64_t count, float *dst, making k) {
    for (int64_t i = 0; i < count; i += BAND) {
        const int64_t n = least(BAND, count - i), at = (first + i) * r->C;
        const float *p = r->p + at, *q = k.q == NONE ? NULL : r->q + at;
        float *to = dst + i * r->C;
        int64_t c = 0;
        if (WIDEST == 4)
            for (; c + 4 * LANES <= r->C; c += 4 * LANES) make_group(r, p, q, n, to, c, 4, k);
        for (; c + 2 * LANES <= r->C; c += 2 * LANES) make_group(r, p, q, n, to, c, 2, k);
        for (; c + LANES <= r->C; c += LANES) make_group(r, p, q, n, to, c, 1, k);
        if (c < r->C) make_rest(r, p, q, n, to, c);
    }
}

void KERNEL(rows_make)(const trit_make *r, int64_t first, int64_t count, float *dst) {
    const int p = !r->pa ? PLAIN : r->pm ? AFFINE : SCALED;
    const int q = !r->q ? NONE : r->qm ? AFFINE : PLAIN;
    const bool levels = r->levels.scale != 0.0f;
#define CASE(of_p, of_q, rectify, to_levels)                                                       \
    if (p == (of_p) && q == (of_q) && r->relu == (rectify) && levels == (to_levels)) {             \
        make(r, first, count, dst, (making){of_p, of_q, rectify, to_levels});                      \
        return;                                                                                    \
    }
    CASE(AFFINE, NONE, false, false)
    CASE(AFFINE, NONE, true, false)
    CASE(AFFINE, NONE, true, true)
    CASE(AFFINE, PLAIN, false, false)
    CASE(AFFINE, PLAIN, true, false)
    CASE(AFFINE, AFFINE, false, false)
    CASE(AFFINE, AFFINE, true, false)
    CASE(SCALED, AFFINE, false, false)
    CASE(PLAIN, NONE, false, true)
#undef CASE
    make(r, first, count, dst, (making){p, q, r->relu, levels});
}

/* ------------------------------------------------------------------- taking */

enum { KEEP, BY_Z, BY_Y }; /* which rows stay */

typedef struct {
    bool add;
    int mask;
    bool with_y, capped;
} taking;

typedef double vd __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

INLINE void fold(double *sum, vf v) { *(vd *)sum += __builtin_convertvector(v, vd); }

/* `nb` vectors from channel c of rows at .. at+n-1. */
INLINE void take_group(const trit_take *t, int64_t at, int64_t n, int64_t c, float *v, double *sums,
                       int nb, taking k) {
    const vf none = {0};
    vf m[4], a[4], b[4], s[4], d[4];
    UNROLL for (int j = 0; j < nb; j++) {
        s[j] = d[j] = none;
        if (k.with_y) m[j] = load(t->ym + c + j * LANES);
        if (k.mask == BY_Y) a[j] = load(t->ya + c + j * LANES), b[j] = load(t->yb + c + j * LANES);
    }
    for (int64_t row = at * t->C + c; row < (at + n) * t->C; row += t->C)
        UNROLL for (int j = 0; j < nb; j++) {
            const int64_t i = row + j * LANES;
            vf x = load(v + i), y = none;
            vf u = none;
            if (k.with_y) y = load(t->y + i) - m[j];
            if (k.mask == BY_Z) u = load(t->z + i);
            if (k.mask == BY_Y) u = y * a[j] + b[j];
            if (k.capped) x = pick(u > t->top, none, x);
            if (k.add) x += load(t->add + i);
            if (k.mask != KEEP) x = pick(u > none, x, none);
            if (k.add || k.mask != KEEP) store(v + i, x);
            s[j] += x;
            d[j] += k.with_y ? x * y : x * x;
        }
    UNROLL for (int j = 0; j < nb; j++) {
        fold(sums + c + j * LANES, s[j]);
        fold(sums + t->C + c + j * LANES, d[j]);
    }
}

/* Channels beyond the last full vector, one by one. */
static void take_rest(const trit_take *t, int64_t at, int64_t n, int64_t c0, int64_t c1, float *v,
                      double *sums) {
    for (int64_t c = c0; c < c1; c++)
        for (int64_t i = at * t->C + c; i < (at + n) * t->C; i += t->C) {
            const float y = t->y ? t->y[i] - t->ym[c] : 0.0f;
            const float u = t->z ? t->z[i] : t->ya ? y * t->ya[c] + t->yb[c] : 1.0f;
            float x = t->capped && u > t->top ? 0.0f : v[i];
            if (t->add) x += t->add[i];
            if (!(u > 0.0f)) x = 0.0f;
            v[i] = x;
            sums[c] += (double)x;
            sums[t->C + c] += (double)x * (double)(t->y ? y : x);
        }
}

INLINE void take(const trit_take *t, int64_t first, int64_t count, int64_t c0, int64_t c1, float *v,
                 double *sums, taking k) {
    for (int64_t i = 0; i < count; i += BAND) {
        const int64_t n = least(BAND, count - i), at = first + i;
        int64_t c = c0;
        if (WIDEST == 4)
            for (; c + 4 * LANES <= c1; c += 4 * LANES) take_group(t, at, n, c, v, sums, 4, k);
        for (; c + 2 * LANES <= c1; c += 2 * LANES) take_group(t, at, n, c, v, sums, 2, k);
        for (; c + LANES <= c1; c += LANES) take_group(t, at, n, c, v, sums, 1, k);
        if (c < c1) take_rest(t, at, n, c, c1, v, sums);
    }
}

void KERNEL(rows_take)(const trit_take *t, int64_t first, int64_t count, int64_t c0, int64_t c1,
                       float *v, double *sums) {
    const int mask = t->z ? BY_Z : t->ya ? BY_Y : KEEP;
    const bool add = t->add != NULL, with_y = t->y != NULL;
#define CASE(a, m, y, cap)                                                                         \
    if (add == (a) && mask == (m) && with_y == (y) && t->capped == (cap)) {                        \
        take(t, first, count, c0, c1, v, sums, (taking){a, m, y, cap});                            \
        return;                                                                                    \
    }
    CASE(false, KEEP, false, false)
    CASE(false, BY_Y, true, false)
    CASE(false, BY_Z, true, false)
    CASE(true, BY_Z, true, false)
    CASE(true, BY_Y, true, false)
    CASE(true, BY_Z, false, false)
    CASE(false, BY_Z, false, false)
    CASE(false, BY_Y, true, true)
    CASE(true, BY_Z, true, true)
#undef CASE
    take(t, first, count, c0, c1, v, sums, (taking){add, mask, with_y, t->capped});
}
