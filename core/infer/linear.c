/*
 * linear.c - a packed linear layer by itself: float vectors in and out.
 *
 * bits 8: x is rounded to 255 steps of its own range, integers in between (linear_set.h):
 *
 *   q = round(127 x / max|x|)      y[r] = scale[r] max|x| / 127 sum_k w[r][k] q[k]
 *
 * with exact sums: the only error is that of rounding x; the same bits on every instruction set.
 * bits 0: x as it is, by lookups (lookup.h).  Weights stay packed, about 2 bits each, either way.
 */
#include <stdlib.h>
#include <string.h>

#include "infer/linear_set.h"
#include "infer/lookup.h"
#include "infer/runner.h"

#define UNITS 64 /* wanted: enough to share, few enough to start quickly */

struct trit_linear {
    int64_t rows, K;
    int bits;
    trit_lookup lookup; /* bits 0 */
    const trit_linear_set *set;
    trit_linear_job job;   /* all but y */
    int64_t blocks, share; /* blocks of rows; of one unit, a pair at least */
    size_t packed_bytes, scale_bytes, q_bytes;
    uint8_t *packed, *u;
    int8_t *q;
    float *scale;
    int32_t *weight;
    int32_t sums[LINEAR_COLUMNS];
    float step[LINEAR_COLUMNS];
};

typedef struct {
    trit_linear *l;
    trit_linear_job job;
    const float *x;
} work;

static const trit_linear_set *choose(int64_t K) {
    const trit_linear_set *best = &trit_linear_generic;
    for (int i = 1; trit_linear_sets[i]; i++)
        if (trit_linear_sets[i]->supported() && K <= trit_linear_sets[i]->max_k)
            best = trit_linear_sets[i];
    return best;
}

/* Codes of one row into its field; what is not there stays code 1. */
static void pack_row(trit_linear *l, int64_t row, const int8_t *w) {
    const int64_t r = row % l->set->block, lanes = l->set->lanes;
    const int shift = (int)(r / lanes * 2);
    uint8_t *to = l->packed + (size_t)(row / l->set->block) * l->job.block_bytes + r % lanes * 4;
    for (int64_t k = 0; k < l->K; k++) {
        l->weight[row] += w[k];
        uint8_t *byte = to + k / 4 * l->set->block + k % 4;
        *byte = (uint8_t)((*byte & ~(3u << shift)) | (unsigned)(w[k] + 1) << shift);
    }
}

static trit_status fill(trit_linear *l, const uint8_t *codes, const float *scale, int64_t scales) {
    int8_t *w = malloc((size_t)l->K);
    if (!w) return trit_fail(TRIT_ERR_MEM, "linear: out of memory");
    memset(l->packed, 0x55, l->packed_bytes);
    memset(l->scale, 0, l->scale_bytes);
    memset(l->weight, 0, l->scale_bytes);
    memset(l->q, 0, l->q_bytes);
    memset(l->u, 128, l->q_bytes);
    for (int64_t r = 0; r < l->rows; r++) {
        trit_t2_unpack(codes + r * trit_t2_bytes(l->K), l->K, w);
        pack_row(l, r, w);
        l->scale[r] = scale[scales > 1 ? r : 0];
    }
    free(w);
    return TRIT_OK;
}

static trit_status new_integer(trit_linear *l, const uint8_t *codes, const float *scale,
                               int64_t scales) {
    const int64_t groups = (l->K + 3) / 4;
    l->set = choose(l->K);
    l->blocks = (l->rows + l->set->block - 1) / l->set->block;
    l->share = (l->blocks + 2 * UNITS - 1) / (2 * UNITS) * 2;
    l->job = (trit_linear_job){.rows = l->rows,
                               .groups = groups,
                               .block_bytes = (size_t)(groups * l->set->block),
                               .pitch = (4 * groups + 63) / 64 * 64 + 64}; /* apart in cache sets */
    l->packed_bytes = (size_t)l->blocks * l->job.block_bytes;
    l->scale_bytes = (size_t)(l->blocks * l->set->block) * sizeof *l->scale;
    l->q_bytes = (size_t)(LINEAR_COLUMNS * l->job.pitch);
    l->packed = trit_alloc(l->packed_bytes);
    l->scale = trit_alloc(l->scale_bytes);
    l->weight = trit_alloc(l->scale_bytes);
    l->q = trit_alloc(l->q_bytes);
    l->u = trit_alloc(l->q_bytes);
    if (!l->packed || !l->scale || !l->weight || !l->q || !l->u) return TRIT_ERR_MEM;
    l->job.packed = l->packed;
    l->job.scale = l->scale;
    l->job.weight = l->weight;
    l->job.q = l->q;
    l->job.u = l->u;
    l->job.sums = l->sums;
    l->job.step = l->step;
    return fill(l, codes, scale, scales);
}

