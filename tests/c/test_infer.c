/* Packed models at work: plans of memory, both engines against a plain execution in double,
 * callers side by side. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "infer/runner.h"
#include "infer_graphs.h"

static test_graph tg; /* too large for the stack */

enum { U8_IMAGES = 3, U8_MOST = 3 * 40 * 40 };
static float u8_x[U8_IMAGES * U8_MOST];

static void check_run(test_graph *t, bool archive, int64_t batch) {
    enum { IMAGES = 5, MOST = 3 * 40 * 40 };
    static float x[IMAGES * MOST];
    float y[IMAGES * 7];
    double want[7];
    trit_model *m = model_of(t, archive);
    trit_runner *r = NULL;
    const int64_t in = t->g.C * t->g.H * t->g.W;
    images(x, IMAGES * in, 11);
    if (trit_runner_new(m, &(trit_runner_options){.batch = batch}, &r) != TRIT_OK)
        fail_msg("%s", trit_last_error());
    trit_mem_fail_after(0); /* nothing is allocated while running */
    assert_int_equal(trit_runner_run(r, IMAGES, x, y), TRIT_OK);
    trit_mem_fail_after(-1);
    for (int i = 0; i < IMAGES; i++) {
        reference_run(&t->g, x + i * in, want, false);
        double largest = 0;
        for (int c = 0; c < 7; c++) largest = fmax(largest, fabs(want[c]));
        for (int c = 0; c < 7; c++)
            if (!(fabs(y[i * 7 + c] - want[c]) <= 1e-5 * largest))
                fail_msg("image %d, class %d: %g, expected %g", i, c, (double)y[i * 7 + c],
                         want[c]);
    }
    trit_runner_close(r);
    trit_model_close(m);
}

static void exact_path_computes_the_graph(void **state) {
    (void)state;
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        for (int batch = 1; batch <= 6; batch += 2) {
            residual_graph(&tg, 1, 16, 19);
            check_run(&tg, batch == 3, batch);
            free_graph(&tg);
            residual_graph(&tg, 2, 5, 12);
            check_run(&tg, false, batch);
            free_graph(&tg);
            odd_graph(&tg, 3, false);
            check_run(&tg, batch == 1, batch);
            free_graph(&tg);
        }
    }
}

/* Images too large to go together, shared between threads once the runner is warm. */
static void threads_give_the_same_bits(void **state) {
    (void)state;
    enum { IMAGES = 5, SIDE = 40 };
    static float x[IMAGES * 3 * SIDE * SIDE];
    float want[IMAGES * 7], y[IMAGES * 7];
    residual_graph(&tg, 9, 64, SIDE);
    images(x, IMAGES * 3 * SIDE * SIDE, 12);
    trit_model *m = model_of(&tg, false);
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        for (int threads = 1; threads <= 3; threads++) {
            trit_runner *r = NULL;
            assert_int_equal(trit_set_threads(threads), TRIT_OK);
            assert_int_equal(trit_runner_new(m, &(trit_runner_options){.batch = IMAGES}, &r),
                             TRIT_OK);
            for (int turn = 0; turn < 3; turn++) {
                memset(y, 0xff, sizeof y);
                if (turn == 2) assert_int_equal(trit_set_threads(2), TRIT_OK);
                if (turn < 2) trit_mem_fail_after(0); /* side by side they allocate nothing */
                assert_int_equal(trit_runner_run(r, IMAGES, x, y), TRIT_OK);
                trit_mem_fail_after(-1);
                if (threads == 1 && turn == 0) memcpy(want, y, sizeof y);
                if (memcmp(y, want, sizeof y))
                    fail_msg("%s, %d threads, turn %d: other bits", trit_isa_name((trit_isa)level),
                             threads, turn);
            }
            trit_runner_close(r);
        }
    }
    assert_int_equal(trit_set_threads(2), TRIT_OK);
    trit_model_close(m);
    free_graph(&tg);
}

/* -------------------------------------------------------- integer activations */

/* Every level and batch gives the same bits; nothing is allocated while running; the results are
 * the reference's within what `bits` bits allow. */
