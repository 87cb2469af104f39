/*
 * op_max_pool.c - maximum over a sliding window.
 *
 * Padding is minus infinity: it never wins.  Where several positions hold the maximum, the first in
 * row order gets the gradient.  NaN in a window wins.  Forward notes the winner's place in a byte;
 * in windows of more than 256 positions it is found again by comparing with y.
 *
 * Work goes in bands of rows.  Fusion: rows of x that are only described are made band by band and
 * never stored; rows of gx are finished for the rectifier before while they are hot
 * (autograd/fuse.c).
 */
#include <math.h>
#include <string.h>

#include "ops/pool.h"
#include "tensor/pending.h"

#define MOST_PLACES 256
#define BAND_FLOATS 32768 /* of made rows: 128 KiB, a part of the second-level cache */

enum { WINNERS }; /* saved, bytes [N][P][Q][C] in a float tensor */

static const trit_param params[] = {POOL_PARAMS, {0}};

typedef struct {
    trit_pool_geom g;
    int64_t rows, bands; /* output rows (forward) or input rows of a band; bands of an image */
    const float *x, *y, *gy;
    const trit_make *made;
    const trit_take *take;
    double *sums; /* [image, band][2][C] */
    uint8_t *win;
    float *out;
} max_job;

static uint8_t *winners(const trit_call *c) {
    return c->saved[WINNERS] ? (uint8_t *)c->saved[WINNERS]->data : NULL;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ------------------------------------------------------------------------ forward */

static void forward_band(void *context, int64_t unit, int worker) {
    const max_job *j = context;
    const trit_pool_geom *g = &j->g;
    const int64_t n = unit / j->bands, p0 = unit % j->bands * j->rows;
    const int64_t at = (n * g->P + p0) * g->Q * g->C;
    int64_t h0;
    const trit_pool_geom band = trit_pool_band(g, p0, least(p0 + j->rows, g->P), &h0);
    const float *x = j->x + (n * g->H + h0) * g->W * g->C;
    if (j->made) {
        float *room = trit_scratch(worker);
        trit_rows_make(j->made, (n * g->H + h0) * g->W, band.H * g->W, room);
        x = room;
    }
    trit_kernels()->pool_max(&band, x, j->out + at, j->win ? j->win + at : NULL);
}

static trit_status save_winners(trit_call *c, const trit_pool_geom *g) {
    if (!c->training || g->R * g->S > MOST_PLACES) return TRIT_OK;
    const int64_t floats = (trit_numel(c->out) + 3) / 4;
    return trit_tensor_new(&(trit_shape){1, {floats}}, TRIT_ROW_MAJOR, &c->saved[WINNERS]);
}

static trit_status forward(trit_call *c) {
    trit_tensor *x = c->in[0];
    max_job j = {.g = trit_pool_geometry(c), .out = c->out->data};
    const trit_pool_geom *g = &j.g;
    const int64_t row = g->stride_h * g->W * g->C;
    TRIT_TRY(save_winners(c, g));
    if (g->R * g->S > MOST_PLACES) TRIT_TRY(trit_tensor_settle(x));
    j.rows = least(g->P, row > 0 && BAND_FLOATS > row ? BAND_FLOATS / row : 1);
    j.bands = (g->P + j.rows - 1) / j.rows;
    if (x->pending) {
        j.made = &x->pending->rows;
        const size_t made = (size_t)(((j.rows - 1) * g->stride_h + g->R) * g->W * g->C);
        TRIT_TRY(trit_scratch_reserve(made * sizeof(float)));
    }
    j.x = j.made ? c->out->data : x->data; /* any address: made rows are read instead */
    j.win = winners(c);
    trit_parallel(x->shape.dim[0] * j.bands, forward_band, &j);
    return TRIT_OK;
}

/* ----------------------------------------------------------------------- backward */

static void backward_band(void *context, int64_t unit, int worker) {
    const max_job *j = context;
    const trit_pool_geom *g = &j->g;
    (void)worker;
    const int64_t n = unit / j->bands, h0 = unit % j->bands * j->rows;
    const int64_t h1 = least(h0 + j->rows, g->H), first = (n * g->H + h0) * g->W;
    const int64_t out = n * g->P * g->Q * g->C;
    trit_kernels()->pool_max_grad(g, h0, h1, j->win + out, j->gy + out, j->out + first * g->C);
    if (!j->take) return;
    trit_rows_take(j->take, first, (h1 - h0) * g->W, 0, g->C, j->out, j->sums + unit * 2 * g->C);
}

/* Large windows: the winner is the first that equals y. */
static void backward_image(void *context, int64_t n, int worker) {
    const max_job *j = context;
    const trit_pool_geom *g = &j->g;
    (void)worker;
    const float *x = j->x + n * g->H * g->W * g->C;
    float *gx = j->out + n * g->H * g->W * g->C;
    memset(gx, 0, (size_t)(g->H * g->W * g->C) * sizeof *gx);
    for (int64_t o = 0; o < g->P * g->Q * g->C; o++) {
        const int64_t q = o / g->C, at = n * g->P * g->Q * g->C + o;
        const int64_t h0 = q / g->Q * g->stride_h - g->pad_h, h1 = least(h0 + g->R, g->H);
        const int64_t w0 = q % g->Q * g->stride_w - g->pad_w, w1 = least(w0 + g->S, g->W);
        bool found = false;
        for (int64_t h = h0 < 0 ? 0 : h0; h < h1 && !found; h++)
            for (int64_t w = w0 < 0 ? 0 : w0; w < w1 && !found; w++) {
                const int64_t i = (h * g->W + w) * g->C + o % g->C;
                found = x[i] == j->y[at] || x[i] != x[i];
                if (found) gx[i] += j->gy[at];
            }
    }
}

/* Bands of gx, finished for the rectifier before where that is wanted. */
static trit_status run_bands(trit_call *c, max_job *j, int64_t images) {
    const trit_pool_geom *g = &j->g;
    const int64_t row = g->W * g->C, width = 2 * g->C;
    j->rows = least(g->H, row > 0 && BAND_FLOATS > row ? BAND_FLOATS / row : 1);
    j->bands = (g->H + j->rows - 1) / j->rows;
    const int64_t units = images * j->bands;
    const size_t bytes = (size_t)(units * width) * sizeof(double);
    if (c->fusion) {
        j->take = &c->fusion->take;
        j->sums = trit_alloc(bytes);
        if (!j->sums) return TRIT_ERR_MEM;
        memset(j->sums, 0, bytes);
    }
    trit_parallel(units, backward_band, j);
    if (!c->fusion) return TRIT_OK;
    trit_add_slots(j->sums, units, width, c->fusion->sums);
    c->fusion->done = true;
    trit_free(j->sums, bytes);
    return TRIT_OK;
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_grad_new(c, 0, &gx[0]));
    max_job j = {.g = trit_pool_geometry(c), .gy = gy->data, .out = gx[0]->data};
    j.win = winners(c);
    const int64_t images = c->in[0]->shape.dim[0];
    if (j.win) return run_bands(c, &j, images);
    TRIT_TRY(trit_tensor_settle(c->in[0]));
    j.x = c->in[0]->data;
    j.y = c->out->data;
    trit_parallel(images, backward_image, &j);
    return TRIT_OK;
}

