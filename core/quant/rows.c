/*
 * rows.c - passes over the rows of a weight tensor (see rows.h).
 */
#include "quant/rows.h"

#include <math.h>
#include <string.h>

#define SEGMENT 16384 /* elements of one unit of work: 64 KiB of floats */
#define LANES   8     /* independent sums, so that the compiler can use vectors */
#define FIELDS  4     /* numbers of one partial sum at most */

trit_rows trit_rows_of(const trit_tensor *w, bool per_filter) {
    const int64_t n = trit_numel(w);
    trit_rows one = {1, n, n, 1};
    if (!per_filter || w->shape.ndim < 2 || w->shape.dim[0] <= 1 || n == 0) return one;
    const int64_t rows = w->shape.dim[0], len = n / rows;
    if (len > 1 && w->stride[0] == 1) return (trit_rows){rows, len, 1, rows};
    return (trit_rows){rows, len, len, 1};
}

/* ------------------------------------------------------------------ cutting work */

typedef trit_segment segment;

typedef struct {
    trit_rows r;
    bool across;
    int64_t per_part; /* along: elements; across: index values */
    int64_t parts;    /* along: of one row; across: of the tensor */
    int64_t rows_per_unit;
    void (*body)(void *context, const segment *s);
    void *context;
} plan;

static plan plan_of(const trit_rows *r) {
    plan p = {.r = *r, .across = r->rows > 1 && r->row_stride == 1};
    p.per_part = p.across ? (SEGMENT + r->rows - 1) / r->rows : SEGMENT;
    p.parts = r->len > p.per_part ? (r->len + p.per_part - 1) / p.per_part : 1;
    p.rows_per_unit = p.across || p.parts > 1 || r->len == 0 ? 1 : SEGMENT / r->len;
    return p;
}

static int64_t part_count(const plan *p) { return p->across ? p->parts : p->parts * p->r.rows; }

static void run_across(const plan *p, int64_t unit) {
    const int64_t end = (unit + 1) * p->per_part;
    for (int64_t i = unit * p->per_part; i < end && i < p->r.len; i++)
        p->body(p->context, &(segment){0, i * p->r.rows, p->r.rows, unit, true});
}

static void run_unit(void *context, int64_t unit, int worker) {
    const plan *p = context;
    (void)worker;
    if (p->across) {
        run_across(p, unit);
    } else if (p->parts > 1) {
        const int64_t row = unit / p->parts, from = unit % p->parts * p->per_part;
        const int64_t left = p->r.len - from;
        p->body(p->context, &(segment){row, row * p->r.row_stride + from,
                                       left < p->per_part ? left : p->per_part, unit, false});
    } else {
        const int64_t end = (unit + 1) * p->rows_per_unit;
        for (int64_t row = unit * p->rows_per_unit; row < end && row < p->r.rows; row++)
            p->body(p->context, &(segment){row, row * p->r.row_stride, p->r.len, row, false});
    }
}

static void each_segment(plan *p, void (*body)(void *, const segment *), void *context) {
    p->body = body;
    p->context = context;
    int64_t units =
        p->across ? p->parts : (p->parts * p->r.rows + p->rows_per_unit - 1) / p->rows_per_unit;
    if (p->r.len > 0) trit_parallel(units, run_unit, p);
}

/* Partial sums: [part][field] along, [part][field][row] across. */
typedef struct {
    double *at;
    size_t bytes;
    int fields;
} partials;

static trit_status partials_new(const plan *p, int fields, partials *out) {
    out->fields = fields;
    out->bytes = (size_t)(part_count(p) * fields * (p->across ? p->r.rows : 1)) * sizeof(double);
    out->at = trit_alloc(out->bytes);
    if (!out->at) return TRIT_ERR_MEM;
    memset(out->at, 0, out->bytes);
    return TRIT_OK;
}

/* Field f of row r: the parts added in order (or, for a maximum, compared). */
static double collect(const plan *p, const partials *s, int64_t row, int f, bool maximum) {
    double total = 0;
    for (int64_t k = 0; k < p->parts; k++) {
        double v = p->across ? s->at[(k * s->fields + f) * p->r.rows + row]
                             : s->at[(row * p->parts + k) * s->fields + f];
        total = maximum ? fmax(total, v) : total + v;
    }
    return total;
}

static double *part_of(const partials *s, const segment *g) {
    return s->at + g->part * s->fields * (g->across ? g->n : 1);
}

