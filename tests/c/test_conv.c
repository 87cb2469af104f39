/*
 * test_conv.c - every convolution algorithm against the reference loop nest, over shapes with odd
 * sizes, strides, padding, dilation, groups and channel counts that fill no vector; all three
 * passes; every instruction set this processor has.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "conv/conv_algo.h"
#include "trit/conv.h"

#define BAND  64 /* floats before and after every output that must stay as they are */
#define GUARD 1234.5f

/* N, H, W, C, K, kernel, stride, padding, dilation, groups; P and Q follow. */
typedef struct {
    const char *name;
    int64_t N, H, W, C, K, R, S, stride, pad, dil, G;
} shape;

static const shape shapes[] = {
    {"3x3 pad 1", 2, 8, 8, 16, 16, 3, 3, 1, 1, 1, 1},
    {"3x3 pad 1, odd size", 3, 7, 13, 32, 48, 3, 3, 1, 1, 1, 1},
    {"3x3 pad 1, 64 channels", 5, 9, 6, 64, 64, 3, 3, 1, 1, 1, 1},
    {"3x3 pad 1, tall", 1, 33, 5, 16, 32, 3, 3, 1, 1, 1, 1},
    {"3x3 pad 1, one pixel", 3, 1, 1, 16, 16, 3, 3, 1, 1, 1, 1},
    {"3x3 no padding", 2, 9, 11, 16, 16, 3, 3, 1, 0, 1, 1},
    {"3x3 pad 2", 2, 6, 5, 16, 32, 3, 3, 1, 2, 1, 1},
    {"3x3 stride 2", 3, 16, 16, 16, 32, 3, 3, 2, 1, 1, 1},
    {"3x3 stride 2, odd size", 2, 13, 15, 32, 16, 3, 3, 2, 1, 1, 1},
    {"3x3 stride 3, unreached rows", 2, 14, 15, 16, 16, 3, 3, 3, 0, 1, 1},
    {"3x3 dilation 2", 2, 12, 11, 16, 16, 3, 3, 1, 2, 2, 1},
    {"3x3 stride 2 dilation 2", 2, 15, 14, 16, 16, 3, 3, 2, 2, 2, 1},
    {"5x5 pad 2", 2, 10, 9, 8, 24, 5, 5, 1, 2, 1, 1},
    {"4x4 stride 2 pad 1", 2, 10, 8, 16, 16, 4, 4, 2, 1, 1, 1},
    {"1x5 pad 3", 2, 6, 9, 16, 16, 1, 5, 1, 3, 1, 1},
    {"1x1", 3, 7, 9, 32, 48, 1, 1, 1, 0, 1, 1},
    {"1x1 to 10", 3, 5, 5, 19, 10, 1, 1, 1, 0, 1, 1},
    {"1x1 pad 1", 3, 5, 5, 16, 16, 1, 1, 1, 1, 1, 1},
    {"1x1 stride 2", 2, 9, 8, 64, 128, 1, 1, 2, 0, 1, 1},
    {"stem 3x3 of 3", 2, 32, 32, 3, 16, 3, 3, 1, 1, 1, 1},
    {"stem 7x7 stride 2 of 3", 1, 30, 29, 3, 64, 7, 7, 2, 3, 1, 1},
    {"stem 5x5 of 1", 2, 28, 28, 1, 20, 5, 5, 1, 0, 1, 1},
    {"channels fill no vector", 2, 7, 6, 21, 19, 3, 3, 1, 1, 1, 1},
    {"channels fill no vector, stride 2", 2, 9, 10, 5, 70, 3, 3, 2, 1, 1, 1},
    {"two groups", 2, 8, 8, 32, 32, 3, 3, 1, 1, 1, 2},
    {"four odd groups, stride 2", 2, 9, 9, 20, 28, 3, 3, 2, 1, 1, 4},
    {"groups of 16 by 1x1", 2, 6, 6, 48, 48, 1, 1, 1, 0, 1, 3},
    {"depthwise", 2, 8, 9, 32, 32, 3, 3, 1, 1, 1, 32},
    {"depthwise stride 2, odd channels", 2, 11, 9, 27, 27, 3, 3, 2, 1, 1, 27},
    {"depthwise 5x5 dilation 2", 2, 12, 9, 8, 8, 5, 5, 1, 4, 2, 8},
    {"channel multiplier", 2, 6, 7, 5, 10, 3, 3, 1, 1, 1, 5},
    {"padding wider than the image", 1, 2, 2, 16, 16, 3, 3, 1, 3, 1, 1},
    {"more images than slots", 40, 5, 6, 3, 21, 3, 3, 1, 1, 1, 1},
    {"more units than slots", 60, 15, 16, 16, 16, 3, 3, 1, 1, 1, 1},
    {"several strips an image", 1, 24, 40, 64, 16, 3, 3, 1, 1, 1, 1},
    {"several strips an image, stride 2", 1, 25, 70, 80, 32, 3, 3, 2, 1, 1, 1},
    {"weights in several chunks", 1, 5, 5, 208, 40, 3, 3, 1, 1, 1, 1},
    {"large Winograd weights", 2, 8, 5, 144, 144, 3, 3, 1, 1, 1, 1},
    {"large Winograd weights, edges of 3 and 2", 3, 7, 10, 144, 144, 3, 3, 1, 1, 1, 1},
    {"large Winograd weights, edges of 1 and 3", 2, 9, 11, 144, 160, 3, 3, 1, 1, 1, 1},
    {"large Winograd weights, edges alone", 5, 2, 3, 160, 144, 3, 3, 1, 1, 1, 1},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static trit_conv_geom geometry(const shape *s) {
    trit_conv_geom g = {.N = s->N,
                        .H = s->H,
                        .W = s->W,
                        .C = s->C,
                        .K = s->K,
                        .R = s->R,
                        .S = s->S,
                        .stride_h = s->stride,
                        .stride_w = s->stride,
                        .pad_h = s->pad,
                        .pad_w = s->pad,
                        .dil_h = s->dil,
                        .dil_w = s->dil,
                        .G = s->G};
    if (s->R == 1 && s->S > 1) g.pad_h = 0;
    g.P = (g.H + 2 * g.pad_h - (g.R - 1) * g.dil_h - 1) / g.stride_h + 1;
    g.Q = (g.W + 2 * g.pad_w - (g.S - 1) * g.dil_w - 1) / g.stride_w + 1;
    return g;
}

/* The three arrays of a convolution and their sizes, by pass: what is read, what is written. */
typedef struct {
    trit_conv_geom g;
    int64_t size_x, size_w, size_y;
    float *x, *w, *dy;
} problem;

static float *random_array(int64_t n, uint32_t stream) {
    float *a = malloc(sizeof(float) * (size_t)(n + 1));
    trit_rng_fill_normal(11, stream, 0.0f, 1.0f, a, n);
    return a;
}

static problem problem_of(trit_conv_geom g) {
    problem p = {.g = g,
                 .size_x = g.N * g.H * g.W * g.C,
                 .size_w = g.R * g.S * g.C / g.G * g.K,
                 .size_y = g.N * g.P * g.Q * g.K};
    p.x = random_array(p.size_x, 1);
    p.w = random_array(p.size_w, 2);
    p.dy = random_array(p.size_y, 3);
    return p;
}

static void release(problem *p) {
    free(p->x);
    free(p->w);
    free(p->dy);
}

static int64_t output_size(const problem *p, char pass) {
    return pass == 'f' ? p->size_y : pass == 'd' ? p->size_x : p->size_w;
}

static float *guarded(int64_t n) {
    float *a = malloc(sizeof(float) * (size_t)(n + 2 * BAND));
    for (int64_t i = 0; i < n + 2 * BAND; i++) a[i] = GUARD;
    return a;
}

static bool bands_are_intact(const float *a, int64_t n) {
    for (int64_t i = 0; i < BAND; i++)
        if (a[i] != GUARD || a[BAND + n + i] != GUARD) return false;
    return true;
}

/* The pass's output, between bands; NULL after a failure. */
static float *run(const conv_algo *algo, const problem *p, char pass) {
    int64_t n = output_size(p, pass);
    float *a = guarded(n), *out = a + BAND;
    trit_status status = pass == 'f'   ? algo->forward(&p->g, p->x, p->w, out, NULL)
                         : pass == 'd' ? algo->backward_data(&p->g, p->dy, p->w, out, NULL)
                                       : algo->backward_weight(&p->g, p->x, p->dy, out, NULL);
    if (status == TRIT_OK && bands_are_intact(a, n)) return a;
    free(a);
    return NULL;
}

static double relative_rms(const float *got, const float *want, int64_t n) {
    double error = 0.0, size = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)got[i] - want[i];
        error += d * d;
        size += (double)want[i] * want[i];
    }
    return size > 0.0 ? sqrt(error / size) : error;
}