trit_status trit_linear_new(const uint8_t *codes, int64_t rows, int64_t K, const float *scale,
                            int64_t scales, int bits, trit_linear **out) {
    if (rows < 1 || K < 1 || rows > 1 << 24 || K > 1 << 22 || (scales != 1 && scales != rows))
        return trit_fail(TRIT_ERR_SHAPE, "linear: %lld rows of %lld codes with %lld scales",
                         (long long)rows, (long long)K, (long long)scales);
    if (bits != 0 && bits != 8)
        return trit_fail(TRIT_ERR_ARG, "linear: vectors of %d bits; 0 (float) or 8 are possible",
                         bits);
    trit_linear *l = calloc(1, sizeof *l);
    if (!l) return trit_fail(TRIT_ERR_MEM, "linear: out of memory");
    l->rows = rows;
    l->K = K;
    l->bits = bits;
    const trit_status status = bits ? new_integer(l, codes, scale, scales)
                                    : trit_lookup_new(&l->lookup, codes, rows, K, scale, scales);
    if (status == TRIT_OK)
        *out = l;
    else
        trit_linear_close(l);
    return status;
}

void trit_linear_close(trit_linear *l) {
    if (!l) return;
    trit_lookup_close(&l->lookup);
    trit_free(l->packed, l->packed_bytes);
    trit_free(l->scale, l->scale_bytes);
    trit_free(l->weight, l->scale_bytes);
    trit_free(l->q, l->q_bytes);
    trit_free(l->u, l->q_bytes);
    free(l);
}

size_t trit_linear_bytes(const trit_linear *l) {
    return l->bits ? l->packed_bytes : l->lookup.packed_bytes;
}

const char *trit_linear_kernels(const trit_linear *l) {
    return l->bits ? l->set->name : l->lookup.kernels->name;
}

static void quantize_vector(void *context, int64_t c, int worker) {
    (void)worker;
    static void (*const kernels[])(int64_t, const float *, int8_t *, uint8_t *, int32_t *,
                                   float *) = {
        trit_linear_quantize_generic, trit_linear_quantize_avx2, trit_linear_quantize_avx512};
    const work *w = context;
    trit_linear *l = w->l;
    const int64_t at = c * l->job.pitch;
    kernels[trit_isa_level()](l->K, w->x + c * l->K, l->q + at, l->u + at, &l->sums[c],
                              &l->step[c]);
}

static void rows_unit(void *context, int64_t unit, int worker) {
    const work *w = context;
    const int64_t first = unit * w->l->share, end = first + w->l->share;
    w->l->set->run(&w->job, first, end < w->l->blocks ? end : w->l->blocks, trit_scratch(worker));
}

static trit_status run_integer(trit_linear *l, int64_t n, const float *x, float *y) {
    const size_t sums = (size_t)(LINEAR_COLUMNS * l->set->block) * sizeof(int32_t);
    TRIT_TRY(trit_scratch_reserve(l->set->scratch + sums));
    for (int64_t c = 0; c < n; c += LINEAR_COLUMNS) {
        work w = {l, l->job, x + c * l->K};
        w.job.n = n - c < LINEAR_COLUMNS ? n - c : LINEAR_COLUMNS;
        w.job.y = y + c * l->rows;
        trit_parallel(w.job.n, quantize_vector, &w);
        trit_parallel((l->blocks + l->share - 1) / l->share, rows_unit, &w);
    }
    return TRIT_OK;
}

trit_status trit_linear_run(trit_linear *l, int64_t n, const float *x, float *y) {
    const unsigned before = trit_turn_take();
    const trit_status status =
        l->bits ? run_integer(l, n, x, y) : trit_lookup_run(&l->lookup, n, x, y);
    trit_turn_give(before);
    return status;
}
