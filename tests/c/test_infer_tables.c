/* Convolutions by tables of sums against plain sums in double: tile, block and row-portion edges,
 * strides, dilations, planes, guard bands; the same bits on every instruction set and for any
 * number of threads; columns unpacked are the node's numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/columns.h"
#include "infer/tables.h"
#include "infer_graphs.h"

#define GUARD 12345.678f
enum { BAND = 32 };

static uint64_t counter;
static int64_t pick(int64_t below) {
    uint32_t r[4];
    trit_rng(23, TRIT_STREAM_USER, counter++, 0, r);
    return r[0] % (uint32_t)below;
}

static test_graph tg;

/* A graph of one conv: C x H x W -> d. */
static trit_node *one_conv(int64_t C, int64_t H, int64_t W, trit_node d, bool two_sided) {
    start_graph(&tg, (uint64_t)counter++, C, H, W);
    d.b = -1;
    trit_node *n = add_conv(&tg, C, d, two_sided);
    if (trit_node_check("test", 0, n, C, H, W) != TRIT_OK) fail_msg("%s", trit_last_error());
    return n;
}

/* n numbers between two bands. */
static float *banded(int64_t n) {
    float *v = malloc((size_t)(n + 2 * BAND) * sizeof *v);
    for (int64_t i = 0; i < n + 2 * BAND; i++) v[i] = GUARD;
    return v + BAND;
}

static void check_bands(float *v, int64_t n, const char *what) {
    for (int64_t i = 0; i < BAND; i++)
        if (v[-1 - i] != GUARD || v[n + i] != GUARD) fail_msg("wrote outside of its %s", what);
    free(v - BAND);
}

static void run_once(const trit_node *d, const float *x, const float *add, float *result) {
    trit_table_conv c;
    trit_table_plan(d, &c);
    const int64_t out = d->P * d->Q * d->K, numbers = (int64_t)trit_table_numbers(&c);
    const int64_t bytes = (int64_t)trit_table_code_bytes(&c);
    uint8_t *codes = malloc((size_t)bytes + 1); /* exactly what may be read */
    float *vectors = banded(numbers), *y = banded(out);
    float *frame = malloc((size_t)c.frame * sizeof *frame);
    for (int64_t i = 0; i < c.frame; i++) frame[i] = NAN; /* whatever counts is written */
    codes[bytes] = 0xa5;
    assert_int_equal(trit_table_pack(d, &c, codes, vectors), TRIT_OK);
    assert_int_equal(trit_scratch_reserve(trit_table_scratch(&c)), TRIT_OK);
    trit_table_run(d, &c, x, frame, add, y);
    assert_int_equal(codes[bytes], 0xa5);
    memcpy(result, y, (size_t)out * sizeof *y);
    check_bands(vectors, numbers, "vectors");
    check_bands(y, out, "result");
    free(frame);
    free(codes);
}

static void compare(const trit_node *d, const float *x, const float *add, const float *y) {
    double *wide = malloc((size_t)(d->H * d->W * d->C) * sizeof *wide), most = 0, off = 0;
    for (int64_t i = 0; i < d->H * d->W * d->C; i++) wide[i] = x[i];
    for (int64_t p = 0; p < d->P; p++)
        for (int64_t q = 0; q < d->Q; q++)
            for (int64_t k = 0; k < d->K; k++) {
                const int64_t at = (p * d->Q + q) * d->K + k;
                double v = conv_at(d, wide, p, q, k) * (d->gain ? d->gain[k] : 1) + d->bias[k];
                if (add) v += add[at];
                if (d->clamp) v = fmin(fmax(v, d->lo), d->hi);
                most = fmax(most, fabs(v));
                if (!(fabs(v - y[at]) <= off)) off = fabs(v - y[at]);
            }
    if (!(off <= 2e-6 * most))
        fail_msg("%d x %d x %d, %d x %d > %d: %g off, of %g", (int)d->C, (int)d->H, (int)d->W,
                 (int)d->R, (int)d->S, (int)d->K, off, most);
    free(wide);
}

/* All levels and thread counts; the generic one against plain sums. */
static void check_node(const trit_node *d, bool with_add) {
    const int64_t in = d->H * d->W * d->C, out = d->P * d->Q * d->K;
    float *x = malloc((size_t)in * sizeof *x), *add = NULL; /* no slack around the image */
    float *want = malloc((size_t)out * sizeof *want), *got = malloc((size_t)out * sizeof *got);
    trit_rng_fill_normal(5, TRIT_STREAM_USER, 0.3f, 1.0f, x, in);
    if (with_add) {
        add = malloc((size_t)out * sizeof *add);
        trit_rng_fill_normal(6, TRIT_STREAM_USER, 0, 1, add, out);
    }
    assert_true(trit_table_fits(d));
    trit_isa_force(TRIT_ISA_GENERIC);
    run_once(d, x, add, want);
    compare(d, x, add, want);
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        for (int threads = 1; threads <= 2; threads++) {
            assert_int_equal(trit_set_threads(threads), TRIT_OK);
            run_once(d, x, add, got);
            if (memcmp(got, want, (size_t)out * sizeof *got))
                fail_msg("%s, %d threads: other bits than generic (%d x %d x %d, %d x %d > %d)",
                         trit_isa_name((trit_isa)level), threads, (int)d->C, (int)d->H, (int)d->W,
                         (int)d->R, (int)d->S, (int)d->K);
        }
    }
    free(got);
    free(want);
    free(add);
    free(x);
}

