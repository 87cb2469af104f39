/* Packed matrices: every integer set against plain sums, to the bit - block, tile and chunk edges,
 * odd lengths, worst values, guard bands; the float kernels against sums in double; any number of
 * threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "infer/linear_set.h"
#include "trit/infer.h"

#define GUARD 12345.678f
enum { BAND = 64, MOST_K = 70000 };

static uint64_t counter;
static int64_t pick(int64_t below) {
    uint32_t r[4];
    trit_rng(29, TRIT_STREAM_USER, counter++, 0, r);
    return r[0] % (uint32_t)below;
}

enum { RANDOM, PLUS, MINUS };

typedef struct {
    int64_t rows, K, n;
    int8_t *w;      /* [rows][K] */
    uint8_t *codes; /* packed */
    float *x, *scale;
} matrix;

static matrix new_matrix(int64_t rows, int64_t K, int64_t n, int how) {
    matrix m = {.rows = rows, .K = K, .n = n};
    m.w = malloc((size_t)(rows * K));
    m.codes = malloc((size_t)(rows * trit_t2_bytes(K)));
    m.x = malloc((size_t)(n * K) * sizeof *m.x);
    m.scale = malloc((size_t)rows * sizeof *m.scale);
    for (int64_t i = 0; i < rows * K; i++)
        m.w[i] = (int8_t)(how == RANDOM ? pick(3) - 1 : how == PLUS ? 1 : -1);
    for (int64_t r = 0; r < rows; r++) {
        trit_t2_pack(m.w + r * K, K, m.codes + r * trit_t2_bytes(K));
        m.scale[r] = 0.1f + 0.003f * (float)r;
    }
    trit_rng_fill_normal(7, TRIT_STREAM_USER, 0.2f, 1.0f, m.x, n * K);
    if (how != RANDOM) /* every number at the end of its range */
        for (int64_t i = 0; i < n * K; i++) m.x[i] = i / K % 2 ? -1.5f : 1.5f;
    if (n > 2) memset(m.x + K, 0, (size_t)K * sizeof *m.x); /* a vector of zeros */
    return m;
}

static void free_matrix(matrix *m) {
    free(m->w);
    free(m->codes);
    free(m->x);
    free(m->scale);
}

/* y between guard bands from a layer made and run at the level in force. */
static void run_layer(const matrix *m, int bits, float *result) {
    const int64_t out = m->n * m->rows;
    float *y = malloc((size_t)(out + 2 * BAND) * sizeof *y);
    trit_linear *l = NULL;
    for (int64_t i = 0; i < out + 2 * BAND; i++) y[i] = GUARD;
    if (trit_linear_new(m->codes, m->rows, m->K, m->scale, m->rows, bits, &l) != TRIT_OK)
        fail_msg("%s", trit_last_error());
    assert_int_equal(trit_linear_run(l, m->n, m->x, y + BAND), TRIT_OK);
    for (int i = 0; i < BAND; i++)
        if (y[i] != GUARD || y[BAND + out + i] != GUARD)
            fail_msg("%s wrote outside of its result", trit_linear_kernels(l));
    memcpy(result, y + BAND, (size_t)out * sizeof *y);
    trit_linear_close(l);
    free(y);
}

/* Rounding by the documented rule, sums of whole numbers. */
static void plain(const matrix *m, float *y) {
    for (int64_t c = 0; c < m->n; c++) {
        const float *x = m->x + c * m->K;
        float most = 0;
        for (int64_t k = 0; k < m->K; k++) most = fabsf(x[k]) > most ? fabsf(x[k]) : most;
        const float inv = most > 0 ? 127.0f / most : 0.0f, step = most / 127.0f;
        for (int64_t r = 0; r < m->rows; r++) {
            int64_t sum = 0;
            for (int64_t k = 0; k < m->K; k++) {
                const float product = x[k] * inv, shifted = product + 128.0f;
                sum += m->w[r * m->K + k] * (lrintf(shifted) - 128);
            }
            y[c * m->rows + r] = (float)sum * (m->scale[r] * step);
        }
    }
}

static void check_integers(int64_t rows, int64_t K, int64_t n, int how) {
    matrix m = new_matrix(rows, K, n, how);
    const size_t bytes = (size_t)(n * rows) * sizeof(float);
    float *want = malloc(bytes), *got = malloc(bytes);
    plain(&m, want);
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        run_layer(&m, 8, got);
        for (int64_t i = 0; i < n * rows; i++)
            if (got[i] != want[i])
                fail_msg("%s: %d x %d, %d vectors: vector %d, row %d: %.9g, not %.9g",
                         trit_isa_name((trit_isa)level), (int)rows, (int)K, (int)n, (int)(i / rows),
                         (int)(i % rows), (double)got[i], (double)want[i]);
    }
    free(got);
    free(want);
    free_matrix(&m);
}

