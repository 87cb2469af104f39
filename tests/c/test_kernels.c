/* Every kernel on every instruction set against plain double sums: sizes around the vector width,
 * unaligned, with guard numbers behind every output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"

#define MOST   4096
#define GUARD  12345.0f
#define OFFSET 3 /* numbers: no operand is aligned */

static float buffer[7][MOST + 64];
static float *arg(int k) { return buffer[k] + OFFSET + k; }

static void fill(int64_t n) {
    for (int k = 0; k < 7; k++) {
        trit_rng_fill_uniform((uint64_t)(n * 7 + k), TRIT_STREAM_USER, -2.0f, 2.0f, arg(k), n);
        arg(k)[n] = GUARD;
    }
    for (int64_t i = 0; i < n; i++) arg(1)[i] += arg(1)[i] < 0 ? -0.5f : 0.5f; /* divisor */
}

static void close_to(const char *what, int64_t n, double got, double want, double scale) {
    if (fabs(got - want) <= 2e-6 * (fabs(want) + scale)) return;
    fail_msg("%s, n = %lld: %g, expected %g", what, (long long)n, got, want);
}

static void guard(const char *what, int64_t n, const float *y) {
    if (y[n] != GUARD) fail_msg("%s, n = %lld: wrote behind its output", what, (long long)n);
}

static const int64_t lengths[] = {0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 64, 65, 1000};
#define N_LENGTHS (sizeof lengths / sizeof *lengths)

typedef void (*two_fn)(int64_t, const float *, const float *, float *);

static double do_add(double a, double b) { return a + b; }
static double do_sub(double a, double b) { return a - b; }
static double do_mul(double a, double b) { return a * b; }
static double do_div(double a, double b) { return a / b; }
static double do_relu_grad(double y, double g) { return y > 0 ? g : 0; }

static void check_two(const char *what, two_fn f, double (*want)(double, double)) {
    for (size_t s = 0; s < N_LENGTHS; s++) {
        const int64_t n = lengths[s];
        fill(n);
        f(n, arg(0), arg(1), arg(2));
        for (int64_t i = 0; i < n; i++) close_to(what, n, arg(2)[i], want(arg(0)[i], arg(1)[i]), 0);
        guard(what, n, arg(2));
    }
}

static void check_clamp(const trit_kernel_table *k) {
    for (size_t s = 0; s < N_LENGTHS; s++) {
        const int64_t n = lengths[s];
        fill(n);
        k->clamp(n, -0.5f, 0.75f, arg(0), arg(2));
        k->clamp_grad(n, -0.5f, 0.75f, arg(0), arg(1), arg(3));
        k->affine(n, 3.0f, -1.0f, arg(0), arg(4));
        k->range_grad(n, -0.5f, 0.75f, arg(0), arg(1), arg(6));
        k->relu(n, arg(0), arg(5));
        double sum = 1, want = 1;
        k->sum(n, arg(0), &sum);
        for (int64_t i = 0; i < n; i++) {
            const double x = arg(0)[i];
            close_to("clamp", n, arg(2)[i], fmin(fmax(x, -0.5), 0.75), 0);
            close_to("clamp_grad", n, arg(3)[i], x > -0.5 && x < 0.75 ? arg(1)[i] : 0, 0);
            close_to("range_grad", n, arg(6)[i], x < -0.5 || x > 0.75 ? 0 : arg(1)[i], 0);
            close_to("affine", n, arg(4)[i], 3 * x - 1, 1);
            close_to("relu", n, arg(5)[i], fmax(x, 0), 0);
            want += x;
        }
        close_to("sum", n, sum, want, 1e-6);
        for (int i = 2; i < 7; i++) guard("clamp, affine, relu, range_grad", n, arg(i));
    }
}

