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

void trit_rows_make(const trit_make *r, int64_t first, int64_t count, float *dst) {
    trit_kernels()->rows_make(r, first, count, dst);
}

void trit_rows_take(const trit_take *t, int64_t first, int64_t count, int64_t c0, int64_t c1,
                    float *v, double *sums) {
    trit_kernels()->rows_take(t, first, count, c0, c1, v, sums);
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
