/*
 * conv.c - the public convolution: picks an algorithm for a pass and runs it.
 *
 * Algorithms, in the order they are asked; the first that fits the shape and pays is taken:
 *
 *   depthwise   one channel a group: memory-bound, one vector of channels along a row
 *   winograd    F(4x4, 3x3): 3x3, stride 1, padding 1, one group, channels in whole vectors (16, 8
 *               or 4 by instruction set); a third or more of its tiles' outputs inside the image
 *               and 16 tiles in the batch.  Not in exact mode: its rounding error is 2 to 3 times
 *               a direct sum's (relative RMS 4e-7 to 1.5e-6, test_conv.c)
 *   direct      any kernel of at most 128 taps, stride, padding, dilation, groups; a plain float
 *               sum per output
 *   gemm        everything: im2col + BLIS; a second opinion, and what is left over
 *   reference   everything, slow: loop nest in double, the specification; only on request
 *
 * Why.  Multiply-adds of the passes forward / data / weight per second and core (nominal: those of
 * the plain sum), on 2 vCPU AMD EPYC with AVX-512, GFLOP/s of a peak of 266; another machine has
 * other numbers and much the same order:
 *
 *                              winograd           direct             gemm
 *   16>16   32x32  batch 128   310/309/300        204/204/180         51/ 72/ 43
 *   64>64    8x8   batch 128   684/692/580        247/247/207        128/117/120
 *   64>64   56x56  batch 16    596/614/548        247/247/215        152/157/138
 *   256>256 14x14  batch 16    532/492/500        255/242/234        157/125/162
 *   512>512  7x7   batch 16    511/521/524        229/219/211         98/ 53/157
 *   3>16    32x32  batch 128       -              144/ - /112         24/ - / 13
 *   3>64 7x7 stride 2, 224         -              226/ - /189         93/ - / 45
 *   16>32 stride 2, 32x32          -              210/197/189         85/ 93/ 66
 *   64>256 1x1 56x56               -              224/184/168        217/159/ 97
 *   with AVX2 (peak 133), 16>16   334/336/268     122/123/108         88/ 26/ 80
 *
 * gemm copies every input value R*S times and, with few output channels, fills half of BLIS's
 * register tile; direct copies each value about once and keeps its weights in cache.
 *
 * Element-wise work on the rows going in and out of a convolution (trit/rows.h) rides along in the
 * winograd and direct algorithms; for the others it is done before and after, here.
 *
 * The mode (trit_conv_set_mode, TRIT_CONV) says which algorithms may be asked.
 */
#include "conv/conv_algo.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NOT_READ (-1) /* the environment has not been looked at */
#define BAD_NAME (-2) /* TRIT_CONV holds no mode's name         */

static atomic_int mode = NOT_READ;
static const char *const mode_names[] = {"auto", "exact", "gemm", "reference"};

static int mode_from_environment(void) {
    const char *wish = getenv("TRIT_CONV");
    if (!wish || !*wish) return TRIT_CONV_AUTO;
    for (int i = 0; i < 4; i++)
        if (!strcmp(wish, mode_names[i])) return i;
    return BAD_NAME;
}

static int current_mode(void) {
    int m = atomic_load(&mode);
    if (m == NOT_READ) atomic_store(&mode, m = mode_from_environment());
    return m;
}

void trit_conv_set_mode(trit_conv_mode wanted) { atomic_store(&mode, (int)wanted); }

trit_conv_mode trit_conv_get_mode(void) {
    int m = current_mode();
    return m < 0 ? TRIT_CONV_AUTO : (trit_conv_mode)m;
}

const conv_algo *const trit_conv_algos[] = {
    &trit_conv_depthwise, &trit_conv_winograd,  &trit_conv_direct,
    &trit_conv_gemm,      &trit_conv_reference, NULL,
};

static const conv_algo *choose(const trit_conv_geom *g, char pass) {
    trit_conv_mode m = trit_conv_get_mode();
    if (m == TRIT_CONV_REFERENCE) return &trit_conv_reference;
    if (m == TRIT_CONV_GEMM) return &trit_conv_gemm;
    for (const conv_algo *const *row = trit_conv_algos; *row; row++) {
        const conv_algo *a = *row;
        if (m == TRIT_CONV_EXACT && a->inexact) continue;
        if (a->fits(g, pass) && (!a->pays || a->pays(g, pass))) return a;
    }
    return &trit_conv_reference;
}

const char *trit_conv_algorithm(const trit_conv_geom *g, char pass) {
    return choose(g, pass)->name;
}

trit_conv_room trit_conv_forward_room(const trit_conv_geom *g) {
    const conv_algo *a = choose(g, 'f');
    return a->forward_room ? a->forward_room(g) : (trit_conv_room){0};
}

/* Refuses a misspelt TRIT_CONV rather than measuring something else than was asked for. */
static trit_status check_mode(void) {
    if (current_mode() != BAD_NAME) return TRIT_OK;
    return trit_fail(TRIT_ERR_ARG, "TRIT_CONV=%s: expected auto, exact, gemm or reference",
                     getenv("TRIT_CONV"));
}

static size_t bytes(int64_t a, int64_t b, int64_t c, int64_t d) {
    return (size_t)(a * b * c * d) * sizeof(float);
}

