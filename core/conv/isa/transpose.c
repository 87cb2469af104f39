/*
 * transpose.c - matrices transposed in squares of LANES x LANES held in registers: log2(LANES)
 * stages, each exchanging halves between rows whose numbers differ in one bit.
 */
#include "conv/transpose.h"

#include "conv/isa/vec.h"

typedef int lane_numbers __attribute__((vector_size(LANES * 4)));

/* Rows a (bit clear) and b (bit set): a keeps its lanes without the bit and takes b's there. */
INLINE void exchange(vec *a, vec *b, const int bit) {
    lane_numbers low, high; /* lanes of a, then of b from LANES on */
    UNROLL for (int l = 0; l < LANES; l++) {
        low[l] = l & bit ? LANES + l - bit : l;
        high[l] = l & bit ? LANES + l : l + bit;
    }
    vec first = __builtin_shuffle(*a, *b, low);
    *b = __builtin_shuffle(*a, *b, high);
    *a = first;
}

INLINE void stage(vec rows[LANES], const int bit) {
    UNROLL for (int i = 0; i < LANES; i++) if (!(i & bit)) exchange(&rows[i], &rows[i + bit], bit);
}

static void transpose_square(const float *from, int64_t ld_from, float *to, int64_t ld_to) {
    vec rows[LANES];
    UNROLL for (int i = 0; i < LANES; i++) rows[i] = load(from + i * ld_from);
    stage(rows, 1);
    stage(rows, 2);
#if LANES >= 8
    stage(rows, 4);
#endif
#if LANES == 16
    stage(rows, 8);
#endif
    UNROLL for (int i = 0; i < LANES; i++) store(to + i * ld_to, rows[i]);
}

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