static void check_u8(test_graph *t, int bits, double allowed) {
    float first[U8_IMAGES * 7], y[U8_IMAGES * 7];
    double want[U8_IMAGES][7], largest = 0;
    const int64_t in = t->g.C * t->g.H * t->g.W;
    images(u8_x, U8_IMAGES * in, 21);
    for (int i = 0; i < U8_IMAGES; i++) {
        reference_run(&t->g, u8_x + i * in, want[i], true);
        for (int c = 0; c < 7; c++) largest = fmax(largest, fabs(want[i][c]));
    }
    trit_model *m = model_of(t, false);
    bool seen = false;
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        for (int64_t batch = 1; batch <= 2; batch++) {
            trit_runner *r = NULL;
            const trit_runner_options o = {.bits = bits, .batch = batch};
            if (trit_runner_new(m, &o, &r) != TRIT_OK) fail_msg("%s", trit_last_error());
            memset(r->arena, 0xee, r->arena_bytes); /* frames are filled by every run */
            trit_mem_fail_after(0);
            assert_int_equal(trit_runner_run(r, U8_IMAGES, u8_x, y), TRIT_OK);
            trit_mem_fail_after(-1);
            if (!seen) memcpy(first, y, sizeof y);
            if (memcmp(first, y, sizeof y))
                fail_msg("%s, batch %d: other bits than generic", r->kernels, (int)batch);
            seen = true;
            trit_runner_close(r);
        }
    }
    for (int i = 0; i < U8_IMAGES; i++)
        for (int c = 0; c < 7; c++)
            if (!(fabs(first[i * 7 + c] - want[i][c]) <= allowed * largest))
                fail_msg("%d bits, image %d, class %d: %g, expected %g of at most %g", bits, i, c,
                         (double)first[i * 7 + c], want[i][c], largest);
    trit_model_close(m);
    free_graph(t);
}

static void integer_path_is_the_same_everywhere(void **state) {
    (void)state;
    for (int bits = 8; bits >= 6; bits--) {
        const double allowed = 0.04 * (1 << (8 - bits)); /* a few steps of the last layers */
        residual_graph(&tg, 1, 16, 19);
        check_u8(&tg, bits, allowed);
        residual_graph(&tg, 2, 5, 12);
        check_u8(&tg, bits, allowed);
        residual_graph(&tg, 4, 40, 23);
        check_u8(&tg, bits, allowed);
        residual_graph(&tg, 6, 40, 21); /* odd widths of whole pairs */
        check_u8(&tg, bits, allowed);
        odd_graph(&tg, 3, true);
        check_u8(&tg, bits, allowed);
    }
}

/* Float layers between integer ones: close, but as exact as float convolutions are. */
static void integer_path_takes_float_layers(void **state) {
    (void)state;
    float y[7];
    double want[7], largest = 0;
    odd_graph(&tg, 3, false);
    images(u8_x, tg.g.C * tg.g.H * tg.g.W, 5);
    reference_run(&tg.g, u8_x, want, true);
    trit_model *m = model_of(&tg, false);
    trit_runner *r = NULL;
    assert_int_equal(trit_runner_new(m, &(trit_runner_options){.bits = 8}, &r), TRIT_OK);
    trit_mem_fail_after(0);
    assert_int_equal(trit_runner_run(r, 1, u8_x, y), TRIT_OK);
    trit_mem_fail_after(-1);
    for (int c = 0; c < 7; c++) largest = fmax(largest, fabs(want[c]));
    for (int c = 0; c < 7; c++) assert_true(fabs(y[c] - want[c]) <= 0.04 * largest);
    trit_runner_close(r);
    trit_model_close(m);
    free_graph(&tg);
}

static void integers_need_calibration(void **state) {
    (void)state;
    residual_graph(&tg, 1, 8, 12);
    trit_model *m = model_of(&tg, false), *calibrated = NULL;
    trit_runner *r = NULL;
    assert_int_equal(trit_runner_new(m, &(trit_runner_options){.bits = 8}, &r), TRIT_ERR_STATE);
    assert_non_null(strstr(trit_last_error(), "calibrated"));
    assert_int_equal(trit_runner_new(m, &(trit_runner_options){.bits = 5}, &r), TRIT_ERR_ARG);
    assert_int_equal(trit_runner_new(m, NULL, &r), TRIT_OK);
    assert_int_equal(trit_model_calibrated(r, false, &calibrated), TRIT_ERR_STATE);
    assert_int_equal(trit_runner_observe(r), TRIT_OK);
    images(u8_x, 2 * 3 * 12 * 12, 4);
    float y[14];
    double want[7];
    assert_int_equal(trit_runner_run(r, 2, u8_x, y), TRIT_OK);
    for (int i = 0; i < 2; i++) reference_run(&tg.g, u8_x + i * 3 * 12 * 12, want, true);
    assert_int_equal(trit_model_calibrated(r, false, &calibrated), TRIT_OK);
    const trit_graph *g = trit_model_graph(calibrated);
    for (int64_t i = 0; i < g->n; i++) {
        const float span = tg.nodes[i].greatest - tg.nodes[i].least;
        assert_true(fabsf(g->nodes[i].least - tg.nodes[i].least) <= 1e-4f * span);
        assert_true(fabsf(g->nodes[i].greatest - tg.nodes[i].greatest) <= 1e-4f * span);
    }
    trit_runner_close(r);
    trit_model_close(calibrated);
    trit_model_close(m);
    free_graph(&tg);
}

