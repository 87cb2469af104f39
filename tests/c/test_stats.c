/* tier: fast */
/* test_stats.c - statistics against published values, naive counts, and at the edges. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trit/stats.h"

static int by_value(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void sorting_equals_qsort(void **state) {
    (void)state;
    const int sizes[] = {1, 2, 3, 1000, 65535, 65536, 65537, 200000};
    for (int k = 0; k < (int)(sizeof sizes / sizeof *sizes); k++) {
        const int n = sizes[k];
        float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
        trit_rng_fill_normal(1, 0, 0, 1, x, n);
        for (int i = 0; i < n; i += 7) x[i] = (float)(i % 5 - 2); /* ties and zeros */
        if (n > 10) x[3] = INFINITY, x[4] = -INFINITY, x[5] = 1e-42f, x[6] = -1e-42f;
        assert_int_equal(trit_sort_f32(x, n, y), TRIT_OK);
        qsort(x, (size_t)n, sizeof *x, by_value);
        for (int i = 0; i < n; i++) assert_true(x[i] == y[i]);
        free(x), free(y);
    }
}

/* The sample of 25 of Shapiro and Wilk 1965; W and p as R's shapiro.test prints them. */
static void shapiro_gives_the_published_example(void **state) {
    (void)state;
    const double sample[25] = {.139,  .157,  .175,  .256,  .344,  .413,  .503,  .577,  .614,
                               .655,  .954,  1.392, 1.557, 1.648, 1.690, 1.994, 2.174, 2.206,
                               3.245, 3.510, 3.571, 4.354, 4.980, 6.084, 8.351};
    float x[25];
    trit_shapiro_result r;
    for (int i = 0; i < 25; i++) x[i] = (float)sample[i];
    trit_shapiro(x, 25, &r); /* float32 rounding of the data moves the 8th digit */
    assert_true(fabs(r.w - .83466627531817) < 1e-7);
    assert_true(fabs(r.p - .000913490481813) < 1e-8);
    assert_true(fabs(1 - r.w - r.one_minus_w) < 1e-15);
    for (int i = 0; i < 25; i++) x[i] = (float)(1e6 * sample[i] - 3);
    trit_shapiro_result moved;
    trit_shapiro(x, 25, &moved); /* W does not depend on place or unit */
    assert_true(fabs(moved.w - r.w) < 1e-6);
}

static void quantiles_invert_the_distribution(void **state) {
    (void)state;
    for (int i = 1; i < 1000; i++) {
        const double p = i / 1000.0, z = trit_normal_quantile(p);
        assert_true(fabs(0.5 * erfc(-z * M_SQRT1_2) - p) < 1e-15);
    }
    for (double tail = 1e-3; tail > 1e-300; tail /= 10) {
        const double z = trit_normal_quantile(tail);
        assert_true(fabs(0.5 * erfc(-z * M_SQRT1_2) / tail - 1) < 1e-12);
    }
}

static void the_histogram_equals_a_naive_count(void **state) {
    (void)state;
    enum { N = 100003, BINS = 37 };
    float *x = malloc(N * sizeof *x);
    trit_rng_fill_normal(2, 0, 0, 1, x, N);
    double edges[BINS + 1];
    for (int spacing = 0; spacing < 2; spacing++) { /* equal, then quadratic */
        for (int b = 0; b <= BINS; b++)
            edges[b] = spacing ? -3 + 6.0 * b * b / (BINS * BINS) : -3 + 6.0 * b / BINS;
        for (int b = 0; b <= BINS; b++) x[b] = (float)edges[b]; /* on and beside edges */
        int64_t counts[BINS], naive[BINS] = {0}, under = 0, over = 0;
        for (int i = 0; i < N; i++) {
            under += x[i] < edges[0];
            over += x[i] > edges[BINS];
            for (int b = 0; b < BINS; b++)
                naive[b] += x[i] >= edges[b] &&
                            (x[i] < edges[b + 1] || (b == BINS - 1 && x[i] == edges[BINS]));
        }
        trit_outside o;
        assert_int_equal(trit_histogram(x, N, edges, BINS, counts, &o), TRIT_OK);
        assert_memory_equal(counts, naive, sizeof naive);
        assert_true(o.under == under && o.over == over && o.nan == 0);
    }
    free(x);
}

