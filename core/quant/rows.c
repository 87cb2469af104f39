/*
 * rows.c - passes over the rows of a weight tensor (see rows.h): cut into segments, handed to
 * the passes of the instruction set in force, partial sums collected.
 */
#include "quant/passes.h"

#include <math.h>
#include <string.h>

#define SEGMENT 16384 /* elements of one unit of work: 64 KiB of floats */
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

static trit_status partials_new(const plan *p, int fields, trit_partials *out) {
    out->fields = fields;
    out->bytes = (size_t)(part_count(p) * fields * (p->across ? p->r.rows : 1)) * sizeof(double);
    out->at = trit_alloc(out->bytes);
    if (!out->at) return TRIT_ERR_MEM;
    memset(out->at, 0, out->bytes);
    return TRIT_OK;
}

/* Field f of row r: the parts added in order (or, for a maximum, compared). */
static double collect(const plan *p, const trit_partials *s, int64_t row, int f, bool maximum) {
    double total = 0;
    for (int64_t k = 0; k < p->parts; k++) {
        double v = p->across ? s->at[(k * s->fields + f) * p->r.rows + row]
                             : s->at[(row * p->parts + k) * s->fields + f];
        total = maximum ? fmax(total, v) : total + v;
    }
    return total;
}

/* --------------------------------------------------------------------- statistics */

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
    trit_scan_pass c = {.w = w, .r = r};
    trit_status status = TRIT_OK;
    memset(stats, 0, (size_t)r->rows * sizeof *stats);
    if (r->len == 0) return TRIT_OK;
    TRIT_TRY(partials_new(&p, FIELDS, &c.sums));
    each_segment(&p, trit_passes()->scan, &c);
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

trit_status trit_rows_keep(const trit_rows *r, const float *w, const float *lo, const float *hi,
                           trit_row_kept *kept) {
    plan p = plan_of(r);
    trit_keep_pass c = {.w = w, .lo = lo, .hi = hi};
    TRIT_TRY(partials_new(&p, 2, &c.sums));
    each_segment(&p, trit_passes()->keep, &c);
    for (int64_t row = 0; row < r->rows; row++) {
        kept[row].sum = collect(&p, &c.sums, row, 0, false);
        kept[row].count = collect(&p, &c.sums, row, 1, false);
    }
    trit_free(c.sums.at, c.sums.bytes);
    return TRIT_OK;
}

/* ------------------------------------------------------------- codes and weights */

void trit_rows_cut(const trit_rows *r, const float *w, const trit_row_cuts *cuts, int8_t *codes,
                   float *wq, bool add) {
    plan p = plan_of(r);
    trit_cut_pass c = {w, *cuts, codes, wq, add};
    each_segment(&p, trit_passes()->cut, &c);
}

/* ------------------------------------------------------------------ gradient sums */

trit_status trit_rows_gather(const trit_rows *r, const float *g, const int8_t *codes,
                             trit_row_sides *sides) {
    plan p = plan_of(r);
    trit_gather_pass c = {.g = g, .codes = codes};
    TRIT_TRY(partials_new(&p, 2, &c.sums));
    each_segment(&p, trit_passes()->gather, &c);
    for (int64_t row = 0; row < r->rows; row++) {
        sides[row].pos = collect(&p, &c.sums, row, 0, false);
        sides[row].neg = collect(&p, &c.sums, row, 1, false);
    }
    trit_free(c.sums.at, c.sums.bytes);
    return TRIT_OK;
}

/* --------------------------------------------------------------- weight gradients */

void trit_rows_affine(const trit_rows *r, const float *w, const float *g, const trit_row_affine *by,
                      float *dw) {
    plan p = plan_of(r);
    trit_affine_pass c = {w, g, *by, dw};
    each_segment(&p, trit_passes()->affine, &c);
}

void trit_rows_by_code(const trit_rows *r, const float *g, const int8_t *codes, const float *pos,
                       const float *zero, const float *neg, float *dw) {
    plan p = plan_of(r);
    trit_by_code_pass c = {g, pos, zero, neg, codes, dw};
    each_segment(&p, trit_passes()->by_code, &c);
}

/* -------------------------------------------------------------- passes of one's own */

void trit_rows_each(const trit_rows *r, void (*body)(void *, const trit_segment *), void *context) {
    plan p = plan_of(r);
    each_segment(&p, body, context);
}

typedef struct {
    trit_sum_body body;
    void *context;
    trit_partials sums;
} summing;

static void sum_segment(void *context, const segment *s) {
    summing *c = context;
    c->body(c->context, s, trit_part_of(&c->sums, s));
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
