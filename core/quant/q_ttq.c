/*
 * q_ttq.c - trained ternary quantization (Zhu et al., ICLR 2017, arXiv:1612.01064, and the
 * authors' code).
 *
 *   Delta = t max|w|                w' = Wp if w > Delta, -Wn if w < -Delta, else 0
 *   dL/dWp = sum_{w > Delta} g      dL/dWn = - sum_{w < -Delta} g
 *   dL/dw  = Wp g, g, Wn g          on the positive, zero and negative zone
 * `sparsity` r takes Delta as the (1-r) n-th largest |w| instead.  The authors' variant of that
 * differs: it cuts |tanh w|, which has the same order, once an epoch (here: at every forward), and
 * its weights are +-1 with the gradient of tanh; here they are Wp and -Wn, trained as above.
 *
 * Edge rules: cuts are strict.  Wp and Wn may become negative as in the code, unless `min_scale`
 * holds max(W, min_scale) in their place; below it only gradients that raise W pass.  The authors'
 * weight decay covers Wp and Wn; `scale_weight_decay = false` takes them out.
 */
#include <math.h>

#include "quant/rows.h"

enum { T, SPARSITY, SCALE_INIT, MIN_SCALE, SCALE_WEIGHT_DECAY, GRANULARITY };
enum { INIT_MEAN = -1 };
enum { WP, WN };

static const trit_param params[] = {
    {.name = "t", .def = 0.05, .min = 0, .max = 1, .doc = "threshold, fraction of max|w|"},
    {.name = "sparsity",
     .def = -1,
     .min = 0,
     .max = 1,
     .choices = "none=-1",
     .number = true,
     .doc = "share of zeros to cut at instead of t"},
    {.name = "scale_init",
     .def = 1,
     .min = 0,
     .max = 1e6,
     .choices = "mean=-1",
     .number = true,
     .doc = "first Wp and Wn, in units of the weights; mean: of |w| in the zone"},
    {.name = "min_scale",
     .def = -INFINITY,
     .min = 0,
     .max = 1e6,
     .choices = "none=-inf",
     .number = true,
     .doc = "lower limit of Wp and Wn"},
    {.name = "scale_weight_decay",
     .def = 1,
     .choices = TRIT_BOOL,
     .doc = "whether weight decay applies to Wp and Wn"},
    {.name = "granularity", .choices = "layer|filter", .doc = "scales of a layer or a filter"},
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "wp", .doc = "value of the code +1", .lr_scale = 1, .decay = true},
    {.name = "wn", .doc = "magnitude of the code -1", .lr_scale = 1, .decay = true},
    {0},
};

static bool learn_decays(const trit_args *args, int k) {
    (void)k;
    return args->v[SCALE_WEIGHT_DECAY][0] != 0;
}

/* -------------------------------------------------------------------- thresholds */

static trit_status find_deltas(const trit_quant_call *c, const trit_row_stats *stats,
                               double *delta) {
    const double zeros = c->args.v[SPARSITY][0];
    const size_t bytes = zeros >= 0 ? 2 * (size_t)c->rows.len * sizeof(float) : 0;
    float *room = zeros >= 0 ? trit_alloc(bytes) : NULL;
    if (zeros >= 0 && !room) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) {
        if (!room || c->rows.len == 0) {
            delta[r] = c->args.v[T][0] * stats[r].max_abs;
            continue;
        }
        const int64_t n = c->rows.len, kept = llround((1 - zeros) * (double)n);
        trit_row_sort(&c->rows, c->w, r, room);
        delta[r] = kept > 0 ? (double)room[n - kept] : (double)room[n - 1];
    }
    trit_free(room, bytes);
    return TRIT_OK;
}

typedef struct {
    trit_row_stats *stats;
    double *delta;
    float *lo, *hi, *pos, *neg; // [rows]
} work;

static size_t work_bytes(int64_t rows) {
    return (size_t)rows * (sizeof(trit_row_stats) + sizeof(double) + 4 * sizeof(float));
}

static trit_status work_new(int64_t rows, work *m) {
    m->stats = trit_alloc(work_bytes(rows));
    if (!m->stats) return TRIT_ERR_MEM;
    m->delta = (double *)(m->stats + rows);
    m->lo = (float *)(m->delta + rows);
    m->hi = m->lo + rows;
    m->pos = m->hi + rows;
    m->neg = m->pos + rows;
    return TRIT_OK;
}

static trit_status find_cuts(const trit_quant_call *c, work *m) {
    TRIT_TRY(trit_rows_scan("ttq", &c->rows, c->w, m->stats));
    TRIT_TRY(find_deltas(c, m->stats, m->delta));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        m->hi[r] = trit_below(m->delta[r]);
        m->lo[r] = -m->hi[r];
    }
    return TRIT_OK;
}

/* ------------------------------------------------------------------------- reset */