/*
 * Loops that mix floats, doubles and codes run over short blocks in steps of one type each and
 * without branches: then the compiler uses vectors, and random weights mispredict nothing.
 */
#define BLOCK 256 /* floats: a few of these stay in the first-level cache */

static int block_length(int64_t left) { return left < BLOCK ? (int)left : BLOCK; }

/* lane[j % LANES] += x[j] */
static void add_lanes(int n, const float *x, double *lane) {
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) lane[j] += (double)x[i + j];
    for (int j = 0; i + j < n; j++) lane[j] += (double)x[i + j];
}

/* Of a code -1, 0, 1: is it +1, is it -1?  Exact, and without a branch. */
static inline float is_up(float f) { return 0.5f * (f * f + f); }
static inline float is_down(float f) { return 0.5f * (f * f - f); }

/* Add up lanes in a fixed order. */
static double fold(const double *lane) {
    double total = 0;
    for (int j = 0; j < LANES; j++) total += lane[j];
    return total;
}

/* --------------------------------------------------------------------- statistics */

typedef struct {
    const float *w;
    const trit_rows *r;
    partials sums; /* of distance from the row's first weight, its square, |w|; max |w| */
} scan;

static void scan_along(scan *c, const segment *s) {
    const float *w = c->w + s->at;
    const double shift = c->w[s->row * c->r->row_stride];
    double sum[LANES] = {0}, square[LANES] = {0}, magnitude[LANES] = {0}, rest = 0;
    float top[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= s->n; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const double d = (double)w[i + j] - shift;
            const float a = fabsf(w[i + j]);
            sum[j] += d;
            square[j] += d * d;
            magnitude[j] += (double)a;
            top[j] = a > top[j] ? a : top[j];
        }
    for (; i < s->n; i++) {
        const double d = (double)w[i] - shift;
        const float a = fabsf(w[i]);
        sum[0] += d;
        square[0] += d * d;
        rest += (double)a;
        top[0] = a > top[0] ? a : top[0];
    }
    double *out = part_of(&c->sums, s);
    out[0] = fold(sum);
    out[1] = fold(square);
    out[2] = fold(magnitude) + rest;
    for (int j = 0; j < LANES; j++) out[3] = fmax(out[3], (double)top[j]);
}

static void scan_across(scan *c, const segment *s) {
    const float *restrict w = c->w + s->at, *restrict first = c->w;
    double *restrict sum = part_of(&c->sums, s), *restrict square = sum + s->n;
    double *restrict magnitude = square + s->n, *restrict top = magnitude + s->n;
    for (int64_t r = 0; r < s->n; r++) {
        const double x = w[r], d = x - (double)first[r], a = fabs(x);
        sum[r] += d;
        square[r] += d * d;
        magnitude[r] += a;
        top[r] = a > top[r] ? a : top[r];
    }
}

static void scan_body(void *context, const segment *s) {
    if (s->across)
        scan_across(context, s);
    else
        scan_along(context, s);
}

/* The sum of |w| is finite unless some w is not: doubles cannot overflow on floats. */
static trit_status not_finite(const char *name, const trit_rows *r, const float *w, int64_t row) {
    int64_t i = 0;
    while (i + 1 < r->len && isfinite(w[row * r->row_stride + i * r->step])) i++;
    return trit_fail(TRIT_ERR_ARG, "%s: weights must be finite, but number %lld of row %lld is %g",
                     name, (long long)i + 1, (long long)row + 1,
                     (double)w[row * r->row_stride + i * r->step]);
}

trit_status trit_rows_scan(const char *name, const trit_rows *r, const float *w,
                           trit_row_stats *stats) {
    plan p = plan_of(r);
    scan c = {.w = w, .r = r};
    trit_status status = TRIT_OK;
    memset(stats, 0, (size_t)r->rows * sizeof *stats);
    if (r->len == 0) return TRIT_OK;
    TRIT_TRY(partials_new(&p, FIELDS, &c.sums));
    each_segment(&p, scan_body, &c);
    const double n = (double)r->len;
    for (int64_t row = 0; row < r->rows && status == TRIT_OK; row++) {
        const double sum = collect(&p, &c.sums, row, 0, false);
        const double square = collect(&p, &c.sums, row, 1, false);
        stats[row].mean = (double)w[row * r->row_stride] + sum / n;
        stats[row].deviation = fmax(0.0, square - sum * sum / n);
        stats[row].mean_abs = collect(&p, &c.sums, row, 2, false) / n;
        stats[row].max_abs = collect(&p, &c.sums, row, 3, true);
        if (!isfinite(stats[row].mean_abs)) status = not_finite(name, r, w, row);
    }
    trit_free(c.sums.at, c.sums.bytes);
    return status;
}