static void moments_keep_digits_far_from_zero(void **state) {
    (void)state;
    enum { N = 50000 };
    float *x = malloc(N * sizeof *x);
    for (int i = 0; i < N; i++) x[i] = 4096.0f + (float)(i % 2) * 0.5f; /* exact in float32 */
    trit_moments m;
    trit_moments_of(x, N, &m);
    assert_true(m.mean == 4096.25);
    assert_true(fabs(m.std - 0.25 * sqrt(N / (N - 1.0))) < 1e-15);
    assert_true(fabs(m.skew) < 1e-12 && fabs(m.kurtosis + 2) < 1e-12);
    trit_moments_of(x, 0, &m);
    assert_true(isnan(m.mean) && m.n == 0);
    free(x);
}

static void three_levels_are_the_known_quantizer(void **state) {
    (void)state;
    double value[TRIT_LLOYD_LEVELS], threshold[TRIT_LLOYD_LEVELS], mse;
    assert_int_equal(trit_lloyd_max(3, value, threshold, &mse), TRIT_OK);
    assert_true(fabs(threshold[1] - 0.6120031810) < 1e-9 && fabs(value[2] - 1.2240063619) < 1e-9);
    assert_true(fabs(mse - 0.1901740390) < 1e-9 && value[1] == 0);
    assert_int_equal(trit_lloyd_max(1, value, threshold, &mse), TRIT_ERR_ARG);
}

static void strided_and_dense_weights_agree(void **state) {
    (void)state;
    const trit_shape shape = {4, {8, 6, 3, 3}}, half = {4, {8, 3, 3, 3}};
    trit_tensor *w, *part, *copy;
    assert_int_equal(trit_tensor_new(&shape, TRIT_HWIO, &w), TRIT_OK);
    trit_rng_fill_normal(3, 0, 0, 1, w->data, trit_numel(w));
    int64_t stride[4];
    memcpy(stride, w->stride, sizeof stride);
    stride[1] *= 2; /* every other input channel */
    assert_int_equal(trit_tensor_view(w, &half, stride, 0, &part), TRIT_OK);
    assert_int_equal(trit_tensor_as(part, TRIT_ROW_MAJOR, &copy), TRIT_OK);
    const double edges[4] = {-2, -0.5, 0.5, 2};
    const trit_weight_query q = {.bins = 3, .edges = edges, .shapiro = true};
    int64_t a[3], b[3];
    trit_weight_report ra, rb;
    assert_int_equal(trit_weight_stats(part, &q, a, &ra), TRIT_OK);
    assert_int_equal(trit_weight_stats(copy, &q, b, &rb), TRIT_OK);
    assert_memory_equal(a, b, sizeof a);
    assert_true(ra.moments.n == 8 * 27 && fabs(ra.shapiro.w - rb.shapiro.w) < 1e-14);
    trit_tensor_release(w), trit_tensor_release(part), trit_tensor_release(copy);
}

static void a_refused_allocation_is_an_error(void **state) {
    (void)state;
    const trit_shape shape = {1, {20000}};
    const double edges[2] = {-1, 1};
    const trit_weight_query q = {
        .bins = 1, .edges = edges, .shapiro = true, .subsamples = 3, .size = 100};
    trit_tensor *w;
    trit_weight_report r;
    int64_t count;
    assert_int_equal(trit_tensor_new(&shape, TRIT_ROW_MAJOR, &w), TRIT_OK);
    trit_rng_fill_normal(3, 0, 0, 1, w->data, trit_numel(w));
    int failures = 0;
    for (int n = 0; n < 20; n++) {
        const size_t live = trit_mem_query().live;
        trit_mem_fail_after(n);
        const trit_status status = trit_weight_stats(w, &q, &count, &r);
        trit_mem_fail_after(-1);
        assert_true(status == TRIT_OK || status == TRIT_ERR_MEM);
        assert_int_equal(trit_mem_query().live, live); /* nothing is left behind */
        if (status == TRIT_OK) break;
        failures++;
    }
    assert_true(failures >= 4); /* histogram, sorted copy, its scratch, subsamples */
    trit_tensor_release(w);
}

int main(void) {
    if (trit_init() != TRIT_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorting_equals_qsort),
        cmocka_unit_test(shapiro_gives_the_published_example),
        cmocka_unit_test(quantiles_invert_the_distribution),
        cmocka_unit_test(the_histogram_equals_a_naive_count),
        cmocka_unit_test(moments_keep_digits_far_from_zero),
        cmocka_unit_test(three_levels_are_the_known_quantizer),
        cmocka_unit_test(strided_and_dense_weights_agree),
        cmocka_unit_test(a_refused_allocation_is_an_error),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
