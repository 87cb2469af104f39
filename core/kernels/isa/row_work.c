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

enum { NONE, PLAIN, AFFINE }; /* what Q is */

/* Which loop: P centred, what Q is, the maximum. */
typedef struct {
    bool centred;
    int with;
    bool relu;
} making;

/* ------------------------------------------------------------------- making */

/* `nb` vectors from channel c of n rows. */
INLINE void make_group(const trit_make *r, const float *p, const float *q, int64_t n, float *dst,
                       int64_t c, int nb, making k) {
    const vf none = {0};
    vf pm[4], pa[4], pb[4], qm[4], qa[4], qb[4];
    UNROLL for (int b = 0; b < nb; b++) {
        const int64_t at = c + b * LANES;
        pa[b] = load(r->pa + at);
        if (k.centred) pm[b] = load(r->pm + at), pb[b] = load(r->pb + at);
        if (k.with == AFFINE)
            qm[b] = load(r->qm + at), qa[b] = load(r->qa + at), qb[b] = load(r->qb + at);
    }
    for (int64_t i = c; i < n * r->C; i += r->C) UNROLL for (int b = 0; b < nb; b++) {
            const int64_t at = i + b * LANES;
            vf v = k.centred ? (load(p + at) - pm[b]) * pa[b] + pb[b] : pa[b] * load(p + at);
            if (k.with == PLAIN) v += load(q + at);
            if (k.with == AFFINE) v += (load(q + at) - qm[b]) * qa[b] + qb[b];
            if (k.relu) v = pick(v < none, none, v); /* NaN stays */
            store(dst + at, v);
        }
}

/* Channels beyond the last full vector, one by one. */
static void make_rest(const trit_make *r, const float *p, const float *q, int64_t n, float *dst,
                      int64_t c0) {
    for (int64_t c = c0; c < r->C; c++)
        for (int64_t i = c; i < n * r->C; i += r->C) {
            float v = r->pm ? (p[i] - r->pm[c]) * r->pa[c] + r->pb[c] : r->pa[c] * p[i];
            if (r->q) v += r->qm ? (q[i] - r->qm[c]) * r->qa[c] + r->qb[c] : q[i];
            dst[i] = r->relu && v < 0.0f ? 0.0f : v;
        }
}

INLINE void make(const trit_make *r, int64_t first, int64_t count, float *dst, making k) {
    for (int64_t i = 0; i < count; i += BAND) {
        const int64_t n = least(BAND, count - i), at = (first + i) * r->C;
        const float *p = r->p + at, *q = k.with == NONE ? NULL : r->q + at;
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
    const int with = !r->q ? NONE : r->qm ? AFFINE : PLAIN;
#define CASE(centred, w, rectify)                                                                  \
    if ((r->pm != NULL) == (centred) && with == (w) && r->relu == (rectify)) {                     \
        make(r, first, count, dst, (making){centred, w, rectify});                                 \
        return;                                                                                    \
    }
    CASE(true, NONE, false)
    CASE(true, NONE, true)
    CASE(true, PLAIN, false)
    CASE(true, PLAIN, true)
    CASE(true, AFFINE, false)
    CASE(true, AFFINE, true)
    CASE(false, AFFINE, false)
#undef CASE
    make(r, first, count, dst, (making){r->pm != NULL, with, r->relu});
}

/* ------------------------------------------------------------------- taking */

enum { KEEP, BY_Z, BY_Y }; /* which rows stay */

typedef struct {
    bool add;
    int mask;
    bool with_y;
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
            if (k.with_y) y = load(t->y + i) - m[j];
            if (k.add) x += load(t->add + i);
            if (k.mask == BY_Z) x = pick(load(t->z + i) > none, x, none);
            if (k.mask == BY_Y) x = pick(y * a[j] + b[j] > none, x, none);
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
            float x = v[i];
            if (t->add) x += t->add[i];
            if (t->z ? !(t->z[i] > 0.0f) : t->ya && !(y * t->ya[c] + t->yb[c] > 0.0f)) x = 0.0f;
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
#define CASE(a, m, y)                                                                              \
    if (add == (a) && mask == (m) && with_y == (y)) {                                              \
        take(t, first, count, c0, c1, v, sums, (taking){a, m, y});                                 \
        return;                                                                                    \
    }
    CASE(false, KEEP, false)
    CASE(false, BY_Y, true)
    CASE(false, BY_Z, true)
    CASE(true, BY_Z, true)
    CASE(true, BY_Y, true)
    CASE(true, BY_Z, false)
    CASE(false, BY_Z, false)
#undef CASE
    take(t, first, count, c0, c1, v, sums, (taking){add, mask, with_y});
}