static bool sums_are_empty(const trit_conv_geom *g) {
    return g->N == 0 || g->P * g->Q == 0 || g->K == 0 || g->C == 0;
}

/* ------------------------------------------------------------------ rows that ride along */

static bool rides(const conv_algo *a, const trit_conv_geom *g, char pass) {
    return a->rides && a->rides(g, pass);
}

bool trit_conv_rides_along(const trit_conv_geom *g, char pass) {
    return rides(choose(g, pass), g, pass);
}

/* Rows made beforehand into `*held` (of *held_bytes), or the array there is. */
static trit_status made(const trit_make *rows, int64_t pixels, const float **x, float **held,
                        size_t *held_bytes) {
    if (!rows) return TRIT_OK;
    *held_bytes = (size_t)(pixels * rows->C) * sizeof(float);
    *held = trit_alloc(*held_bytes);
    if (!*held) return TRIT_ERR_MEM;
    trit_rows_make_all(rows, pixels, *held);
    *x = *held;
    return TRIT_OK;
}

static trit_status run(const conv_algo *a, char pass, const trit_conv_geom *g, const float *x,
                       const float *other, float *out, const trit_conv_along *along) {
    switch (pass) {
    case 'f': return a->forward(g, x, other, out, along);
    case 'd': return a->backward_data(g, x, other, out, along);
    default: return a->backward_weight(g, x, other, out, along);
    }
}

/* For an algorithm that knows nothing of rows: made before, taken after. */
static trit_status run_beside(const conv_algo *a, char pass, const trit_conv_geom *g,
                              const float *first, const float *second, float *out,
                              const trit_conv_along *along) {
    const int64_t in = g->N * g->H * g->W, result = g->N * g->P * g->Q;
    float *held[2] = {NULL, NULL};
    size_t held_bytes[2] = {0, 0};
    trit_status status = TRIT_OK;
    if (pass != 'd') status = made(along->x, in, &first, &held[0], &held_bytes[0]);
    if (status == TRIT_OK && pass != 'f')
        status = made(along->dy, result, pass == 'd' ? &first : &second, &held[1], &held_bytes[1]);
    if (status == TRIT_OK) status = run(a, pass, g, first, second, out, NULL);
    for (int i = 0; i < 2; i++) trit_free(held[i], held_bytes[i]);
    if (status != TRIT_OK || pass == 'w' || !along->take) return status;
    return trit_rows_take_all(along->take, pass == 'f' ? result : in, out, along->sums);
}

static trit_status run_pass(char pass, const trit_conv_geom *g, const float *first,
                            const float *second, float *out, const trit_conv_along *along) {
    const conv_algo *a = choose(g, pass);
    if (!along || rides(a, g, pass)) return run(a, pass, g, first, second, out, along);
    return run_beside(a, pass, g, first, second, out, along);
}

/* A result without a single sum is zero, and then taken like any other. */
static trit_status all_zero(float *out, int64_t pixels, int64_t channels,
                            const trit_conv_along *along) {
    memset(out, 0, bytes(1, 1, pixels, channels));
    if (!along || !along->take) return TRIT_OK;
    return trit_rows_take_all(along->take, pixels, out, along->sums);
}

/* ------------------------------------------------------------------------ the three passes */

trit_status trit_conv_forward(const trit_conv_geom *g, const float *x, const float *w, float *y,
                              const trit_conv_along *along) {
    TRIT_TRY(check_mode());
    if (sums_are_empty(g)) return all_zero(y, g->N * g->P * g->Q, g->K, along);
    return run_pass('f', g, x, w, y, along);
}

trit_status trit_conv_backward_data(const trit_conv_geom *g, const float *dy, const float *w,
                                    float *dx, const trit_conv_along *along) {
    TRIT_TRY(check_mode());
    if (sums_are_empty(g)) return all_zero(dx, g->N * g->H * g->W, g->C, along);
    const double began = trit_profile_begin();
    const trit_status status = run_pass('d', g, dy, w, dx, along);
    trit_profile_end(began, "conv2d", 'd');
    return status;
}

trit_status trit_conv_backward_weight(const trit_conv_geom *g, const float *x, const float *dy,
                                      float *dw, const trit_conv_along *along) {
    TRIT_TRY(check_mode());
    if (sums_are_empty(g)) return all_zero(dw, g->R * g->S * (g->C / g->G), g->K, NULL);
    const double began = trit_profile_begin();
    const trit_status status = run_pass('w', g, x, dy, dw, along);
    trit_profile_end(began, "conv2d", 'w');
    return status;
}

trit_status trit_conv_backward(const trit_conv_geom *g, const float *x, const float *dy,
                               const float *w, float *dx, float *dw, const trit_conv_along *along) {
    TRIT_TRY(check_mode());
    const conv_algo *a = choose(g, 'd');
    if (sums_are_empty(g) || a != choose(g, 'w') || !a->joins || !a->joins(g)) {
        TRIT_TRY(trit_conv_backward_weight(g, x, dy, dw, along));
        return trit_conv_backward_data(g, dy, w, dx, along);
    }
    const double began = trit_profile_begin();
    const trit_status status = a->backward(g, x, dy, w, dx, dw, along);
    trit_profile_end(began, "conv2d", 'j');
    return status;
}