static void nan_goes_through(const trit_kernel_table *k) {
    for (int64_t i = 0; i < 37; i++) {
        fill(37);
        arg(0)[i] = NAN;
        k->relu(37, arg(0), arg(2));
        k->clamp(37, -1.0f, 1.0f, arg(0), arg(3));
        if (!isnan(arg(2)[i]) || !isnan(arg(3)[i])) fail_msg("NaN at %lld is lost", (long long)i);
    }
}

/* Rows x channels; x and g fill arg(0), arg(1); vectors of channels in `v`. */
static void check_rows(const trit_kernel_table *k, int64_t rows, int64_t C) {
    const int64_t n = rows * C;
    float v[4][80];
    double s1[80] = {0}, s2[80] = {0}, t1[80] = {0}, t2[80] = {0}, t3[80] = {0};
    fill(n);
    for (int i = 0; i < 4; i++)
        trit_rng_fill_uniform((uint64_t)i, TRIT_STREAM_USER, -1.0f, 1.0f, v[i], C);
    k->row_moments(rows, C, arg(0), v[0], s1, s2);
    k->row_dots(rows, C, arg(1), arg(0), v[0], t1, t2);
    k->row_sums(rows, C, C, arg(0), t3);
    const trit_make norm = {.C = C, .p = arg(0), .pm = v[0], .pa = v[1], .pb = v[2]};
    const trit_make norm_grad = {
        .C = C, .p = arg(1), .pa = v[1], .q = arg(0), .qm = v[0], .qa = v[2], .qb = v[3]};
    k->rows_make(&norm, 0, rows, arg(2));
    k->rows_make(&norm_grad, 0, rows, arg(3));
    for (int64_t c = 0; c < C; c++) {
        double m1 = 0, m2 = 0, d1 = 0, d2 = 0, sum = 0;
        for (int64_t i = c; i < n; i += C) {
            const double x = arg(0)[i], g = arg(1)[i], d = x - (double)v[0][c];
            sum += x;
            m1 += d;
            m2 += d * d;
            d1 += g;
            d2 += g * d;
            close_to("rows_make norm", n, arg(2)[i], d * v[1][c] + v[2][c], 1);
            close_to("rows_make norm_grad", n, arg(3)[i], v[1][c] * g + v[2][c] * d + v[3][c], 2);
        }
        close_to("row_sums", n, t3[c], sum, (double)rows * 0.1);
        close_to("row_moments 1", n, s1[c], m1, (double)rows * 0.1);
        close_to("row_moments 2", n, s2[c], m2, 0);
        close_to("row_dots 1", n, t1[c], d1, (double)rows * 0.1);
        close_to("row_dots 2", n, t2[c], d2, (double)rows * 0.1);
    }
    guard("rows_make norm", n, arg(2));
    guard("rows_make norm_grad", n, arg(3));
    memcpy(arg(4), arg(0), (size_t)n * sizeof(float));
    k->row_bias(rows, C, v[1], arg(4));
    for (int64_t i = 0; i < n; i++)
        close_to("row_bias", n, arg(4)[i], (double)arg(0)[i] + v[1][i % C], 1);
    guard("row_bias", n, arg(4));
    for (int add = 0; add < 2; add++) {
        memcpy(arg(5), arg(0), (size_t)n * sizeof(float));
        k->row_finish(rows, C, v[1], add ? arg(1) : NULL, -0.5f, 1.25f, arg(5));
        for (int64_t i = 0; i < n; i++) {
            const double sum = (double)arg(0)[i] + v[1][i % C] + (add ? arg(1)[i] : 0);
            close_to("row_finish", n, arg(5)[i], fmin(fmax(sum, -0.5), 1.25), 1);
        }
        guard("row_finish", n, arg(5));
    }
}