/* Largest relative RMS error against sums in double.  Direct sums of up to a few thousand terms
 * measure 1e-7 to 5e-7. */
static double tolerance(const conv_algo *algo) { return algo->inexact ? 2e-6 : 1e-6; }

static int check_pass(const conv_algo *algo, const problem *p, char pass, const float *want,
                      const char *name) {
    if (!algo->fits(&p->g, pass)) return 0;
    float *got = run(algo, p, pass);
    int64_t n = output_size(p, pass);
    double error = got ? relative_rms(got + BAND, want + BAND, n) : INFINITY;
    free(got);
    if (error <= tolerance(algo)) return 0;
    print_error("%s, pass %c, %s, %s: relative error %.2e\n", algo->name, pass, name,
                trit_isa_name(trit_isa_level()), error);
    return 1;
}

static int check_level(const problem *p, float *const want[3], const char *name) {
    int bad = 0;
    for (const conv_algo *const *algo = trit_conv_algos; *algo; algo++)
        for (int i = 0; i < 3; i++) bad += check_pass(*algo, p, "fdw"[i], want[i], name);
    return bad;
}

static void every_algorithm_agrees_with_the_reference(void **state) {
    (void)state;
    trit_isa best = trit_isa_level();
    int bad = 0;
    for (int s = 0; s < SHAPES; s++) {
        problem p = problem_of(geometry(&shapes[s]));
        float *want[3];
        for (int i = 0; i < 3; i++) want[i] = run(&trit_conv_reference, &p, "fdw"[i]);
        for (int level = 0; level <= (int)best; level++) {
            assert_int_equal(trit_isa_force((trit_isa)level), TRIT_OK);
            bad += check_level(&p, want, shapes[s].name);
        }
        for (int i = 0; i < 3; i++) free(want[i]);
        release(&p);
    }
    assert_int_equal(trit_isa_force(best), TRIT_OK);
    assert_int_equal(bad, 0);
}

