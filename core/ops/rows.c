/*
 * rows.c - work over rows of channels, cut into blocks that the problem alone decides.
 */
#include <string.h>

#include "kernels/kernels.h"
#include "ops/ops.h"

#define BLOCK 16384 /* numbers of one unit of work: 64 KiB, about 5 us of memory traffic */
#define SLOTS 64    /* most partial sums: enough units for many cores, cheap to add */

typedef struct {
    int64_t rows, C, per;
    trit_row_body body;
    trit_sum_body sum;
    const void *context;
    double *slots;
    int64_t width; /* doubles per slot */
} row_job;

static int64_t rows_per_block(int64_t rows, int64_t C, int64_t most) {
    int64_t per = BLOCK / (C > 0 ? C : 1);
    if (per < 1) per = 1;
    if (most && (rows + per - 1) / per > most) per = (rows + most - 1) / most;
    return per;
}

static void row_unit(void *context, int64_t unit, int worker) {
    const row_job *j = context;
    (void)worker;
    const int64_t from = unit * j->per;
    const int64_t count = j->rows - from < j->per ? j->rows - from : j->per;
    if (j->body)
        j->body(j->context, from, count);
    else
        j->sum(j->context, from, count, j->slots + unit * j->width);
}

void trit_each_rows(int64_t rows, int64_t C, trit_row_body body, const void *context) {
    row_job j = {.rows = rows, .C = C, .body = body, .context = context};
    j.per = rows_per_block(rows, C, 0);
    trit_parallel((rows + j.per - 1) / j.per, row_unit, &j);
}

trit_status trit_sum_rows(int64_t rows, int64_t C, int sums, trit_sum_body body,
                          const void *context, double *out) {
    row_job j = {.rows = rows, .C = C, .sum = body, .context = context, .width = sums * C};
    j.per = rows_per_block(rows, C, SLOTS);
    const int64_t units = (rows + j.per - 1) / j.per;
    const size_t bytes = (size_t)(units * j.width) * sizeof(double);
    memset(out, 0, (size_t)j.width * sizeof(double));
    if (!bytes) return TRIT_OK;
    j.slots = trit_alloc(bytes);
    if (!j.slots) return TRIT_ERR_MEM;
    memset(j.slots, 0, bytes);
    trit_parallel(units, row_unit, &j);
    for (int64_t u = 0; u < units; u++)
        for (int64_t i = 0; i < j.width; i++) out[i] += j.slots[u * j.width + i];
    trit_free(j.slots, bytes);
    return TRIT_OK;
}

/* ------------------------------------------------------------ biases and scales */

typedef struct {
    int64_t C;
    const float *x, *g, *shift;
    float *y;
} channel_job;

static void column_body(const void *context, int64_t from, int64_t count, double *s) {
    const channel_job *j = context;
    trit_kernels()->row_sums(count, j->C, j->C, j->x + from * j->C, s);
}

trit_status trit_column_sums(int64_t rows, int64_t C, const float *x, float *out) {
    const channel_job j = {.C = C, .x = x};
    const size_t bytes = (size_t)C * sizeof(double);
    double *sum = trit_alloc(bytes);
    if (!sum) return TRIT_ERR_MEM;
    trit_status status = trit_sum_rows(rows, C, 1, column_body, &j, sum);
    if (status == TRIT_OK)
        for (int64_t c = 0; c < C; c++) out[c] = (float)sum[c];
    trit_free(sum, bytes);
    return status;
}

static void bias_body(const void *context, int64_t from, int64_t count) {
    const channel_job *j = context;
    trit_kernels()->row_bias(count, j->C, j->x, j->y + from * j->C);
}

void trit_add_bias(int64_t rows, int64_t C, const float *b, float *y) {
    const channel_job j = {.C = C, .x = b, .y = y};
    trit_each_rows(rows, C, bias_body, &j);
}

static void scale_body(const void *context, int64_t from, int64_t count, double *s) {
    const channel_job *j = context;
    trit_kernels()->row_dots(count, j->C, j->g + from * j->C, j->x + from * j->C, j->shift, s,
                             s + j->C);
}

static trit_status scale_sums(channel_job *j, int64_t rows, const float *b, double *sums) {
    const size_t bytes = (size_t)j->C * sizeof(float);
    float *shift = NULL;
    if (!b) {
        shift = trit_alloc(bytes);
        if (!shift) return TRIT_ERR_MEM;
        memset(shift, 0, bytes);
    }
    j->shift = b ? b : shift;
    trit_status status = trit_sum_rows(rows, j->C, 2, scale_body, j, sums);
    trit_free(shift, bytes);
    return status;
}

void trit_scale_from_sums(int64_t C, const double *sum, const trit_tensor *s, trit_tensor *ds) {
    const int64_t n = trit_numel(s);
    double total = 0;
    for (int64_t c = 0; c < C; c++) {
        total += sum[c];
        const double own = n == 1 ? total : sum[c];
        const float scale = s->data[n == 1 ? 0 : c];
        ds->data[n == 1 ? 0 : c] = scale != 0.0f ? (float)(own / (double)scale) : 0.0f;
    }
}

trit_status trit_scale_grad(int64_t rows, int64_t C, const float *gy, const float *y,
                            const float *b, const trit_tensor *s, trit_tensor *ds) {
    channel_job j = {.C = C, .g = gy, .x = y};
    const size_t bytes = (size_t)(2 * C) * sizeof(double);
    double *sums = trit_alloc(bytes);
    if (!sums) return TRIT_ERR_MEM;
    trit_status status = scale_sums(&j, rows, b, sums);
    if (status == TRIT_OK) trit_scale_from_sums(C, sums + C, s, ds);
    trit_free(sums, bytes);
    return status;
}
