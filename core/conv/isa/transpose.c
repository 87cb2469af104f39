/*
 * transpose.c - matrices transposed in squares of LANES x LANES; backward data's weights.
 */
#include "conv/transpose.h"

#include "conv/isa/square.h"

/* Rows [r0, r1) of one tap. */
static void transpose_rows(const transpose_job *job, int64_t tap, int64_t r0, int64_t r1) {
    const float *from = job->from + tap * job->rows * job->columns;
    float *to = job->to + tap * job->rows * job->columns;
    int64_t c = 0;
    for (; r1 - r0 == LANES && c + LANES <= job->columns; c += LANES)
        transpose_square(from + r0 * job->columns + c, job->columns, to + c * job->rows + r0,
                         job->rows);
    for (; c < job->columns; c++)
        for (int64_t r = r0; r < r1; r++) to[c * job->rows + r] = from[r * job->columns + c];
}

void SYMBOL(trit_conv_transpose)(void *context, int64_t unit, int worker) {
    (void)worker;
    const transpose_job *job = context;
    int64_t per_tap = (job->rows + TRIT_TRANSPOSE_ROWS - 1) / TRIT_TRANSPOSE_ROWS;
    int64_t r0 = unit % per_tap * TRIT_TRANSPOSE_ROWS, end = r0 + TRIT_TRANSPOSE_ROWS;
    if (end > job->rows) end = job->rows;
    for (int64_t r = r0; r < end; r += LANES)
        transpose_rows(job, unit / per_tap, r, r + LANES < end ? r + LANES : end);
}