/* Relative RMS error of Winograd on rectified normal inputs, as measured for this choice of points
 * with 16 and 64 channels; half as much again is allowed. */
static void winograd_errors_are_as_recorded(void **state) {
    (void)state;
    static const struct {
        int64_t channels;
        double error[3]; /* forward, data, weight */
    } recorded[] = {{16, {4.4e-7, 4.9e-7, 6.2e-7}}, {64, {6.4e-7, 8.0e-7, 5.4e-7}}};
    for (int r = 0; r < 2; r++) {
        shape s = {"", 4, 16, 16, recorded[r].channels, recorded[r].channels, 3, 3, 1, 1, 1, 1};
        problem p = problem_of(geometry(&s));
        if (!trit_conv_winograd.fits(&p.g, 'f')) skip();
        for (int64_t i = 0; i < p.size_x; i++) p.x[i] = p.x[i] > 0.0f ? p.x[i] : 0.0f;
        for (int i = 0; i < 3; i++) {
            float *want = run(&trit_conv_reference, &p, "fdw"[i]);
            float *got = run(&trit_conv_winograd, &p, "fdw"[i]);
            assert_true(want && got);
            double error = relative_rms(got + BAND, want + BAND, output_size(&p, "fdw"[i]));
            print_message("winograd, %d channels, pass %c: %.1e\n", (int)s.C, "fdw"[i], error);
            assert_true(error <= 1.5 * recorded[r].error[i]);
            free(want);
            free(got);
        }
        release(&p);
    }
}