/* One image; every reference sum is written out. */
static void check_pool(const trit_kernel_table *k, trit_pool_geom g) {
    const int64_t in = g.H * g.W * g.C, out = g.P * g.Q * g.C;
    fill(in);
    float *x = arg(0), *y = arg(1), *a = arg(2), *gx = arg(3), *ga = arg(4);
    arg(1)[out] = arg(2)[out] = GUARD;
    uint8_t win[MOST];
    memset(ga, 0, (size_t)in * sizeof *ga);
    k->pool_max(&g, x, y, win);
    k->pool_avg(&g, x, a);
    const int64_t half = g.H / 2; /* any numbers will do as gradient */
    k->pool_max_grad(&g, 0, half, win, a, gx);
    k->pool_max_grad(&g, half, g.H, win, a, gx + half * g.W * g.C);
    k->pool_avg_grad(&g, a, ga);
    double total_a = 0, total_gx = 0, total_ga = 0;
    for (int64_t o = 0; o < out; o++) {
        const int64_t p = o / g.C / g.Q, q = o / g.C % g.Q, c = o % g.C;
        double most = -INFINITY, sum = 0;
        int64_t count = 0, winner = 0;
        for (int64_t r = 0; r < g.R; r++)
            for (int64_t s = 0; s < g.S; s++) {
                const int64_t h = p * g.stride_h - g.pad_h + r, w = q * g.stride_w - g.pad_w + s;
                if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
                const double v = x[(h * g.W + w) * g.C + c];
                if (v > most) winner = r * g.S + s;
                most = fmax(most, v);
                sum += v;
                count++;
            }
        const int64_t size = g.count_pad ? g.R * g.S : count;
        close_to("pool_max", in, y[o], most, 0);
        assert_int_equal(win[o], winner);
        close_to("pool_avg", in, a[o], sum / (double)size, 1);
        total_a += a[o];
        total_ga += a[o] * (double)count / (double)size;
    }
    for (int64_t i = 0; i < in; i++) {
        total_gx += gx[i];
        total_ga -= ga[i];
    }
    close_to("pool_max_grad keeps the sum", in, total_gx, total_a, (double)out * 0.1);
    close_to("pool_avg_grad keeps the sum", in, total_ga, 0, (double)out * 0.1);
    guard("pool_max", out, y);
    guard("pool_avg", out, a);
    guard("pool_max_grad", in, gx);
    guard("pool_avg_grad", in, ga);
}

static void check_level(trit_isa level) {
    if (trit_isa_force(level) != TRIT_OK) {
        print_message("%s: skipped\n", trit_last_error());
        skip();
    }
    const trit_kernel_table *k = trit_kernels();
    check_two("add", k->add, do_add);
    check_two("sub", k->sub, do_sub);
    check_two("mul", k->mul, do_mul);
    check_two("div", k->div, do_div);
    check_two("relu_grad", k->relu_grad, do_relu_grad);
    check_clamp(k);
    nan_goes_through(k);
    static const int64_t rows[] = {0, 1, 3, 4, 5, 31, 32, 33, 50};
    static const int64_t channels[] = {1, 3, 4, 8, 15, 16, 17, 48, 67};
    for (int r = 0; r < 9; r++)
        for (int c = 0; c < 9; c++) check_rows(k, rows[r], channels[c]);
    for (int64_t C = 1; C < 40; C += 6) {
        check_pool(k, (trit_pool_geom){9, 8, C, 5, 4, 3, 3, 2, 2, 1, 1, false});
        check_pool(k, (trit_pool_geom){6, 7, C, 3, 3, 2, 3, 2, 2, 0, 0, true});
        check_pool(k, (trit_pool_geom){4, 4, C, 4, 4, 3, 3, 1, 1, 1, 1, true});
    }
}

static void generic(void **state) {
    (void)state;
    check_level(TRIT_ISA_GENERIC);
}

static void avx2(void **state) {
    (void)state;
    check_level(TRIT_ISA_AVX2);
}

static void avx512(void **state) {
    (void)state;
    check_level(TRIT_ISA_AVX512);
}

static int start(void **state) {
    (void)state;
    return trit_init() != TRIT_OK;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generic),
        cmocka_unit_test(avx2),
        cmocka_unit_test(avx512),
    };
    return cmocka_run_group_tests_name("kernels", tests, start, NULL);
}
