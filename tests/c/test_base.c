/* tier: fast */
/* test_base.c - errors, arena, pool, random numbers, parameters. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "trit/base.h"

static void a_failure_carries_its_sentence_outwards(void **state) {
    (void)state;
    assert_int_equal(trit_fail(TRIT_ERR_IO, "file %d", 7), TRIT_ERR_IO);
    assert_string_equal(trit_last_error(), "file 7");
    trit_fail_within(TRIT_ERR_IO, "loading %s", "a");
    assert_string_equal(trit_last_error(), "loading a: file 7");
}

static void the_arena_aligns_and_reuses(void **state) {
    (void)state;
    void *a = trit_alloc(100000);
    assert_non_null(a);
    assert_int_equal((uintptr_t)a % 64, 0);
    size_t live = trit_mem_query().live;
    trit_free(a, 100000);
    assert_true(trit_mem_query().live < live);
    assert_ptr_equal(trit_alloc(100000), a); /* the same block comes back */
    trit_free(a, 100000);
    trit_mem_trim();
    assert_int_equal(trit_mem_query().cached, 0);
}

static void a_refused_allocation_is_an_error_not_a_crash(void **state) {
    (void)state;
    trit_mem_fail_after(1);
    void *a = trit_alloc(64), *b = trit_alloc(64);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(strstr(trit_last_error(), "out of memory"));
    trit_mem_fail_after(-1);
    trit_free(a, 64);
    assert_null(trit_alloc((size_t)1 << 60));
}

static atomic_llong sum;

static void add_unit(void *context, int64_t unit, int worker) {
    assert_true(worker >= 0 && worker < trit_threads());
    atomic_fetch_add(&sum, unit * *(int64_t *)context);
}

static void every_unit_runs_once_for_any_thread_count(void **state) {
    (void)state;
    int64_t factor = 3;
    for (int threads = 1; threads <= 4; threads++) {
        assert_int_equal(trit_set_threads(threads), TRIT_OK);
        for (int64_t units = 0; units < 200; units += 7) {
            atomic_store(&sum, 0);
            trit_parallel(units, add_unit, &factor);
            assert_int_equal(atomic_load(&sum), units > 0 ? 3 * units * (units - 1) / 2 : 0);
        }
    }
    assert_int_equal(trit_set_threads(0), TRIT_ERR_ARG);
}

static void nested(void *context, int64_t unit, int worker) {
    (void)unit;
    (void)worker;
    trit_parallel(5, add_unit, context);
}

static void nested_regions_run_on_their_own_worker(void **state) {
    (void)state;
    int64_t factor = 1;
    atomic_store(&sum, 0);
    assert_int_equal(trit_set_threads(3), TRIT_OK);
    trit_parallel(8, nested, &factor);
    assert_int_equal(atomic_load(&sum), 8 * 10);
}

/* Known answers of Random123's own test vectors: philox4x32-10. */
static void philox_gives_the_published_words(void **state) {
    (void)state;
    uint32_t r[4];
    trit_rng(0, 0, 0, 0, r);
    const uint32_t zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    assert_memory_equal(r, zero, sizeof zero);
    trit_rng(UINT64_MAX, UINT32_MAX, UINT64_MAX, UINT32_MAX, r);
    const uint32_t ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    assert_memory_equal(r, ones, sizeof ones);
}

static void normal_draws_have_the_right_moments(void **state) {
    (void)state;
    enum { N = 100000 };
    static float x[N];
    double mean = 0, square = 0;
    trit_rng_fill_normal(7, TRIT_STREAM_USER, 0, 1, x, N);
    for (int i = 0; i < N; i++) mean += x[i] / N;
    for (int i = 0; i < N; i++) square += x[i] * x[i] / N;
    assert_true(fabs(mean) < 0.015); /* 4.7 standard errors */
    assert_true(fabs(square - 1) < 0.025);
}