/* Enough tiles for several chunks; too much work for the reference. */
static void winograd_agrees_with_direct_on_many_tiles(void **state) {
    (void)state;
    shape s = {"", 20, 14, 13, 144, 160, 3, 3, 1, 1, 1, 1};
    problem p = problem_of(geometry(&s));
    for (int i = 0; i < 3 && trit_conv_winograd.fits(&p.g, 'f'); i++) {
        float *want = run(&trit_conv_direct, &p, "fdw"[i]);
        float *got = run(&trit_conv_winograd, &p, "fdw"[i]);
        assert_true(want && got);
        assert_true(relative_rms(got + BAND, want + BAND, output_size(&p, "fdw"[i])) <= 3e-6);
        free(want);
        free(got);
    }
    release(&p);
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

/* <dy, conv(x, w)> = <dx, x> = <dw, w>: the passes are transposes of each other. */
static void passes_are_transposes_of_each_other(void **state) {
    (void)state;
    for (int s = 0; s < SHAPES; s++) {
        problem p = problem_of(geometry(&shapes[s]));
        float *y = guarded(p.size_y), *dx = guarded(p.size_x), *dw = guarded(p.size_w);
        assert_int_equal(trit_conv_forward(&p.g, p.x, p.w, y, NULL), TRIT_OK);
        assert_int_equal(trit_conv_backward_data(&p.g, p.dy, p.w, dx, NULL), TRIT_OK);
        assert_int_equal(trit_conv_backward_weight(&p.g, p.x, p.dy, dw, NULL), TRIT_OK);
        double by_y = dot(p.dy, y, p.size_y), by_x = dot(dx, p.x, p.size_x),
               by_w = dot(dw, p.w, p.size_w);
        double size = sqrt(dot(p.dy, p.dy, p.size_y) * dot(y, y, p.size_y)) + 1e-30;
        if (fabs(by_y - by_x) > 1e-6 * size || fabs(by_y - by_w) > 1e-6 * size)
            fail_msg("%s: %.9g, %.9g, %.9g", shapes[s].name, by_y, by_x, by_w);
        free(y);
        free(dx);
        free(dw);
        release(&p);
    }
}

static void same_bits_for_any_thread_count(void **state) {
    (void)state;
    for (int s = 0; s < SHAPES; s++) {
        problem p = problem_of(geometry(&shapes[s]));
        for (const conv_algo *const *algo = trit_conv_algos; *algo; algo++)
            for (int i = 0; i < 3; i++) {
                float *one = NULL;
                if (!(*algo)->fits(&p.g, "fdw"[i])) continue;
                for (int threads = 1; threads <= 3; threads++) {
                    assert_int_equal(trit_set_threads(threads), TRIT_OK);
                    float *out = run(*algo, &p, "fdw"[i]);
                    assert_non_null(out);
                    if (one && memcmp(one, out, sizeof(float) * (size_t)output_size(&p, "fdw"[i])))
                        fail_msg("%s, pass %c, %s: %d threads give other bits than one",
                                 (*algo)->name, "fdw"[i], shapes[s].name, threads);
                    if (one)
                        free(out);
                    else
                        one = out;
                }
                free(one);
            }
        release(&p);
    }
}

static void an_empty_batch_gives_a_zero_weight_gradient(void **state) {
    (void)state;
    trit_conv_geom g = geometry(&shapes[0]);
    g.N = 0;
    float x = 0.0f, y = GUARD, *dw = guarded(9 * 16 * 16);
    assert_int_equal(trit_conv_forward(&g, &x, dw, &y, NULL), TRIT_OK);
    assert_int_equal(trit_conv_backward_data(&g, &x, dw, &y, NULL), TRIT_OK);
    assert_true(y == GUARD);
    assert_int_equal(trit_conv_backward_weight(&g, &x, &x, dw + BAND, NULL), TRIT_OK);
    for (int i = 0; i < 9 * 16 * 16; i++) assert_true(dw[BAND + i] == 0.0f);
    assert_true(bands_are_intact(dw, 9 * 16 * 16));
    free(dw);
}

static void the_shape_decides(void **state) {
    (void)state;
    shape plain = {"", 8, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1}, strided = plain, depthwise = plain;
    shape single = plain;
    strided.stride = 2;
    depthwise.G = 32;
    single.N = single.H = single.W = 1;
    trit_conv_geom g = geometry(&plain);
    assert_string_equal(trit_conv_algorithm(&g, 'f'), "winograd");
    assert_string_equal(trit_conv_algorithm(&g, 'w'), "winograd");
    trit_conv_set_mode(TRIT_CONV_EXACT);
    assert_string_equal(trit_conv_algorithm(&g, 'f'), "direct");
    trit_conv_set_mode(TRIT_CONV_AUTO);
    g = geometry(&strided);
    assert_string_equal(trit_conv_algorithm(&g, 'd'), "direct");
    g = geometry(&single);
    assert_string_equal(trit_conv_algorithm(&g, 'd'), "direct");
    g = geometry(&depthwise);
    assert_string_equal(trit_conv_algorithm(&g, 'f'), "depthwise");
}

static int bad_mode_seen; /* by a child process, see main */

/* In a process of its own: the environment is read once. */
static int refuses_unknown_mode(void) {
    pid_t child = fork();
    if (child == 0) {
        setenv("TRIT_CONV", "fast", 1);
        trit_conv_geom g = geometry(&shapes[0]);
        bool refused = trit_conv_forward(&g, NULL, NULL, NULL, NULL) == TRIT_ERR_ARG;
        _exit(refused && !strcmp(trit_last_error(), "TRIT_CONV=fast: expected auto, exact, gemm or "
                                                    "reference")
                  ? 0
                  : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    return status == 0;
}

static void an_unknown_mode_in_the_environment_is_refused(void **state) {
    (void)state;
    assert_true(bad_mode_seen);
}

static void the_mode_limits_the_choice(void **state) {
    (void)state;
    trit_conv_geom g = geometry(&shapes[0]);
    trit_conv_set_mode(TRIT_CONV_REFERENCE);
    assert_string_equal(trit_conv_algorithm(&g, 'f'), "reference");
    trit_conv_set_mode(TRIT_CONV_GEMM);
    assert_int_equal(trit_conv_get_mode(), TRIT_CONV_GEMM);
    assert_string_equal(trit_conv_algorithm(&g, 'w'), "gemm");
    trit_conv_set_mode(TRIT_CONV_AUTO);
}

/* Whatever allocation fails, the pass says so and the next call works. */
static void running_out_of_memory_is_reported(void **state) {
    (void)state;
    problem p = problem_of(geometry(&shapes[1]));
    for (const conv_algo *const *algo = trit_conv_algos; *algo; algo++)
        for (int i = 0; i < 3; i++) {
            if (!(*algo)->fits(&p.g, "fdw"[i])) continue;
            size_t live = trit_mem_query().live;
            int n = 0;
            for (float *out = NULL; !out && n < 20; n++) {
                trit_mem_fail_after(n);
                out = run(*algo, &p, "fdw"[i]);
                trit_mem_fail_after(-1);
                if (out) free(out);
                if (out) break;
                assert_non_null(strstr(trit_last_error(), "out of memory"));
            }
            assert_true(n < 20);
            assert_true(trit_mem_query().live >= live); /* scratch may have grown, no more */
        }
    release(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm_agrees_with_the_reference),
        cmocka_unit_test(winograd_errors_are_as_recorded),
        cmocka_unit_test(winograd_agrees_with_direct_on_many_tiles),
        cmocka_unit_test(passes_are_transposes_of_each_other),
        cmocka_unit_test(same_bits_for_any_thread_count),
        cmocka_unit_test(an_empty_batch_gives_a_zero_weight_gradient),
        cmocka_unit_test(the_shape_decides),
        cmocka_unit_test(an_unknown_mode_in_the_environment_is_refused),
        cmocka_unit_test(the_mode_limits_the_choice),
        cmocka_unit_test(running_out_of_memory_is_reported),
    };
    bad_mode_seen = refuses_unknown_mode();
    if (trit_init() != TRIT_OK) return 1;
    trit_conv_set_mode(TRIT_CONV_AUTO); /* whatever TRIT_CONV says */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
