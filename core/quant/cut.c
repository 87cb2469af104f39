/*
 * cut.c - the parts of quantizers that are two cuts a row, for those made at run time.
 */
#include <math.h>

#include "quant/rows.h"

typedef struct {
    trit_row_stats *stats;
    trit_row_kept *kept;
    float *lo, *hi, *pos, *neg; // [rows]
} work;

static trit_status apply(trit_quant_call *c, const trit_cut *cuts, work *m) {
    const char *name = c->quantizer->name;
    TRIT_TRY(trit_rows_scan(name, &c->rows, c->w, m->stats));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        if (isnan(cuts[r].lo) || isnan(cuts[r].hi) || cuts[r].lo > cuts[r].hi)
            return trit_fail(TRIT_ERR_ARG, "%s: the cuts of row %lld are lo %g, hi %g", name,
                             (long long)r + 1, cuts[r].lo, cuts[r].hi);
        m->lo[r] = trit_above(cuts[r].lo);
        m->hi[r] = trit_below(cuts[r].hi);
    }
    TRIT_TRY(trit_rows_keep(&c->rows, c->w, m->lo, m->hi, m->kept));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        double *cache = c->cache + r * TRIT_ROW_CACHE;
        const double mean = m->kept[r].count > 0 ? m->kept[r].sum / m->kept[r].count : 0;
        m->pos[r] = c->scale[r] = (float)(isnan(cuts[r].pos) ? mean : cuts[r].pos);
        m->neg[r] = c->scale_neg[r] = (float)(isnan(cuts[r].neg) ? mean : cuts[r].neg);
        trit_row_log(c, r, &m->stats[r]);
        cache[TRIT_ROW_CENTER] = 0.5 * (cuts[r].lo + cuts[r].hi);
        cache[TRIT_ROW_DELTA] = 0.5 * (cuts[r].hi - cuts[r].lo);
    }
    const trit_row_cuts by = {m->lo, m->hi, m->pos, m->neg};
    trit_rows_cut(&c->rows, c->w, &by, c->codes, c->wq, false);
    return TRIT_OK;
}

trit_status trit_quant_cut(trit_quant_call *c, const trit_cut *cuts) {
    const size_t rows = (size_t)c->rows.rows;
    const size_t bytes =
        rows * (sizeof(trit_row_stats) + sizeof(trit_row_kept) + 4 * sizeof(float));
    char *room = trit_alloc(bytes);
    if (!room) return TRIT_ERR_MEM;
    work m = {.stats = (trit_row_stats *)room};
    m.kept = (trit_row_kept *)(m.stats + rows);
    m.lo = (float *)(m.kept + rows);
    m.hi = m.lo + rows;
    m.pos = m.hi + rows;
    m.neg = m.pos + rows;
    trit_status status = apply(c, cuts, &m);
    trit_free(room, bytes);
    return status;
}

trit_status trit_quant_ste(const trit_quant_call *c, trit_ste kind, const float *g, float *dw) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(float);
    float *one = trit_alloc(bytes);
    if (!one) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) one[r] = 1;
    const trit_row_affine by = {.factor = one,
                                .limit = kind == TRIT_STE_CLIP1 ? nextafterf(1, 0) : INFINITY};
    if (kind == TRIT_STE_SCALED)
        trit_rows_by_code(&c->rows, g, c->codes, c->scale, one, c->scale_neg, dw);
    else
        trit_rows_affine(&c->rows, c->w, g, &by, dw);
    trit_free(one, bytes);
    return TRIT_OK;
}

double trit_quant_ste_integral(trit_ste kind, double w, int code, double pos, double neg) {
    if (kind == TRIT_STE_CLIP1) return fmax(-1, fmin(1, w));
    if (kind == TRIT_STE_SCALED) return w * (code > 0 ? pos : code < 0 ? neg : 1);
    return w;
}

trit_status trit_quant_sides(const trit_quant_call *c, const float *g, double *pos, double *neg) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_sides);
    trit_row_sides *sides = trit_alloc(bytes);
    if (!sides) return TRIT_ERR_MEM;
    trit_status status = trit_rows_gather(&c->rows, g, c->codes, sides);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++) {
        pos[r] = sides[r].pos;
        neg[r] = sides[r].neg;
    }
    trit_free(sides, bytes);
    return status;
}
