/*
 * rows.h - the passes over a weight tensor's rows that quantizers are made of.
 *
 * Rows either lie one after the other (`along`) or interleaved, element i of all rows side by
 * side (`across`: weights H,W,I,O per output filter).  Work is cut into segments of fixed size;
 * partial sums are double and added in the order of the segments.
 */
#ifndef TRIT_QUANT_ROWS_H
#define TRIT_QUANT_ROWS_H

#include "trit/quant.h"

typedef struct {
    double mean, deviation; /* deviation: sum of squared distances from the mean */
    double mean_abs, max_abs;
} trit_row_stats;

/* A piece of work: n elements at `at` in memory, of row `row`, or (`across`) one of every row. */
typedef struct {
    int64_t row;  /* along: the row; across: 0 */
    int64_t at;   /* first element in memory */
    int64_t n;    /* elements; across: one of every row */
    int64_t part; /* number of the partial sum */
    bool across;
} trit_segment;
/* Row of element j of a segment. */
static inline int64_t trit_segment_row(const trit_segment *s, int64_t j) {
    return s->across ? j : s->row;
}

/* Run `body` on every segment, in parallel. */
void trit_rows_each(const trit_rows *r, void (*body)(void *context, const trit_segment *s),
                    void *context);
/* out[rows][fields] = sums of what `body` adds at trit_sum_at(s, sums, field, j). */
typedef void (*trit_sum_body)(void *context, const trit_segment *s, double *sums);
trit_status trit_rows_sum(const trit_rows *r, int fields, trit_sum_body body, void *context,
                          double *out);
static inline double *trit_sum_at(const trit_segment *s, double *sums, int field, int64_t j) {
    return s->across ? &sums[field * s->n + j] : &sums[field];
}

/* Mean, deviation, mean and largest |w| of every row into its cache, a centre of 0, NAN in the
 * rest; codes, scales and w' are left alone.  Weights that are not finite are an error. */
trit_status trit_quant_survey(trit_quant_call *c);

/* codes and wq from the signs: +1 where w >= 0, times scale[row] (c->scale, one term). */
void trit_quant_signs(trit_quant_call *c);

/* Solve A x = b, A symmetric [n][n] and positive; a direction that A does not have gets 0. */
enum { TRIT_SOLVE_MAX = 8 };
void trit_solve(int n, double *A, double *b, double *x);

/* Statistics of every row in one pass; NaN and infinite weights are an error of `name`. */
trit_status trit_rows_scan(const char *name, const trit_rows *r, const float *w,
                           trit_row_stats *stats); // [rows]

/* Deviation with n - 1; 0 for a single weight. */
double trit_row_sigma(const trit_row_stats *s, int64_t n);

/* Put mean, deviation and a centre of 0 where logging looks; NAN for what the method has not. */
void trit_row_log(const trit_quant_call *c, int64_t row, const trit_row_stats *stats);

/* Sum and number of |w| over w < lo[row] or w > hi[row]. */
typedef struct {
    double sum;
    double count;
} trit_row_kept;
trit_status trit_rows_keep(const trit_rows *r, const float *w, const float *lo, const float *hi,
                           trit_row_kept *kept); // [rows]

/* codes = +1 where w > hi[row], -1 where w < lo[row], else 0;
 * wq (may be NULL) = or, with `add`, += pos[row], -neg[row], 0. */
typedef struct {
    const float *lo, *hi, *pos, *neg; // [rows]
} trit_row_cuts;
void trit_rows_cut(const trit_rows *r, const float *w, const trit_row_cuts *cuts, int8_t *codes,
                   float *wq, bool add);

/* Sums of g over the codes +1 and -1 of every row. */
typedef struct {
    double pos, neg;
} trit_row_sides;
trit_status trit_rows_gather(const trit_rows *r, const float *g, const int8_t *codes,
                             trit_row_sides *sides); // [rows]

/* dw = factor[row] g [|w| <= limit] + offset[row] + slope[row] (w - center[row]);
 * offset NULL: the affine part is absent. */
typedef struct {
    const float *factor, *offset, *slope, *center; // [rows]
    float limit;
} trit_row_affine;
void trit_rows_affine(const trit_rows *r, const float *w, const float *g, const trit_row_affine *by,
                      float *dw);

/* dw = g times pos[row], zero[row] or neg[row] by the code. */
void trit_rows_by_code(const trit_rows *r, const float *g, const int8_t *codes, const float *pos,
                       const float *zero, const float *neg, float *dw);

/* |w| of one row in ascending order at room[0..len); `room` holds 2 len. */
void trit_row_sort(const trit_rows *r, const float *w, int64_t row, float *room);

/* Floats that turn a comparison with a double into a strict one with a float:
 * w > b <=> w > below(b);  w < b <=> w < above(b);  w >= b <=> w > under(b) for b > 0. */
float trit_below(double b);
float trit_above(double b);
float trit_under(double b);

#endif
