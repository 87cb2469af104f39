/*
 * conv_gemm.c - any convolution as a matrix product: im2col, then BLIS.
 *
 * For a block of output rows of one image and one group, the patches under the outputs are copied
 * into scratch as col[rows*Q][R*S*C/G] (zeros outside the image), and with w as [R*S*C/G][K]:
 *
 *   forward          y    = col w
 *   backward data    dcol = dy w^T, then dcol is added back to where the patches came from
 *   backward weight  dw  += col^T dy
 *
 * A block is as many rows as keep col near COL_BYTES, so that it stays in the second-level cache.
 * A 1x1 kernel with stride 1 and no padding needs no copy: col is x itself.
 */
#include "conv/conv_algo.h"

#include <string.h>

#define COL_BYTES  ((int64_t)512 << 10) /* half of a common 1 MiB second-level cache */
#define SLOT_BYTES ((int64_t)64 << 20)  /* of all partial weight gradients together      */

typedef struct {
    const trit_conv_geom *g;
    const float *x, *dy, *w;
    float *out;
    conv_slots *slots;    /* backward weight only                      */
    int64_t Cg, Kg;       /* channels of one group                     */
    int64_t depth;        /* row length of col: R*S*Cg (S*Cg for 'w')  */
    int64_t rows, blocks; /* output rows of a block, blocks of an image */
    bool plain;           /* col is x itself                           */
} gemm_job;

static bool fits(const trit_conv_geom *g, char pass) {
    (void)g;
    (void)pass;
    return true;
}

static bool is_plain(const trit_conv_geom *g) {
    return g->R == 1 && g->S == 1 && g->stride_h == 1 && g->stride_w == 1 && g->pad_h == 0 &&
           g->pad_w == 0;
}

static gemm_job new_job(const trit_conv_geom *g, int64_t taps) {
    gemm_job job = {.g = g, .Cg = g->C / g->G, .Kg = g->K / g->G, .plain = is_plain(g)};
    job.depth = taps * job.Cg;
    int64_t rows = COL_BYTES / (g->Q * job.depth * (int64_t)sizeof(float));
    job.rows = rows < 1 ? 1 : rows > g->P ? g->P : rows;
    job.blocks = (g->P + job.rows - 1) / job.rows;
    return job;
}

static size_t col_bytes(const gemm_job *job) {
    return (size_t)(job->rows * job->g->Q * job->depth) * sizeof(float);
}

static trit_status reserve_col(const gemm_job *job) { return trit_scratch_reserve(col_bytes(job)); }

/* Input rows under kernel row r of output rows [p0, p1) of image n, group at channel c0:
 * col[(p-p0)*Q + q][s*Cg + c], row length `depth`. */
static void gather_kernel_row(const gemm_job *job, int64_t n, int64_t c0, int64_t p0, int64_t p1,
                              int64_t r, float *col) {
    const trit_conv_geom *g = job->g;
    size_t bytes = (size_t)job->Cg * sizeof(float);
    for (int64_t p = p0; p < p1; p++) {
        int64_t h = p * g->stride_h - g->pad_h + r * g->dil_h;
        const float *row = job->x + (n * g->H + h) * g->W * g->C + c0; /* read if h is inside */
        for (int64_t q = 0; q < g->Q; q++, col += job->depth)
            for (int64_t s = 0; s < g->S; s++) {
                int64_t v = q * g->stride_w - g->pad_w + s * g->dil_w;
                bool inside = h >= 0 && h < g->H && v >= 0 && v < g->W;
                if (inside)
                    memcpy(col + s * job->Cg, row + v * g->C, bytes);
                else
                    memset(col + s * job->Cg, 0, bytes);
            }
    }
}

/* The patches of output rows [p0, p1), and their row length in *ld. */
static const float *patches(const gemm_job *job, int64_t n, int64_t c0, int64_t p0, int64_t p1,
                            float *col, int64_t *ld) {
    const trit_conv_geom *g = job->g;
    if (job->plain) {
        *ld = g->C;
        return job->x + (n * g->H + p0) * g->W * g->C + c0;
    }
    for (int64_t r = 0; r < g->R; r++)
        gather_kernel_row(job, n, c0, p0, p1, r, col + r * g->S * job->Cg);
    *ld = job->depth;
    return col;
}

/* unit = (image, block of rows, group) */
static void forward_block(void *context, int64_t unit, int worker) {
    const gemm_job *job = context;
    const trit_conv_geom *g = job->g;
    int64_t group = unit % g->G, block = unit / g->G % job->blocks, n = unit / g->G / job->blocks;
    int64_t p0 = block * job->rows, p1 = p0 + job->rows < g->P ? p0 + job->rows : g->P, ld;
    const float *col = patches(job, n, group * job->Cg, p0, p1, trit_scratch(worker), &ld);
    float *y = job->out + (n * g->P + p0) * g->Q * g->K + group * job->Kg;
    trit_gemm_serial(false, false, (p1 - p0) * g->Q, job->Kg, job->depth, 1.0f, col, ld,
                     job->w + group * job->Kg, g->K, 0.0f, y, g->K);
}

static trit_status forward(const trit_conv_geom *g, const float *x, const float *w, float *y,
                           const trit_conv_along *along) {
    (void)along;
    gemm_job job = new_job(g, g->R * g->S);
    job.x = x;
    job.w = w;
    job.out = y;
    if (!job.plain) TRIT_TRY(reserve_col(&job));
    trit_parallel(g->N * job.blocks * g->G, forward_block, &job);
    return TRIT_OK;
}

