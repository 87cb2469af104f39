/* Backward of every op on every example call and instruction set; and with 1, 2, 3 threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <cmocka.h>

#include "trit/conv.h"
#include "trit/gradcheck.h"

static uint64_t seed_of_run(void) {
    const char *s = getenv("TRIT_SEED");
    return s ? strtoull(s, NULL, 10) : 20240607;
}

static void check_all(trit_isa level) {
    if (trit_isa_force(level) != TRIT_OK) {
        print_message("%s: skipped\n", trit_last_error());
        skip();
    }
    int failed = 0, compared = 0;
    for (int i = 0; i < trit_ops_count; i++) {
        const trit_op *op = trit_ops[i];
        double worst = 0;
        for (const trit_case *c = op->cases; c && c->shapes; c++) {
            trit_gradcheck_report report;
            if (trit_gradcheck(op, c, seed_of_run(), &report) != TRIT_OK) {
                print_error("%s: seed %llu: %s\n", trit_isa_name(level),
                            (unsigned long long)seed_of_run(), trit_last_error());
                failed++;
            }
            compared += report.compared;
            if (report.worst > worst) worst = report.worst;
        }
        if (getenv("TRIT_VERBOSE"))
            print_message("%-20s worst %.3f of the allowed\n", op->name, worst);
    }
    assert_int_equal(failed, 0);
    assert_true(compared > 1000);
}

static void generic(void **state) {
    (void)state;
    check_all(TRIT_ISA_GENERIC);
}

static void avx2(void **state) {
    (void)state;
    check_all(TRIT_ISA_AVX2);
}

static void avx512(void **state) {
    (void)state;
    check_all(TRIT_ISA_AVX512);
}

static void every_op_has_cases(void **state) {
    (void)state;
    for (int i = 0; i < trit_ops_count; i++) {
        const trit_op *op = trit_ops[i];
        if (op->grad == TRIT_GRAD_SURROGATE) continue; /* test_quant.c */
        if (!op->cases || !op->cases->shapes) fail_msg("%s has no cases", op->name);
        if ((op->grad != TRIT_GRAD_NONE) != (op->backward != NULL))
            fail_msg("%s: backward and the gradient kind disagree", op->name);
        if (op->grad == TRIT_GRAD_KINKED && !op->kinks) fail_msg("%s lists no kinks", op->name);
    }
}

/* ------------------------------------------------- the driver sees what is wrong */

static float wrong_factor;

static trit_status wrong_backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_op_find("mul")->backward(c, gy, gx));
    if (gx[0]) gx[0]->data[3] *= wrong_factor;
    return TRIT_OK;
}

static trit_status greedy_backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    TRIT_TRY(trit_op_find("mul")->backward(c, gy, gx));
    return gx[1] ? TRIT_OK : trit_grad_new(c, 1, &gx[1]);
}

static void driver_finds_errors(void **state) {
    (void)state;
    trit_isa_force(TRIT_ISA_GENERIC);
    trit_op bad = *trit_op_find("mul");
    const trit_case one = {"[2,3,4];[2,3,4]", ""};
    trit_gradcheck_report report;
    bad.backward = wrong_backward;
    wrong_factor = 1.0f;
    assert_int_equal(trit_gradcheck(&bad, &one, 1, &report), TRIT_OK);
    wrong_factor = 1.05f;
    assert_int_equal(trit_gradcheck(&bad, &one, 1, &report), TRIT_ERR_STATE);
    assert_non_null(strstr(trit_last_error(), "gradcheck mul"));
    bad.backward = greedy_backward;
    assert_int_equal(trit_gradcheck(&bad, &one, 1, &report), TRIT_ERR_STATE);
    assert_non_null(strstr(trit_last_error(), "filled operand 2"));
}

/* ------------------------------------------------------------ any thread count */

static uint64_t mix(uint64_t h, const trit_tensor *t) {
    trit_tensor *flat;
    if (!t || trit_tensor_as((trit_tensor *)t, TRIT_ROW_MAJOR, &flat) != TRIT_OK) return h;
    for (int64_t i = 0; i < trit_numel(flat); i++) {
        uint32_t bits;
        memcpy(&bits, &flat->data[i], sizeof bits);
        h = (h ^ bits) * 0x100000001b3u; /* FNV-1a */
    }
    trit_tensor_release(flat);
    return h;
}

/* A number for all bits of results and gradients of one call. */
static uint64_t bits_of(const trit_op *op, const trit_case *one) {
    trit_example e;
    trit_tensor *y = NULL;
    uint64_t h = 0xcbf29ce484222325u;
    assert_int_equal(trit_example_new(op, one, 5, &e), TRIT_OK);
    for (int i = 0; i < e.n_in; i++)
        if (e.in[i] && !(op->nograd >> i & 1) && op->backward) e.in[i]->requires_grad = true;
    assert_int_equal(trit_apply(op, e.in, e.n_in, &e.args, NULL, NULL, &y), TRIT_OK);
    h = mix(h, y);
    if (trit_needs_grad(y)) {
        trit_tensor *g = NULL;
        assert_int_equal(trit_tensor_clone(y, &g), TRIT_OK);
        assert_int_equal(trit_backward(y, g), TRIT_OK);
        trit_tensor_release(g);
    }
    for (int i = 0; i < e.n_in; i++)
        if (e.in[i]) h = mix(mix(h, e.in[i]->grad), e.in[i]);
    trit_tensor_release(y);
    trit_example_clear(&e);
    return h;
}

/* Big enough that every helper cuts them into several units. */
static const struct {
    const char *op;
    trit_case one;
} large[] = {
    {"conv2d", {"[8,16,32,32]L;[16,16,3,3];[16]", "padding=1"}},
    {"batch_norm", {"[32,16,32,32]L;[16];[16];[16];[16]P", "training=true"}},
    {"batch_norm", {"[16,3,32,32]L;[3];[3];[3];[3]P", "training=true"}},
    {"add", {"[32,16,32,32]L;[1,16,1,1]", ""}},
    {"mul", {"[300,400];[400]", ""}},
    {"sum", {"[300000]", ""}},
    {"mean", {"[32,16,32,32]L", "axes=1;3;4"}},
    {"linear", {"[512,300];[100,300];[100]", ""}},
    {"dropout", {"[300000]", "p=0.3"}},
    {"max_pool", {"[8,16,32,32]L", "kernel=3,stride=2,padding=1"}},
    {"softmax", {"[3000,40]", ""}},
};

static void same_bits_for_any_thread_count(void **state) {
    (void)state;
    const int before = trit_threads();
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        uint64_t h[3];
        const trit_op *op = trit_op_find(large[i].op);
        for (int t = 1; t <= 3; t++) {
            assert_int_equal(trit_set_threads(t), TRIT_OK);
            h[t - 1] = bits_of(op, &large[i].one);
        }
        if (h[0] != h[1] || h[0] != h[2])
            fail_msg("%s(%s): results depend on the thread count", op->name, large[i].one.shapes);
    }
    trit_set_threads(before);
}

static int start(void **state) {
    (void)state;
    return trit_init() != TRIT_OK;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_cases),
        cmocka_unit_test(driver_finds_errors),
        cmocka_unit_test(generic),
        cmocka_unit_test(avx2),
        cmocka_unit_test(avx512),
        cmocka_unit_test(same_bits_for_any_thread_count),
    };
    return cmocka_run_group_tests_name("gradients", tests, start, NULL);
}