/* Sums that 32 bits might not hold are refused; floats do not mind. */
static void long_sums_are_refused(void **state) {
    (void)state;
    start_graph(&tg, 3, 65535, 9, 9);
    add_conv(&tg, 65535, (trit_node){.b = -1, .K = 7, .R = 9, .S = 9}, false);
    tg.g.least = 0, tg.g.greatest = 1;
    trit_model *m = model_of(&tg, false);
    trit_runner *r = NULL;
    assert_int_equal(trit_runner_new(m, &(trit_runner_options){.bits = 8}, &r),
                     TRIT_ERR_UNSUPPORTED);
    assert_non_null(strstr(trit_last_error(), "node 0 sums 5308335 numbers"));
    trit_model_close(m);
    free_graph(&tg);
}

/* Two threads of a program, a runner each: they take turns, and disturb nobody's numbers. */
typedef struct {
    trit_model *m;
    int bits, wrong;
    float want[7];
} caller;

static void *call_again_and_again(void *context) {
    caller *c = context;
    float y[7];
    trit_runner *r = NULL;
    c->wrong = trit_runner_new(c->m, &(trit_runner_options){.bits = c->bits}, &r) != TRIT_OK;
    for (int i = 0; i < 200 && !c->wrong; i++)
        c->wrong = trit_runner_run(r, 1, u8_x, y) != TRIT_OK || memcmp(y, c->want, sizeof y);
    trit_runner_close(r);
    return NULL;
}

static void several_callers_take_turns(void **state) {
    (void)state;
    double want[7];
    residual_graph(&tg, 8, 32, 24);
    images(u8_x, 3 * 24 * 24, 3);
    reference_run(&tg.g, u8_x, want, true);
    trit_model *m = model_of(&tg, false);
    for (int threads = 1; threads <= 2; threads++) {
        assert_int_equal(trit_set_threads(threads), TRIT_OK);
        caller callers[4];
        pthread_t ids[4];
        for (int i = 0; i < 4; i++) {
            trit_runner *r = NULL;
            callers[i] = (caller){.m = m, .bits = i % 2 ? 8 : 0};
            assert_int_equal(
                trit_runner_new(m, &(trit_runner_options){.bits = callers[i].bits}, &r), TRIT_OK);
            assert_int_equal(trit_runner_run(r, 1, u8_x, callers[i].want), TRIT_OK);
            trit_runner_close(r);
        }
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&ids[i], NULL, call_again_and_again, &callers[i]), 0);
        for (int i = 0; i < 4; i++) pthread_join(ids[i], NULL);
        for (int i = 0; i < 4; i++) assert_int_equal(callers[i].wrong, 0);
    }
    assert_int_equal(trit_set_threads(2), TRIT_OK);
    trit_model_close(m);
    free_graph(&tg);
}