static void integers_are_exact(void **state) {
    (void)state;
    static const int64_t lengths[] = {1, 3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 256, 257, 300};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int64_t n = 1; n <= 17; n += n < 9 ? 1 : 4)
            check_integers(1 + pick(n < 3 ? 200 : 80), lengths[l], n, RANDOM);
    for (int64_t rows = 31; rows <= 33; rows++) check_integers(rows, 40, 1 + rows % 2, RANDOM);
    for (int64_t rows = 126; rows <= 130; rows++) check_integers(rows, 40, 1 + rows % 2, RANDOM);
    check_integers(70, 50, 70, RANDOM); /* more vectors than one turn takes */
}

static void worst_values_do_not_overflow(void **state) {
    (void)state;
    for (int how = PLUS; how <= MINUS; how++)
        for (int64_t n = 1; n <= 8; n += 7) {
            check_integers(65, 4099, n, how);
            check_integers(5, 65536, n, how); /* as long as the fast sets take */
        }
    check_integers(3, MOST_K, 2, PLUS); /* longer */
}

static void check_floats(int64_t rows, int64_t K, int64_t n) {
    matrix m = new_matrix(rows, K, n, RANDOM);
    const size_t bytes = (size_t)(n * rows) * sizeof(float);
    float *first = malloc(bytes), *got = malloc(bytes);
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        assert_int_equal(trit_set_threads(1), TRIT_OK);
        run_layer(&m, 0, first);
        assert_int_equal(trit_set_threads(2), TRIT_OK);
        run_layer(&m, 0, got);
        assert_memory_equal(got, first, bytes);
        for (int64_t i = 0; i < n * rows; i++) {
            const float *x = m.x + i / rows * K;
            double sum = 0, size = 0;
            for (int64_t k = 0; k < K; k++) {
                sum += (double)m.w[i % rows * K + k] * x[k];
                size += fabs((double)x[k]);
            }
            const double off = fabs(got[i] - m.scale[i % rows] * sum);
            if (!(off <= 2e-7 * m.scale[i % rows] * size))
                fail_msg("%s: %d x %d: row %d is %g off", trit_isa_name((trit_isa)level), (int)rows,
                         (int)K, (int)(i % rows), off);
        }
    }
    free(got);
    free(first);
    free_matrix(&m);
}

static void floats_are_close(void **state) {
    (void)state;
    static const int64_t lengths[] = {1, 2, 14, 15, 16, 17, 18, 19, 29, 30, 31, 35, 36, 37, 300};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int64_t rows = 1; rows <= 34; rows += 3) check_floats(rows, lengths[l], 1 + rows % 3);
    check_floats(1023, 40, 1);
    check_floats(1024, 40, 1);
    check_floats(2049, 75, 2); /* bands */
}

static void wrong_arguments(void **state) {
    (void)state;
    const uint8_t codes[4] = {0x55, 0x55, 0x55, 0x55};
    const float scale[2] = {1, 1};
    trit_linear *l = NULL;
    assert_int_equal(trit_linear_new(codes, 2, 8, scale, 1, 7, &l), TRIT_ERR_ARG);
    assert_non_null(strstr(trit_last_error(), "linear: vectors of 7 bits"));
    assert_int_equal(trit_linear_new(codes, 2, 8, scale, 3, 8, &l), TRIT_ERR_SHAPE);
    assert_int_equal(trit_linear_new(codes, 0, 8, scale, 1, 0, &l), TRIT_ERR_SHAPE);
    for (int bits = 0; bits <= 8; bits += 8) { /* every failing allocation */
        const size_t live = trit_mem_query().live;
        for (int n = 0;; n++) {
            trit_mem_fail_after(n);
            const trit_status status = trit_linear_new(codes, 2, 8, scale, 1, bits, &l);
            trit_mem_fail_after(-1);
            if (status == TRIT_OK) trit_linear_close(l);
            assert_int_equal(trit_mem_query().live, live);
            if (status == TRIT_OK) break;
            assert_true(n < 20);
        }
    }
}

static int start(void **state) {
    (void)state;
    return trit_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(worst_values_do_not_overflow),
        cmocka_unit_test(floats_are_close),
        cmocka_unit_test(wrong_arguments),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