double trit_row_sigma(const trit_row_stats *s, int64_t n) {
    return n > 1 ? sqrt(s->deviation / (double)(n - 1)) : 0;
}

void trit_row_log(const trit_quant_call *c, int64_t row, const trit_row_stats *stats) {
    double *cache = c->cache + row * TRIT_ROW_CACHE;
    for (int i = 0; i < TRIT_ROW_CACHE; i++) cache[i] = NAN;
    cache[TRIT_ROW_MU] = stats->mean;
    cache[TRIT_ROW_SIGMA] = trit_row_sigma(stats, c->rows.len);
    cache[TRIT_ROW_CENTER] = 0;
}

/* ------------------------------------------------------- sums outside the two cuts */

typedef struct {
    const float *w, *lo, *hi;
    partials sums; /* of |w|, number */
} keep;

static void keep_body(void *context, const segment *s) {
    keep *c = context;
    const float *w = c->w + s->at;
    double *out = part_of(&c->sums, s);
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
    double sum[LANES] = {0}, count[LANES] = {0};
    for (int64_t i = 0; i < s->n; i += BLOCK) {
        float kept[BLOCK], one[BLOCK];
        const int n = block_length(s->n - i);
        for (int j = 0; j < n; j++) {
            one[j] = (float)((w[i + j] > hi) + (w[i + j] < lo));
            kept[j] = one[j] * fabsf(w[i + j]);
        }
        add_lanes(n, kept, sum);
        add_lanes(n, one, count);
    }
    out[0] = fold(sum);
    out[1] = fold(count);
}

trit_status trit_rows_keep(const trit_rows *r, const float *w, const float *lo, const float *hi,
                           trit_row_kept *kept) {
    plan p = plan_of(r);
    keep c = {.w = w, .lo = lo, .hi = hi};
    TRIT_TRY(partials_new(&p, 2, &c.sums));
    each_segment(&p, keep_body, &c);
    for (int64_t row = 0; row < r->rows; row++) {
        kept[row].sum = collect(&p, &c.sums, row, 0, false);
        kept[row].count = collect(&p, &c.sums, row, 1, false);
    }
    trit_free(c.sums.at, c.sums.bytes);
    return TRIT_OK;
}

/* ------------------------------------------------------------- codes and weights */

typedef struct {
    const float *w;
    trit_row_cuts by;
    int8_t *codes;
    float *wq;
    bool add;
} cut;

/* `step` 0: one row's numbers for all elements; 1: element i is of row i.  A constant after
 * inlining, like `mode`: 0 codes only, 1 set, 2 add. */
static inline __attribute__((always_inline)) void
cut_run(int64_t n, const float *restrict w, const trit_row_cuts *by, int64_t row, int step,
        int mode, int8_t *restrict codes, float *restrict wq) {
    const float *lo = by->lo + row, *hi = by->hi + row;
    const float *pos = by->pos + row, *neg = by->neg + row;
    for (int64_t i = 0; i < n; i += BLOCK) {
        float up[BLOCK], down[BLOCK];
        const int m = block_length(n - i);
        const int64_t k = i * step;
        for (int j = 0; j < m; j++) up[j] = w[i + j] > hi[k + j * step] ? 1.0f : 0.0f;
        for (int j = 0; j < m; j++) down[j] = w[i + j] < lo[k + j * step] ? 1.0f : 0.0f;
        for (int j = 0; j < m; j++) codes[i + j] = (int8_t)(up[j] - down[j]);
        for (int j = 0; mode && j < m; j++)
            up[j] = up[j] * pos[k + j * step] - down[j] * neg[k + j * step];
        if (mode == 1) memcpy(wq + i, up, (size_t)m * sizeof *up);
        for (int j = 0; mode == 2 && j < m; j++) wq[i + j] += up[j];
    }
}