/* A clamp outside of the calibrated range: the nearest byte, the same on every instruction set. */
static void clamps_outside_the_range_saturate(void **state) {
    (void)state;
    static float watched[16 * 12 * 12];
    float first[7], y[7];
    for (int below = 0; below < 2; below++) {
        residual_graph(&tg, 6, 8, 12);
        tg.nodes[1].clamp = true;
        tg.nodes[1].lo = below ? -9 : 8;
        tg.nodes[1].hi = below ? -8 : 9;
        double want[7];
        images(u8_x, tg.g.C * tg.g.H * tg.g.W, 1);
        reference_run(&tg.g, u8_x, want, true);
        tg.nodes[1].least = 0;
        tg.nodes[1].greatest = 1;
        trit_model *m = model_of(&tg, false);
        for (int level = TRIT_ISA_GENERIC; level <= TRIT_ISA_AVX512; level++) {
            if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
            trit_runner *r;
            assert_int_equal(trit_runner_new(m, &(trit_runner_options){.bits = 7}, &r), TRIT_OK);
            assert_int_equal(trit_runner_watch(r, 1, watched), TRIT_OK);
            assert_int_equal(trit_runner_run(r, 1, u8_x, y), TRIT_OK);
            const int64_t n = tg.nodes[1].K * tg.nodes[1].P * tg.nodes[1].Q;
            for (int64_t i = 0; i < n; i++)
                assert_true(fabsf(watched[i] - (below ? 0.0f : 1.0f)) < 1e-6f);
            if (level == TRIT_ISA_GENERIC) memcpy(first, y, sizeof y);
            assert_memory_equal(first, y, sizeof y);
            trit_runner_close(r);
        }
        trit_model_close(m);
        free_graph(&tg);
    }
}

static uint64_t mutation_draw(uint64_t i, uint32_t lane, uint64_t below) {
    uint32_t r[4];
    trit_rng(99, TRIT_STREAM_USER, i, lane, r);
    return (((uint64_t)r[0] << 32) | r[1]) % below;
}

static void plan_never_overlaps(void **state) {
    (void)state;
    enum { N = 60 };
    for (uint64_t seed = 0; seed < 200; seed++) {
        trit_span s[N];
        size_t sum = 0;
        for (uint64_t i = 0; i < N; i++) {
            const int64_t first = (int64_t)i - 1;
            s[i] =
                (trit_span){.bytes = mutation_draw(seed, (uint32_t)(100 + i), 5000),
                            .first = first,
                            .last = first + (int64_t)mutation_draw(seed, (uint32_t)(200 + i), 6)};
            sum += s[i].bytes + 64;
        }
        const size_t total = trit_plan_spans(s, N);
        assert_true(total <= sum);
        for (int i = 0; i < N; i++) {
            assert_true(s[i].offset % 64 == 0 && s[i].offset + s[i].bytes <= total);
            for (int j = 0; j < i; j++) {
                const bool apart = s[i].offset >= s[j].offset + s[j].bytes ||
                                   s[j].offset >= s[i].offset + s[i].bytes;
                const bool together = s[i].first <= s[j].last && s[j].first <= s[i].last;
                if (together && !apart && s[i].bytes && s[j].bytes)
                    fail_msg("seed %d: spans %d and %d overlap", (int)seed, i, j);
            }
        }
    }
}

static void every_failing_allocation_is_survived(void **state) {
    (void)state;
    double want[7];
    trit_isa_force(TRIT_ISA_GENERIC);
    residual_graph(&tg, 8, 8, 12);
    images(u8_x, 3 * 12 * 12, 1);
    reference_run(&tg.g, u8_x, want, true);
    const size_t live = trit_mem_query().live;
    for (int n = 0;; n++) {
        trit_model *m = NULL;
        trit_runner *r = NULL, *q = NULL;
        trit_mem_fail_after(n);
        trit_status status = trit_model_encode(&tg.g, true, &m);
        if (status == TRIT_OK) status = trit_runner_new(m, NULL, &r);
        if (status == TRIT_OK) status = trit_runner_new(m, &(trit_runner_options){.bits = 7}, &q);
        trit_mem_fail_after(-1);
        trit_runner_close(q);
        trit_runner_close(r);
        trit_model_close(m);
        assert_int_equal(trit_mem_query().live, live);
        if (status == TRIT_OK) break;
        assert_true(n < 100);
    }
    free_graph(&tg);
}

static int start(void **state) {
    (void)state;
    return trit_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_sums_are_refused),
        cmocka_unit_test(several_callers_take_turns),
        cmocka_unit_test(clamps_outside_the_range_saturate),
        cmocka_unit_test(plan_never_overlaps),
        cmocka_unit_test(exact_path_computes_the_graph),
        cmocka_unit_test(threads_give_the_same_bits),
        cmocka_unit_test(integer_path_is_the_same_everywhere),
        cmocka_unit_test(integer_path_takes_float_layers),
        cmocka_unit_test(integers_need_calibration),
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