static void truncated_draws_stay_inside_the_cut(void **state) {
    (void)state;
    enum { N = 20000 };
    static float x[N], again[N];
    double total = 0, squares = 0;
    trit_rng_fill_truncated(3, TRIT_STREAM_INIT, 1, 0.5f, 2, x, N);
    trit_rng_fill_truncated(3, TRIT_STREAM_INIT, 1, 0.5f, 2, again, 100);
    assert_memory_equal(x, again, 100 * sizeof(float));
    for (int i = 0; i < N; i++) {
        assert_true(x[i] >= 0 && x[i] <= 2);
        total += x[i];
        squares += (x[i] - 1.0) * (x[i] - 1.0);
    }
    assert_float_equal(total / N, 1, 0.01);
    assert_float_equal(sqrt(squares / N), 0.5 * 0.879626, 0.008); /* of a normal cut at 2 sigma */
}

static void a_permutation_holds_every_index(void **state) {
    (void)state;
    uint32_t p[1000], seen[1000] = {0}, moved = 0;
    trit_rng_permutation(1, TRIT_STREAM_SHUFFLE, 3, p, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        seen[p[i]]++;
        moved += p[i] != i;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(seen[i], 1);
    assert_true(moved > 950);
}

static const trit_param table[] = {
    {.name = "t", .def = 0.5, .min = 0, .max = 1, .doc = "share"},
    {.name = "center", .choices = "mean|zero", .doc = "centre"},
    {.name = "clip",
     .def = 3,
     .min = 0,
     .max = 100,
     .choices = "none=inf",
     .number = true,
     .doc = "clip"},
    {.name = "stride", .integer = true, .def = 1, .min = 1, .max = 9, .len = 2, .doc = "step"},
    {0},
};

static void parameters_check_ranges_and_names(void **state) {
    (void)state;
    trit_args a;
    char name[64];
    trit_args_default(table, &a);
    assert_int_equal(trit_param_count(table), 4);
    assert_float_equal(a.v[0][0], 0.5, 0);
    assert_int_equal(trit_args_set("q", table, &a, 0, 0, 2.0), TRIT_ERR_ARG);
    assert_string_equal(trit_last_error(), "q: option t is 2 but must lie in [0, 1]");
    assert_int_equal(trit_args_set_name("q", table, &a, 1, "zero"), TRIT_OK);
    assert_float_equal(a.v[1][0], 1, 0);
    assert_int_equal(trit_args_set_name("q", table, &a, 1, "median"), TRIT_ERR_ARG);
    assert_int_equal(trit_args_set_name("q", table, &a, 2, "none"), TRIT_OK);
    assert_true(isinf(a.v[2][0]));
    assert_string_equal(trit_param_choice(&table[2], a.v[2][0], name, sizeof name), "none");
    assert_int_equal(trit_args_set("q", table, &a, 3, 0, 2), TRIT_OK);
    assert_float_equal(a.v[3][1], 2, 0); /* one number stands for both */
    assert_int_equal(trit_args_set("q", table, &a, 3, 1, 3), TRIT_OK);
    assert_float_equal(a.v[3][0], 2, 0);
    assert_int_equal(trit_args_set("q", table, &a, 3, 1, 2.5), TRIT_ERR_ARG);
    assert_string_equal(trit_last_error(), "q: option stride is 2.5 but must be a whole number");
    assert_float_equal(a.v[3][1], 3, 0);
    assert_int_equal(trit_args_set("q", table, &a, 0, 0, NAN), TRIT_ERR_ARG);
}

static void a_fingerprint_is_that_of_xxhash(void **state) {
    (void)state;
    char hex[TRIT_HASH_CHARS + 1];
    trit_hash_hex("", 0, hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f"); /* xxhsum -H2 of nothing */
    trit_hash_hex("abc", 3, hex);
    assert_string_equal(hex, "06b05ab6733a618578af5f94892f3950");
}

int main(void) {
    if (trit_init() != TRIT_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_carries_its_sentence_outwards),
        cmocka_unit_test(the_arena_aligns_and_reuses),
        cmocka_unit_test(a_refused_allocation_is_an_error_not_a_crash),
        cmocka_unit_test(every_unit_runs_once_for_any_thread_count),
        cmocka_unit_test(nested_regions_run_on_their_own_worker),
        cmocka_unit_test(philox_gives_the_published_words),
        cmocka_unit_test(normal_draws_have_the_right_moments),
        cmocka_unit_test(truncated_draws_stay_inside_the_cut),
        cmocka_unit_test(a_permutation_holds_every_index),
        cmocka_unit_test(parameters_check_ranges_and_names),
        cmocka_unit_test(a_fingerprint_is_that_of_xxhash),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