/* The derivative jumps where two values of a window are equal, not at values of x: the driver
 * spreads the inputs of an op without listed kinks on a grid of kink_gap. */
static const double kinks[] = {NAN};
static const trit_case cases[] = {
    {"[2,3,9,9]L", "kernel=3,stride=2,padding=1"},
    {"[1,20,8,8]", "kernel=2"},
    {"[1,3,11,10]", "kernel=3;2,stride=2;3,padding=1;0"},
    {"[2,3,18,17]", "kernel=17"},
    {"[2,40,7,9]L", "kernel=3,stride=1,padding=1"},
    {"[0,3,4,4]", ""},
    {"[1,1,1,1]", "kernel=1"},
    {0},
};

const trit_op trit_op_max_pool = {
    .name = "max_pool",
    .doc =
        "max_pool(x [, {kernel, stride, padding}]) -> y\n"
        "Takes the largest value of every window.\n"
        "shapes:  x [N,C,H,W] -> y [N,C,P,Q], P = (H + 2 padding - kernel) / stride + 1\n"
        "units:   pixels, one number or {height, width}; stride 0: as the window\n"
        "eq:      y = max over the window; padding is minus infinity; ties: the first in row "
        "order gets the gradient\n"
        "threads: parallel over images\n"
        "exact:   bit-exact across instruction sets; NaN in a window wins\n"
        "errors:  rank other than 4; padding above half the window; a window that does not fit\n",
    .operands = "x",
    .params = params,
    .layout = TRIT_CHANNELS_LAST,
    .takes_pending = 1,
    .takes_rows = 1,
    .infer = trit_pool_infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_KINKED,
    .kink_gap = 0.1,
    .kinks = kinks,
    .cases = cases,
};