static trit_conv_room forward_room(const trit_conv_geom *g) {
    const gemm_job job = new_job(g, g->R * g->S);
    return (trit_conv_room){0, job.plain ? 0 : col_bytes(&job)};
}

/* Add dcol to the input pixels its patches came from. */
static void scatter(const gemm_job *job, int64_t n, int64_t c0, int64_t p0, int64_t p1,
                    const float *col) {
    const trit_conv_geom *g = job->g;
    for (int64_t p = p0; p < p1; p++)
        for (int64_t q = 0; q < g->Q; q++)
            for (int64_t r = 0; r < g->R; r++)
                for (int64_t s = 0; s < g->S; s++, col += job->Cg) {
                    int64_t h = p * g->stride_h - g->pad_h + r * g->dil_h;
                    int64_t v = q * g->stride_w - g->pad_w + s * g->dil_w;
                    if (h < 0 || h >= g->H || v < 0 || v >= g->W) continue;
                    float *dx = job->out + ((n * g->H + h) * g->W + v) * g->C + c0;
                    for (int64_t c = 0; c < job->Cg; c++) dx[c] += col[c];
                }
}

/* unit = (image, group): patches overlap between rows, so one unit owns the whole image. */
static void data_image(void *context, int64_t unit, int worker) {
    const gemm_job *job = context;
    const trit_conv_geom *g = job->g;
    int64_t group = unit % g->G, n = unit / g->G, c0 = group * job->Cg;
    float *dx = job->out + n * g->H * g->W * g->C + c0; /* [H,W,C] from channel c0 */
    const float *w = job->w + group * job->Kg;
    float *dcol = trit_scratch(worker);
    if (!job->plain)
        for (int64_t i = 0; i < g->H * g->W; i++)
            memset(dx + i * g->C, 0, (size_t)job->Cg * sizeof(float));
    for (int64_t p0 = 0; p0 < g->P; p0 += job->rows) {
        int64_t p1 = p0 + job->rows < g->P ? p0 + job->rows : g->P, pixels = (p1 - p0) * g->Q;
        const float *dy = job->dy + (n * g->P + p0) * g->Q * g->K + group * job->Kg;
        float *to = job->plain ? dx + p0 * g->W * g->C : dcol;
        trit_gemm_serial(false, true, pixels, job->depth, job->Kg, 1.0f, dy, g->K, w, g->K, 0.0f,
                         to, job->plain ? g->C : job->depth);
        if (!job->plain) scatter(job, n, c0, p0, p1, dcol);
    }
}

static trit_status backward_data(const trit_conv_geom *g, const float *dy, const float *w,
                                 float *dx, const trit_conv_along *along) {
    (void)along;
    gemm_job job = new_job(g, g->R * g->S);
    job.dy = dy;
    job.w = w;
    job.out = dx;
    if (!job.plain) TRIT_TRY(reserve_col(&job));
    trit_parallel(g->N * g->G, data_image, &job);
    return TRIT_OK;
}

/* unit = (slot, kernel row, group): dw[r,:,:,group] of this slot's share of the row blocks. */
static void weight_part(void *context, int64_t unit, int worker) {
    const gemm_job *job = context;
    const trit_conv_geom *g = job->g;
    int64_t group = unit % g->G, r = unit / g->G % g->R, slot = unit / g->G / g->R;
    int64_t c0 = group * job->Cg, end = trit_conv_slot_first(job->slots, slot + 1);
    float *dw =
        job->slots->sums + slot * job->slots->length + r * job->depth * g->K + group * job->Kg;
    for (int64_t item = trit_conv_slot_first(job->slots, slot); item < end; item++) {
        int64_t n = item / job->blocks, p0 = item % job->blocks * job->rows, ld = job->depth;
        int64_t p1 = p0 + job->rows < g->P ? p0 + job->rows : g->P;
        const float *dy = job->dy + (n * g->P + p0) * g->Q * g->K + group * job->Kg, *col;
        if (job->plain) {
            col = job->x + (n * g->H + p0) * g->W * g->C + c0;
            ld = g->C;
        } else {
            float *scratch = trit_scratch(worker);
            gather_kernel_row(job, n, c0, p0, p1, r, scratch);
            col = scratch;
        }
        trit_gemm_serial(true, false, job->depth, job->Kg, (p1 - p0) * g->Q, 1.0f, col, ld, dy,
                         g->K, 1.0f, dw, g->K);
    }
}

static trit_status backward_weight(const trit_conv_geom *g, const float *x, const float *dy,
                                   float *dw, const trit_conv_along *along) {
    (void)along;
    gemm_job job = new_job(g, g->S);
    conv_slots slots;
    job.x = x;
    job.dy = dy;
    job.slots = &slots;
    if (!job.plain) TRIT_TRY(reserve_col(&job));
    TRIT_TRY(
        trit_conv_slots_new(&slots, g->R * job.depth * g->K, SLOT_BYTES, g->N * job.blocks, dw));
    trit_parallel(slots.slots * g->R * g->G, weight_part, &job);
    trit_conv_slots_add(&slots, dw);
    trit_conv_slots_free(&slots);
    return TRIT_OK;
}

const conv_algo trit_conv_gemm = {
    .name = "gemm",
    .fits = fits,
    .forward = forward,
    .forward_room = forward_room,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
};
