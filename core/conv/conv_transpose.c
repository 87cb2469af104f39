/*
 * conv_transpose.c - backward data sums over output channels: its weights are wanted with the two
 * channel dimensions exchanged, so that packing and Winograd's transform read along vectors.
 */
#include "conv/transpose.h"

float *trit_conv_transposed(const trit_conv_geom *g, const float *w, size_t *bytes) {
    static const trit_work units[] = {trit_conv_transpose_generic, trit_conv_transpose_avx2,
                                      trit_conv_transpose_avx512};
    transpose_job job = {.taps = g->R * g->S, .rows = g->C / g->G, .columns = g->K, .from = w};
    *bytes = (size_t)(job.taps * job.rows * job.columns) * sizeof(float);
    job.to = trit_alloc(*bytes);
    if (!job.to) return NULL;
    int64_t per_tap = (job.rows + TRIT_TRANSPOSE_ROWS - 1) / TRIT_TRANSPOSE_ROWS;
    trit_parallel(job.taps * per_tap, units[trit_isa_level()], &job);
    return job.to;
}
