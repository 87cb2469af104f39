/* tier: fast
 * What benchmarks read off a runner: values of nodes, bytes of weights, limits of the processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "c/infer_graphs.h"
#include "infer/peak.h"
#include "infer/runner.h"

static test_graph tg;

/* Values on the exact path span the reference's ranges; on integers they are close to them. */
static void values_can_be_watched(void **state) {
    (void)state;
    enum { SIDE = 19, MOST = 64 * SIDE * SIDE };
    static float x[2 * 3 * SIDE * SIDE], exact[2 * MOST], bytes[2 * MOST];
    double want[7];
    residual_graph(&tg, 1, 16, SIDE);
    trit_rng_fill_normal(3, TRIT_STREAM_USER, 0.0f, 1.0f, x, 2 * 3 * SIDE * SIDE);
    for (int k = 0; k < 2; k++) reference_run(&tg.g, x + 3 * k * SIDE * SIDE, want, true);
    trit_model *m = NULL;
    trit_runner *r[2] = {NULL, NULL};
    float y[14];
    assert_int_equal(trit_model_encode(&tg.g, false, &m), TRIT_OK);
    for (int k = 0; k < 2; k++)
        assert_int_equal(trit_runner_new(m, &(trit_runner_options){.bits = 8 * k}, &r[k]), TRIT_OK);
    for (int64_t i = 0; i < tg.g.n; i++) {
        const trit_node *d = &trit_model_graph(m)->nodes[i];
        const int64_t n = 2 * d->K * d->P * d->Q; /* two images, one after the other */
        float lo = 0, hi = 0, worst = 0;
        assert_true(n <= 2 * MOST);
        assert_int_equal(trit_runner_watch(r[0], i, exact), TRIT_OK);
        assert_int_equal(trit_runner_watch(r[1], i, bytes), TRIT_OK);
        for (int k = 0; k < 2; k++) assert_int_equal(trit_runner_run(r[k], 2, x, y), TRIT_OK);
        for (int64_t j = 0; j < n; j++) {
            lo = fminf(lo, exact[j]);
            hi = fmaxf(hi, exact[j]);
            worst = fmaxf(worst, fabsf(exact[j] - bytes[j]));
        }
        const float span = d->greatest - d->least;
        assert_true(fabsf(lo - fminf(d->least, 0)) <= 1e-4f * span);
        assert_true(fabsf(hi - fmaxf(d->greatest, 0)) <= 1e-4f * span);
        assert_true(worst <= 0.05f * span);
    }
    assert_memory_equal(y, bytes, sizeof y); /* the last node's value is the result */
    exact[0] = -1;
    assert_int_equal(trit_runner_watch(r[0], 0, NULL), TRIT_OK);
    assert_int_equal(trit_runner_run(r[0], 1, x, y), TRIT_OK);
    assert_true(exact[0] == -1.0f);
    assert_int_equal(trit_runner_watch(r[0], tg.g.n, exact), TRIT_ERR_ARG);
    for (int k = 0; k < 2; k++) trit_runner_close(r[k]);
    trit_model_close(m);
    free_graph(&tg);
}

static void bytes_of_nodes_add_up(void **state) {
    (void)state;
    residual_graph(&tg, 1, 16, 19);
    double want[7];
    static float x[3 * 19 * 19];
    trit_rng_fill_normal(3, TRIT_STREAM_USER, 0.0f, 1.0f, x, 3 * 19 * 19);
    reference_run(&tg.g, x, want, true);
    trit_model *m = NULL;
    assert_int_equal(trit_model_encode(&tg.g, false, &m), TRIT_OK);
    for (int bits = 0; bits <= 8; bits += 8) {
        trit_runner *r = NULL;
        trit_runner_facts f;
        size_t sum = 0;
        assert_int_equal(trit_runner_new(m, &(trit_runner_options){.bits = bits}, &r), TRIT_OK);
        trit_runner_query(r, &f);
        for (int64_t i = 0; i < tg.g.n; i++) sum += trit_runner_weight_bytes(r, i);
        assert_int_equal(sum, f.weights);
        trit_runner_close(r);
    }
    trit_model_close(m);
    free_graph(&tg);
}

static void limits_read_every_byte(void **state) {
    (void)state;
    enum { BYTES = 768 };
    static _Alignas(64) uint8_t block[BYTES];
    const trit_peak_set *const sets[] = {&trit_peak_generic, &trit_peak_avx2, &trit_peak_vnni};
    for (int i = 0; i < 3; i++) {
        if (!sets[i]->supported()) continue;
        assert_true(sets[i]->read(block, BYTES) == 0);
        for (int k = 0; k < BYTES; k++) {
            block[k] = 1;
            if (sets[i]->read(block, BYTES) == 0) fail_msg("%s: byte %d", sets[i]->name, k);
            block[k] = 0;
        }
        assert_true(sets[i]->multiply(10, 0) != sets[i]->multiply(10, 3)); /* x is used */
    }
    assert_true(trit_peak_products(0.02) > 0.1);
    assert_true(trit_peak_reading(0.02, 100000) > 0.1);
    trit_mem_fail_after(0);
    assert_true(trit_peak_reading(0.02, 100000) == 0);
    trit_mem_fail_after(-1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_can_be_watched),
        cmocka_unit_test(bytes_of_nodes_add_up),
        cmocka_unit_test(limits_read_every_byte),
    };
    if (trit_init() != TRIT_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
