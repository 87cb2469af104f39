/*
 * row_work.c - trit/rows.h over whole batches: blocks that the problem alone decides, in parallel.
 */
#include <string.h>

#include "kernels/kernels.h"

#define BLOCK 16384 /* numbers of one unit of work: 64 KiB */
#define SLOTS 64    /* most partial sums */

typedef struct {
    const trit_make *rows;
    const trit_take *take;
    int64_t pixels, per;
    float *v;
    double *slots;
} row_job;

/* ------------------------------------------------------------------- sparse arrays */

/* A run of pixels of one line: `count` of them from column w of line h of image n. */
typedef struct {
    int64_t n, h, w, count;
} line_run;

/* What is left of its line from pixel `first` on, at most `count`. */
static line_run run_at(const trit_sparse *s, int64_t first, int64_t count) {
    line_run r = {first / s->W / s->H, first / s->W % s->H, first % s->W, count};
    if (r.count > s->W - r.w) r.count = s->W - r.w;
    return r;
}

/* Numbers of pixel (n, h, q stride) of the array; h is a multiple of the stride. */
static const float *sparse_pixel(const trit_sparse *s, const float *p, const line_run *r,
                                 int64_t q) {
    const int64_t P = (s->H + s->stride - 1) / s->stride, Q = (s->W + s->stride - 1) / s->stride;
    return p + ((r->n * P + r->h / s->stride) * Q + q) * s->channels;
}

/* Channels [c0, c1) of `count` rows of C += those of the sparse array; `rows` is row `first`. */
static void add_sparse(const trit_sparse *s, const float *p, int64_t first, int64_t count,
                       int64_t c0, int64_t c1, int64_t C, float *rows) {
    for (int64_t i = 0; i < count;) {
        const line_run run = run_at(s, first + i, count - i);
        const int64_t end = run.w + run.count;
        if (run.h % s->stride == 0)
            for (int64_t q = (run.w + s->stride - 1) / s->stride; q * s->stride < end; q++) {
                const float *from = sparse_pixel(s, p, &run, q);
                float *to = rows + (i + q * s->stride - run.w) * C;
                for (int64_t c = c0; c < c1; c++) to[c] += from[c];
            }
        i += run.count;
    }
}

/* --------------------------------------------------------------------- some rows, all rows */

void trit_rows_make(const trit_make *r, int64_t first, int64_t count, float *dst) {
    if (!r->sparse.stride) {
        trit_kernels()->rows_make(r, first, count, dst);
        return;
    }
    memset(dst, 0, (size_t)(count * r->C) * sizeof *dst);
    add_sparse(&r->sparse, r->p, first, count, 0, r->C, r->C, dst);
}

void trit_rows_take(const trit_take *t, int64_t first, int64_t count, int64_t c0, int64_t c1,
                    float *v, double *sums) {
    if (!t->add || !t->sparse.stride) {
        trit_kernels()->rows_take(t, first, count, c0, c1, v, sums);
        return;
    }
    trit_take rest = *t;
    rest.add = NULL;
    add_sparse(&t->sparse, t->add, first, count, c0, c1, t->C, v + first * t->C);
    trit_kernels()->rows_take(&rest, first, count, c0, c1, v, sums);
}

static int64_t count_of(const row_job *j, int64_t first) {
    return j->pixels - first < j->per ? j->pixels - first : j->per;
}

static void make_unit(void *context, int64_t unit, int worker) {
    const row_job *j = context;
    (void)worker;
    const int64_t first = unit * j->per;
    trit_rows_make(j->rows, first, count_of(j, first), j->v + first * j->rows->C);
}

static void take_unit(void *context, int64_t unit, int worker) {
    const row_job *j = context;
    (void)worker;
    const int64_t first = unit * j->per, C = j->take->C;
    double *sums = j->slots + unit * 2 * C;
    memset(sums, 0, (size_t)(2 * C) * sizeof *sums);
    trit_rows_take(j->take, first, count_of(j, first), 0, C, j->v, sums);
}

void trit_rows_make_all(const trit_make *r, int64_t pixels, float *dst) {
    row_job j = {.rows = r, .pixels = pixels, .v = dst};
    j.per = BLOCK / (r->C > 0 ? r->C : 1);
    if (j.per < 1) j.per = 1;
    trit_parallel((pixels + j.per - 1) / j.per, make_unit, &j);
}

void trit_add_slots(const double *slot, int64_t slots, int64_t width, double *out) {
    memset(out, 0, (size_t)width * sizeof *out);
    for (int64_t s = 0; s < slots; s++)
        for (int64_t i = 0; i < width; i++) out[i] += slot[s * width + i];
}

trit_status trit_rows_take_all(const trit_take *t, int64_t pixels, float *v, double *sums) {
    row_job j = {.take = t, .pixels = pixels, .v = v};
    j.per = BLOCK / (t->C > 0 ? t->C : 1);
    if (j.per * SLOTS < pixels) j.per = (pixels + SLOTS - 1) / SLOTS;
    if (j.per < 1) j.per = 1;
    const int64_t units = (pixels + j.per - 1) / j.per;
    const size_t bytes = (size_t)(units * 2 * t->C) * sizeof(double);
    j.slots = trit_alloc(bytes);
    if (!j.slots) return TRIT_ERR_MEM;
    trit_parallel(units, take_unit, &j);
    trit_add_slots(j.slots, units, 2 * t->C, sums);
    trit_free(j.slots, bytes);
    return TRIT_OK;
}