static void cut_body(void *context, const segment *s) {
    const cut *c = context;
    const float *w = c->w + s->at;
    int8_t *codes = c->codes + s->at;
    float *wq = c->wq ? c->wq + s->at : NULL;
    const int mode = !wq ? 0 : c->add ? 2 : 1;
    if (s->across) {
        if (mode == 0) cut_run(s->n, w, &c->by, 0, 1, 0, codes, wq);
        if (mode == 1) cut_run(s->n, w, &c->by, 0, 1, 1, codes, wq);
        if (mode == 2) cut_run(s->n, w, &c->by, 0, 1, 2, codes, wq);
    } else {
        if (mode == 0) cut_run(s->n, w, &c->by, s->row, 0, 0, codes, wq);
        if (mode == 1) cut_run(s->n, w, &c->by, s->row, 0, 1, codes, wq);
        if (mode == 2) cut_run(s->n, w, &c->by, s->row, 0, 2, codes, wq);
    }
}

void trit_rows_cut(const trit_rows *r, const float *w, const trit_row_cuts *cuts, int8_t *codes,
                   float *wq, bool add) {
    plan p = plan_of(r);
    cut c = {w, *cuts, codes, wq, add};
    each_segment(&p, cut_body, &c);
}

/* ------------------------------------------------------------------ gradient sums */

typedef struct {
    const float *g;
    const int8_t *codes;
    partials sums; /* over +1, over -1 */
} gather;

static void gather_body(void *context, const segment *s) {
    gather *c = context;
    const float *g = c->g + s->at;
    const int8_t *t = c->codes + s->at;
    double *out = part_of(&c->sums, s);
    if (s->across) {
        double *restrict pos = out, *restrict neg = out + s->n;
        for (int64_t r = 0; r < s->n; r++) {
            const float f = t[r];
            pos[r] += (double)(is_up(f) * g[r]);
            neg[r] += (double)(is_down(f) * g[r]);
        }
        return;
    }
    double pos[LANES] = {0}, neg[LANES] = {0};
    for (int64_t i = 0; i < s->n; i += BLOCK) {
        float up[BLOCK], down[BLOCK];
        const int n = block_length(s->n - i);
        for (int j = 0; j < n; j++) up[j] = is_up(t[i + j]) * g[i + j];
        for (int j = 0; j < n; j++) down[j] = is_down(t[i + j]) * g[i + j];
        add_lanes(n, up, pos);
        add_lanes(n, down, neg);
    }
    out[0] = fold(pos);
    out[1] = fold(neg);
}

trit_status trit_rows_gather(const trit_rows *r, const float *g, const int8_t *codes,
                             trit_row_sides *sides) {
    plan p = plan_of(r);
    gather c = {.g = g, .codes = codes};
    TRIT_TRY(partials_new(&p, 2, &c.sums));
    each_segment(&p, gather_body, &c);
    for (int64_t row = 0; row < r->rows; row++) {
        sides[row].pos = collect(&p, &c.sums, row, 0, false);
        sides[row].neg = collect(&p, &c.sums, row, 1, false);
    }
    trit_free(c.sums.at, c.sums.bytes);
    return TRIT_OK;
}

/* --------------------------------------------------------------- weight gradients */

typedef struct {
    const float *w, *g;
    trit_row_affine by;
    float *dw;
} affine;

static inline __attribute__((always_inline)) void affine_run(const affine *c, const segment *s,
                                                             int64_t row, int step, bool full) {
    const float *restrict w = c->w + s->at, *restrict g = c->g + s->at;
    float *restrict dw = c->dw + s->at;
    const float *restrict factor = c->by.factor + row, limit = c->by.limit;
    const float *restrict offset = full ? c->by.offset + row : NULL;
    const float *restrict slope = full ? c->by.slope + row : NULL;
    const float *restrict center = full ? c->by.center + row : NULL;
    for (int64_t i = 0; i < s->n; i++) {
        float d = fabsf(w[i]) <= limit ? factor[i * step] * g[i] : 0.0f;
        if (full) d += offset[i * step] + slope[i * step] * (w[i] - center[i * step]);
        dw[i] = d;
    }
}

static void affine_body(void *context, const segment *s) {
    const affine *c = context;
    if (s->across && c->by.offset) affine_run(c, s, 0, 1, true);
    if (s->across && !c->by.offset) affine_run(c, s, 0, 1, false);
    if (!s->across && c->by.offset) affine_run(c, s, s->row, 0, true);
    if (!s->across && !c->by.offset) affine_run(c, s, s->row, 0, false);
}