static void layers_of_networks(void **state) {
    (void)state;
    static const struct {
        int64_t C, H, K, R, stride, pad;
    } layers[] = {{3, 30, 64, 7, 2, 3},  {64, 14, 64, 3, 1, 1},  {32, 14, 72, 3, 2, 1},
                  {48, 14, 80, 1, 2, 0}, {128, 7, 130, 3, 1, 1}, {40, 1, 100, 1, 1, 0},
                  {17, 8, 33, 5, 1, 2},  {8, 6, 9, 3, 3, 0}};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        const int64_t r = layers[i].R, s = layers[i].stride, p = layers[i].pad;
        const trit_node d = {.K = layers[i].K,
                             .R = r,
                             .S = r,
                             .stride_h = s,
                             .stride_w = s,
                             .pad_h = p,
                             .pad_w = p,
                             .scales = i % 2 ? layers[i].K : 1,
                             RELU};
        check_node(one_conv(layers[i].C, layers[i].H, layers[i].H, d, false), i % 2);
        free_graph(&tg);
    }
}

/* Every image width around a tile, channel counts around groups, blocks and portions of rows. */
static void edges(void **state) {
    (void)state;
    for (int64_t W = 1; W <= 36; W += W < 18 ? 1 : 5)
        for (int64_t round = 0; round < 3; round++) {
            const int64_t R = 1 + pick(3), S = 1 + pick(4), pads = S / 2;
            const int64_t C = 1 + pick(round ? 40 : 5), K = 1 + pick(round == 2 ? 70 : 20);
            trit_node d = {.K = K,
                           .R = R,
                           .S = S,
                           .stride_h = 1 + pick(3),
                           .stride_w = 1 + pick(3),
                           .pad_h = pick(R + 1),
                           .pad_w = pads + pick(3),
                           .dil_h = 1 + pick(2),
                           .dil_w = 1 + pick(2),
                           .planes = 1 + (int)pick(3),
                           .scales = pick(2) ? K : 1};
            const int64_t H = (R - 1) * d.dil_h + 1 + pick(9);
            if (W + 2 * d.pad_w < (S - 1) * d.dil_w + 1) continue;
            check_node(one_conv(C, H, W, d, pick(2)), pick(2));
            free_graph(&tg);
        }
}

static void what_does_not_fit(void **state) {
    (void)state;
    trit_node *d = one_conv(8, 9, 9, (trit_node){.K = 8, .R = 3, .S = 3, .groups = 2}, false);
    assert_false(trit_table_fits(d));
    free_graph(&tg);
    d = one_conv(1, 60, 60, (trit_node){.K = 1, .stride_h = 17, .stride_w = 1}, false);
    assert_false(trit_table_fits(d));
    free_graph(&tg);
    d = one_conv(1, 40, 40, (trit_node){.K = 1, .R = 20, .S = 20}, false);
    assert_false(trit_table_fits(d));
    d->weight = TRIT_WEIGHT_FLOAT;
    d->R = d->S = 1;
    assert_false(trit_table_fits(d));
    free_graph(&tg);
}

static void columns_are_the_numbers(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++) {
        const trit_node *d = one_conv(
            5 + i, 9, 9, (trit_node){.K = 11 + 7 * i, .R = 3, .S = 1, .planes = 1 + i % 3}, i % 2);
        const int64_t n = trit_node_weights(d);
        const size_t numbers = trit_columns_numbers(d);
        float *want = malloc((size_t)n * sizeof *want), *vectors = banded((int64_t)numbers);
        uint8_t *codes = malloc(trit_columns_code_bytes(d));
        trit_columns c;
        assert_int_equal(trit_node_floats(d, want), TRIT_OK);
        trit_columns_pack(d, &c, codes, vectors);
        for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
            if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
            float *w = banded(n);
            trit_columns_unpack(&c, w);
            for (int64_t k = 0; k < n; k++) assert_true(w[k] == want[k]);
            check_bands(w, n, "numbers");
        }
        check_bands(vectors, (int64_t)numbers, "vectors");
        free(codes);
        free(want);
        free_graph(&tg);
    }
}

static int start(void **state) {
    (void)state;
    return trit_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_of_networks),
        cmocka_unit_test(edges),
        cmocka_unit_test(what_does_not_fit),
        cmocka_unit_test(columns_are_the_numbers),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
