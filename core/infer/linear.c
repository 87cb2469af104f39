/*
 * linear.c - a packed linear layer by itself: float vectors in and out, 8-bit integers in between.
 *
 *   q = round(127 x / max|x|) + 128      y[r] = scale[r] max|x| / 127 (acc[r] - 128 sum_k w[r][k])
 *
 * with acc exact: the only error is that of rounding x to 255 steps.  Bit-exact across instruction
 * sets.  Weights stay packed, 2 bits each on the sets that linear layers take.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/dot.h"
#include "infer/finish.h"
#include "trit/infer.h"

#define ZERO    128
#define STEPS   127.0f
#define SLACK   64 /* bytes behind a row of x that the last group may read */
#define UNITS   64 /* wanted: enough to share, few enough to start quickly */
#define COLUMNS 64 /* vectors worked on together */

struct trit_linear {
    int64_t rows, K, pitch; /* pitch: bytes from vector to vector */
    const trit_dot_set *set;
    trit_dot_shape shape;
    int32_t *offset;
    int64_t blocks, share; /* blocks of rows; of one unit */
    size_t block_bytes, packed_bytes, vector_bytes;
    uint8_t *packed;
    float *scale;    /* [rows] */
    int32_t *weight; /* [rows]: 128 sum of w */
    uint8_t *q;      /* [COLUMNS][pitch] */
    int32_t sums[COLUMNS];
    float step[COLUMNS];
};

typedef struct {
    trit_linear *l;
    int64_t n;
    float *y;
} job;

static size_t rounded(size_t n) { return (n + 63) / 64 * 64; }

static trit_status fill(trit_linear *l, const uint8_t *codes, const float *scale, int64_t scales) {
    const int64_t row = trit_t2_bytes(l->K), block = l->set->block;
    int8_t *w = malloc((size_t)(block * l->K));
    if (!w) return trit_fail(TRIT_ERR_MEM, "linear: out of memory");
    for (int64_t b = 0; b < l->blocks; b++) {
        const int64_t first = b * block, n = l->rows - first < block ? l->rows - first : block;
        for (int64_t r = 0; r < n; r++) {
            int32_t sum = 0;
            trit_t2_unpack(codes + (first + r) * row, l->K, w + r * l->K);
            for (int64_t k = 0; k < l->K; k++) sum += w[r * l->K + k];
            l->weight[first + r] = ZERO * sum;
            l->scale[first + r] = scale[scales > 1 ? first + r : 0];
        }
        l->set->pack(&l->shape, w, n, l->packed + (size_t)b * l->block_bytes);
    }
    free(w);
    return TRIT_OK;
}

trit_status trit_linear_new(const uint8_t *codes, int64_t rows, int64_t K, const float *scale,
                            int64_t scales, trit_linear **out) {
    if (rows < 1 || K < 1 || rows > 1 << 24 || K > 1 << 22 || (scales != 1 && scales != rows))
        return trit_fail(TRIT_ERR_SHAPE, "linear: %lld rows of %lld codes with %lld scales",
                         (long long)rows, (long long)K, (long long)scales);
    trit_linear *l = calloc(1, sizeof *l);
    if (!l) return trit_fail(TRIT_ERR_MEM, "linear: out of memory");
    l->rows = rows;
    l->K = K;
    l->set = trit_dot_choose(rows, K);
    l->pitch = (int64_t)rounded((size_t)K + SLACK) + 64; /* not a power of two: cache sets */
    l->shape = (trit_dot_shape){1, K, (K + 3) / 4, NULL, l->pitch, 0};
    l->blocks = (rows + l->set->block - 1) / l->set->block;
    l->share = (l->blocks + UNITS - 1) / UNITS;
    l->block_bytes = rounded((size_t)l->shape.groups * l->set->block_bytes);
    l->packed_bytes = (size_t)l->blocks * l->block_bytes;
    l->vector_bytes = (size_t)rows * sizeof(float);
    l->offset = malloc((size_t)l->shape.groups * sizeof *l->offset);
    l->packed = trit_alloc(l->packed_bytes);
    l->scale = trit_alloc(l->vector_bytes);
    l->weight = trit_alloc(l->vector_bytes);
    l->q = trit_alloc((size_t)(COLUMNS * l->pitch));
    trit_status status = TRIT_ERR_MEM;
    if (l->offset && l->packed && l->scale && l->weight && l->q) {
        for (int64_t g = 0; g < l->shape.groups; g++) l->offset[g] = (int32_t)(4 * g);
        l->shape.offset = l->offset;
        memset(l->q, 0, (size_t)(COLUMNS * l->pitch));
        status = fill(l, codes, scale, scales);
    }
    if (status == TRIT_OK)
        *out = l;
    else
        trit_linear_close(l);
    return status;
}

void trit_linear_close(trit_linear *l) {
    if (!l) return;
    free(l->offset);
    trit_free(l->packed, l->packed_bytes);
    trit_free(l->scale, l->vector_bytes);
    trit_free(l->weight, l->vector_bytes);
    trit_free(l->q, (size_t)(COLUMNS * l->pitch));
    free(l);
}

size_t trit_linear_bytes(const trit_linear *l) { return l->packed_bytes; }
const char *trit_linear_kernels(const trit_linear *l) { return l->set->name; }

static void quantize(trit_linear *l, int64_t column, const float *x) {
    uint8_t *q = l->q + column * l->pitch;
    float most;
    trit_finish()->largest(l->K, x, &most);
    l->step[column] = most / STEPS;
    trit_finish()->quantize(l->K, x, most > 0 ? STEPS / most : 0.0f, ZERO, 255.0f, q);
    if (l->set->sums) trit_finish()->pixel_sums(1, l->pitch, l->K, q, &l->sums[column]);
}

static void rows_unit(void *context, int64_t unit, int worker) {
    const job *j = context;
    trit_linear *l = j->l;
    const int64_t block = l->set->block;
    int32_t *acc = trit_scratch(worker);
    void *scratch =
        (uint8_t *)trit_scratch(worker) + rounded((size_t)(COLUMNS * block) * sizeof *acc);
    for (int64_t b = unit * l->share; b < (unit + 1) * l->share && b < l->blocks; b++) {
        const int64_t first = b * block, rows = l->rows - first < block ? l->rows - first : block;
        l->set->dot(&l->shape, l->packed + (size_t)b * l->block_bytes, l->q, j->n, 1, l->sums, acc,
                    scratch);
        for (int64_t c = 0; c < j->n; c++)
            for (int64_t r = 0; r < rows; r++)
                j->y[c * l->rows + first + r] = (float)(acc[c * block + r] - l->weight[first + r]) *
                                                (l->scale[first + r] * l->step[c]);
    }
}

trit_status trit_linear_run(trit_linear *l, int64_t n, const float *x, float *y) {
    const size_t acc = rounded((size_t)(COLUMNS * l->set->block) * sizeof(int32_t));
    TRIT_TRY(trit_scratch_reserve(acc + rounded(l->set->scratch)));
    for (int64_t c = 0; c < n; c += COLUMNS) {
        job j = {l, n - c < COLUMNS ? n - c : COLUMNS, y + c * l->rows};
        for (int64_t i = 0; i < j.n; i++) quantize(l, i, x + (c + i) * l->K);
        trit_parallel((l->blocks + l->share - 1) / l->share, rows_unit, &j);
    }
    return TRIT_OK;
}