void trit_rows_affine(const trit_rows *r, const float *w, const float *g, const trit_row_affine *by,
                      float *dw) {
    plan p = plan_of(r);
    affine c = {w, g, *by, dw};
    each_segment(&p, affine_body, &c);
}

typedef struct {
    const float *g, *pos, *zero, *neg;
    const int8_t *codes;
    float *dw;
} by_code;

static inline __attribute__((always_inline)) void
by_code_run(int64_t n, const float *restrict g, const int8_t *restrict t, const float *pos,
            const float *zero, const float *neg, int step, float *restrict dw) {
    for (int64_t i = 0; i < n; i++) {
        const float f = t[i];
        dw[i] = g[i] * (is_up(f) * pos[i * step] + (1 - f * f) * zero[i * step] +
                        is_down(f) * neg[i * step]);
    }
}

static void by_code_body(void *context, const segment *s) {
    const by_code *c = context;
    const float *restrict g = c->g + s->at;
    const int8_t *restrict t = c->codes + s->at;
    float *restrict dw = c->dw + s->at;
    const float *pos = c->pos + s->row, *zero = c->zero + s->row, *neg = c->neg + s->row;
    if (s->across)
        by_code_run(s->n, g, t, pos, zero, neg, 1, dw);
    else
        by_code_run(s->n, g, t, pos, zero, neg, 0, dw);
}

void trit_rows_by_code(const trit_rows *r, const float *g, const int8_t *codes, const float *pos,
                       const float *zero, const float *neg, float *dw) {
    plan p = plan_of(r);
    by_code c = {g, pos, zero, neg, codes, dw};
    each_segment(&p, by_code_body, &c);
}

/* -------------------------------------------------------------- passes of one's own */

void trit_rows_each(const trit_rows *r, void (*body)(void *, const trit_segment *), void *context) {
    plan p = plan_of(r);
    each_segment(&p, body, context);
}

typedef struct {
    trit_sum_body body;
    void *context;
    partials sums;
} summing;

static void sum_segment(void *context, const segment *s) {
    summing *c = context;
    c->body(c->context, s, part_of(&c->sums, s));
}

trit_status trit_rows_sum(const trit_rows *r, int fields, trit_sum_body body, void *context,
                          double *out) {
    plan p = plan_of(r);
    summing c = {.body = body, .context = context};
    TRIT_TRY(partials_new(&p, fields, &c.sums));
    each_segment(&p, sum_segment, &c);
    for (int64_t row = 0; row < r->rows; row++)
        for (int f = 0; f < fields; f++)
            out[row * fields + f] = collect(&p, &c.sums, row, f, false);
    trit_free(c.sums.at, c.sums.bytes);
    return TRIT_OK;
}

/* ------------------------------------------------------------------------ sorting */

#define DIGIT_BITS 11 /* three digits cover the 31 bits of |w| */
#define DIGITS     (1 << DIGIT_BITS)

static uint32_t bits_of(const float *a) {
    uint32_t bits;
    memcpy(&bits, a, sizeof bits);
    return bits;
}

/* Radix sort: non-negative floats order like their bits. */
void trit_row_sort(const trit_rows *r, const float *w, int64_t row, float *room) {
    float *a = room, *b = room + r->len;
    for (int64_t i = 0; i < r->len; i++) a[i] = fabsf(w[row * r->row_stride + i * r->step]);
    for (int shift = 0; shift < 3 * DIGIT_BITS; shift += DIGIT_BITS) {
        int64_t start[DIGITS + 1] = {0};
        for (int64_t i = 0; i < r->len; i++) start[(bits_of(&a[i]) >> shift) % DIGITS + 1]++;
        for (int d = 0; d < DIGITS; d++) start[d + 1] += start[d];
        for (int64_t i = 0; i < r->len; i++) b[start[(bits_of(&a[i]) >> shift) % DIGITS]++] = a[i];
        float *t = a;
        a = b;
        b = t;
    }
    memcpy(room, a, (size_t)r->len * sizeof *a); /* three passes end in the second half */
}

/* ------------------------------------------------------------ comparisons in float */

float trit_below(double b) {
    float f = (float)b;
    return (double)f > b ? nextafterf(f, -INFINITY) : f;
}

float trit_above(double b) { return -trit_below(-b); }

float trit_under(double b) { return nextafterf(trit_above(b), -INFINITY); }