/* Mean of |w| beyond one cut; the other is moved out of reach. */
static trit_status side_means(const trit_quant_call *c, work *m, bool positive, float *out) {
    const size_t bytes = (size_t)c->rows.rows * sizeof(trit_row_kept);
    trit_row_kept *kept = trit_alloc(bytes);
    if (!kept) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) m->pos[r] = positive ? -INFINITY : INFINITY;
    trit_status status =
        trit_rows_keep(&c->rows, c->w, positive ? m->pos : m->lo, positive ? m->hi : m->pos, kept);
    for (int64_t r = 0; r < c->rows.rows && status == TRIT_OK; r++)
        out[r] = kept[r].count > 0 ? (float)(kept[r].sum / kept[r].count) : 0.0f;
    trit_free(kept, bytes);
    return status;
}

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    work m;
    TRIT_TRY(work_new(c->rows.rows, &m));
    trit_status status = find_cuts(c, &m);
    const double first = c->args.v[SCALE_INIT][0];
    for (int k = WP; k <= WN && status == TRIT_OK; k++) {
        for (int64_t r = 0; r < c->rows.rows; r++) learned[k][r] = (float)first;
        if (first == INIT_MEAN) status = side_means(c, &m, k == WP, learned[k]);
    }
    trit_free(m.stats, work_bytes(c->rows.rows));
    return status;
}

/* ----------------------------------------------------------------------- forward */

static trit_status quantize(trit_quant_call *c, work *m) {
    const double least = c->args.v[MIN_SCALE][0];
    TRIT_TRY(find_cuts(c, m));
    for (int64_t r = 0; r < c->rows.rows; r++) {
        const float wp = c->learn[WP][r], wn = c->learn[WN][r];
        if (!isfinite(wp) || !isfinite(wn))
            return trit_fail(TRIT_ERR_ARG, "ttq: scales of row %lld are wp %g, wn %g",
                             (long long)r + 1, (double)wp, (double)wn);
        m->pos[r] = c->scale[r] = (double)wp > least ? wp : (float)least;
        m->neg[r] = c->scale_neg[r] = (double)wn > least ? wn : (float)least;
        trit_row_log(c, r, &m->stats[r]);
        c->cache[r * TRIT_ROW_CACHE + TRIT_ROW_DELTA] = m->delta[r];
    }
    const trit_row_cuts cuts = {m->lo, m->hi, m->pos, m->neg};
    trit_rows_cut(&c->rows, c->w, &cuts, c->codes, c->wq, false);
    return TRIT_OK;
}

static trit_status forward(trit_quant_call *c) {
    work m;
    TRIT_TRY(work_new(c->rows.rows, &m));
    trit_status status = quantize(c, &m);
    trit_free(m.stats, work_bytes(c->rows.rows));
    return status;
}

/* ---------------------------------------------------------------------- backward */

static float held(const trit_args *args, float scale, double g) {
    return (double)scale < args->v[MIN_SCALE][0] && g > 0 ? 0.0f : (float)g;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    const int64_t rows = c->rows.rows;
    const size_t bytes = (size_t)rows * (sizeof(trit_row_sides) + sizeof(float));
    trit_row_sides *sides = trit_alloc(bytes);
    if (!sides) return TRIT_ERR_MEM;
    float *one = (float *)(sides + rows);
    trit_status status = TRIT_OK;
    if (dlearn[WP] || dlearn[WN]) status = trit_rows_gather(&c->rows, g, c->codes, sides);
    for (int64_t r = 0; r < rows && status == TRIT_OK; r++) {
        if (dlearn[WP]) dlearn[WP][r] = held(&c->args, c->learn[WP][r], sides[r].pos);
        if (dlearn[WN]) dlearn[WN][r] = held(&c->args, c->learn[WN][r], -sides[r].neg);
        one[r] = 1;
    }
    if (dw && status == TRIT_OK)
        trit_rows_by_code(&c->rows, g, c->codes, c->scale, one, c->scale_neg, dw);
    trit_free(sides, bytes);
    return status;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    return w * (at.code > 0   ? (double)c->scale[at.row]
                : at.code < 0 ? (double)c->scale_neg[at.row]
                              : 1);
}

static const trit_case cases[] = {
    {"[6,4,3,3]", ""},
    {"[6,4,3,3]", "t=0.1,granularity=filter,scale_init=mean"},
    {"[5,24]", "t=0.25,scale_init=0.5,min_scale=0.01"},
    {"[5,24]", "sparsity=0.5,scale_init=mean"},
    {0},
};

const trit_quantizer trit_quantizer_ttq = {
    .name = "ttq",
    .doc = "trit.quant.ttq{ t, sparsity, scale_init, min_scale, scale_weight_decay, granularity, "
           "ste }\n"
           "    -> quantizer\n"
           "Ternary weights with two trained values.\n"
           "shapes:  w [...] -> w' [...]; wp, wn [rows], rows = 1 or filters\n"
           "eq:      Delta = t max|w|; w' = Wp, 0, -Wn; dL/dWp = sum g, dL/dWn = -sum g;\n"
           "         dL/dw = Wp g, g, Wn g by zone   (Zhu et al. 2017, arXiv:1612.01064)\n"
           "units:   t is a fraction of max|w|; wp, wn in units of the weights\n"
           "errors:  weights or scales that are not finite\n",
    .params = params,
    .learn = learn,
    .properties = TRIT_PROP_PERMUTE | TRIT_PROP_MONOTONE | TRIT_PROP_ODD_CODES | TRIT_PROP_CODED,
    .learn_decays = learn_decays,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .cases = cases,
};
