/*
 * test_gemm.c - trit_gemm against a double loop, over transposes, scalars, row lengths; memory
 * outside C untouched; beta = 0 reads nothing; the same bits for any thread count.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trit/conv.h"

#define GUARD 37.25f /* what memory outside C holds */

typedef struct {
    bool trans_a, trans_b;
    int64_t M, N, K;
    int64_t extra; /* row lengths exceed the least by this much */
    float alpha, beta;
} product_case;

static const product_case cases[] = {
    {false, false, 1, 1, 1, 0, 1.0f, 0.0f},       {false, false, 16, 16, 16, 0, 1.0f, 0.0f},
    {false, false, 33, 17, 65, 3, 1.0f, 0.0f},    {true, false, 33, 17, 65, 3, 1.0f, 0.0f},
    {false, true, 33, 17, 65, 3, 1.0f, 0.0f},     {true, true, 33, 17, 65, 3, 1.0f, 0.0f},
    {false, false, 128, 10, 64, 0, -0.5f, 1.0f},  {true, false, 64, 10, 128, 1, 2.0f, 0.5f},
    {false, true, 128, 64, 10, 0, 1.0f, 1.0f},    {false, false, 300, 200, 150, 5, 1.0f, 0.0f},
    {true, true, 200, 300, 150, 5, 0.25f, -2.0f}, {false, false, 7, 5, 0, 0, 1.0f, 0.0f},
    {false, false, 7, 5, 0, 0, 1.0f, 3.0f},       {false, false, 1000, 3, 2, 0, 1.0f, 0.0f},
};

typedef struct {
    const product_case *p;
    int64_t lda, ldb, ldc, size_c;
    float *A, *B, *C;
} operands;

static float *filled(int64_t n, uint32_t stream) {
    float *x = malloc(sizeof(float) * (size_t)(n + 1));
    trit_rng_fill_uniform(7, stream, -1.0f, 1.0f, x, n);
    return x;
}

static operands prepare(const product_case *p) {
    operands o = {.p = p};
    o.lda = (p->trans_a ? p->M : p->K) + p->extra;
    o.ldb = (p->trans_b ? p->K : p->N) + p->extra;
    o.ldc = p->N + p->extra;
    o.size_c = p->M * o.ldc;
    if (o.lda == 0) o.lda = 1;
    o.A = filled((p->trans_a ? p->K : p->M) * o.lda, 1);
    o.B = filled((p->trans_b ? p->N : p->K) * o.ldb, 2);
    o.C = filled(o.size_c, 3);
    for (int64_t m = 0; m < p->M; m++)
        for (int64_t n = p->N; n < o.ldc; n++) o.C[m * o.ldc + n] = GUARD;
    return o;
}

static void release(operands *o) {
    free(o->A);
    free(o->B);
    free(o->C);
}

static double expected(const operands *o, const float *before, int64_t m, int64_t n) {
    double sum = 0.0;
    for (int64_t k = 0; k < o->p->K; k++)
        sum += (double)(o->p->trans_a ? o->A[k * o->lda + m] : o->A[m * o->lda + k]) *
               (o->p->trans_b ? o->B[n * o->ldb + k] : o->B[k * o->ldb + n]);
    sum *= o->p->alpha;
    return o->p->beta == 0.0f ? sum : sum + (double)o->p->beta * before[m * o->ldc + n];
}

static trit_status run(const operands *o, float *C) {
    const product_case *p = o->p;
    return trit_gemm(p->trans_a, p->trans_b, p->M, p->N, p->K, p->alpha, o->A, o->lda, o->B, o->ldb,
                     p->beta, C, o->ldc);
}

static void agrees_with_a_double_loop(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        operands o = prepare(&cases[i]);
        float *before = malloc(sizeof(float) * (size_t)o.size_c);
        memcpy(before, o.C, sizeof(float) * (size_t)o.size_c);
        if (o.p->beta == 0.0f) /* what stands in C must not matter */
            for (int64_t m = 0; m < o.p->M; m++)
                for (int64_t n = 0; n < o.p->N; n++) o.C[m * o.ldc + n] = NAN;
        assert_int_equal(run(&o, o.C), TRIT_OK);
        for (int64_t m = 0; m < o.p->M; m++)
            for (int64_t n = 0; n < o.ldc; n++) {
                float got = o.C[m * o.ldc + n];
                if (n >= o.p->N)
                    assert_true(got == GUARD);
                else /* K products of size <= 1: the error bound of a plain float sum */
                    assert_true(fabs(got - expected(&o, before, m, n)) <=
                                1.2e-7 * (double)(o.p->K + 4) * 2.0);
            }
        free(before);
        release(&o);
    }
}

static void same_bits_for_any_thread_count(void **state) {
    (void)state;
    static const product_case big = {true, false, 500, 410, 300, 2, 1.0f, 1.0f};
    operands o = prepare(&big);
    size_t bytes = sizeof(float) * (size_t)o.size_c;
    float *one = malloc(bytes), *many = malloc(bytes);
    for (int threads = 1; threads <= 3; threads++) {
        float *C = threads == 1 ? one : many;
        memcpy(C, o.C, bytes);
        assert_int_equal(trit_set_threads(threads), TRIT_OK);
        assert_int_equal(run(&o, C), TRIT_OK);
        assert_memory_equal(C, one, bytes);
    }
    free(one);
    free(many);
    release(&o);
}

static void refuses_short_rows(void **state) {
    (void)state;
    float a[4] = {0}, b[4] = {0}, c[4] = {0};
    assert_int_equal(trit_gemm(false, false, 2, 2, 2, 1.0f, a, 1, b, 2, 0.0f, c, 2),
                     TRIT_ERR_SHAPE);
    assert_string_equal(trit_last_error(), "gemm: row lengths 1, 2, 2 must be at least 2, 2, 2");
    assert_int_equal(trit_gemm(false, false, -1, 2, 2, 1.0f, a, 2, b, 2, 0.0f, c, 2),
                     TRIT_ERR_SHAPE);
    assert_string_equal(trit_last_error(), "gemm: M -1, N 2, K 2 must not be negative");
    assert_int_equal(trit_gemm(false, false, 0, 2, 2, 1.0f, a, 2, b, 2, 0.0f, c, 2), TRIT_OK);
}

static void names_library_and_kernels(void **state) {
    (void)state;
#ifdef TRIT_ALONE /* with libtrit_infer */
    assert_string_equal(trit_gemm_library(), "plain loops");
    return;
#endif
    const char *expected_set[] = {"generic", "haswell", "skx"};
    assert_non_null(strstr(trit_gemm_library(), "BLIS "));
    if (!getenv("BLIS_ARCH_TYPE"))
        assert_non_null(strstr(trit_gemm_library(), expected_set[trit_isa_level()]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_library_and_kernels),
        cmocka_unit_test(agrees_with_a_double_loop),
        cmocka_unit_test(same_bits_for_any_thread_count),
        cmocka_unit_test(refuses_short_rows),
    };
    if (trit_init() != TRIT_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
