/* tier: fast */
/*
 * test_optim.c - every update rule of the registry: a step against the equation at hand, the same
 * bits for any thread count and memory order; clipping helpers; what is refused.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "trit/optim.h"

#define CHECK(call) assert_string_equal((call) == TRIT_OK ? "" : trit_last_error(), "")

static trit_tensor *vector(int64_t n, const float *values) {
    trit_tensor *t;
    CHECK(trit_tensor_zeros(&(trit_shape){1, {n}}, TRIT_ROW_MAJOR, &t));
    if (values) memcpy(t->data, values, (size_t)n * sizeof *values);
    return t;
}

/* `steps` steps of rule `o` on parameter p with gradient g; momentum and friends on. */
static void run(const trit_optimizer *o, trit_tensor *p, const trit_tensor *g, int steps) {
    trit_args args;
    trit_tensor *slot[TRIT_MAX_SLOTS] = {NULL};
    trit_args_default(o->params, &args);
    args.v[0][0] = 0.1; /* row 0 is always lr */
    const int momentum = trit_param_find(o->params, "momentum");
    if (momentum >= 0) args.v[momentum][0] = 0.9;
    for (int i = 0; i < TRIT_MAX_SLOTS && o->slots[i]; i++) {
        if (!(trit_optimizer_uses(o, &args) >> i & 1)) continue;
        CHECK(trit_tensor_like(p, &slot[i]));
        trit_tensor_fill(slot[i], 0);
    }
    for (int t = 1; t <= steps; t++) CHECK(trit_optimizer_step(o, &args, t, p, g, slot));
    for (int i = 0; i < TRIT_MAX_SLOTS; i++) trit_tensor_release(slot[i]);
}

/* Two steps with constant gradient 2 from 1, lr 0.1, by hand. */
static void test_steps_by_hand(void **state) {
    (void)state;
    const struct {
        const char *name;
        double p;
    } rows[] = {
        {"sgd", 1 - 0.1 * 2 - 0.1 * (0.9 * 2 + 2)}, /* v = 2, then 3.8 */
        {"adam", 1 - 0.1 - 0.1},                    /* mhat/sqrt(vhat) = 1 */
        {"adamw", (0.999 * 1 - 0.1) * 0.999 - 0.1},
        /* s = 0.01 * 4, then 0.0199 * 4; b = g/sqrt(s), then 0.9 b + g/sqrt(s) */
        {"rmsprop", 1 - 0.1 * 10 - 0.1 * (0.9 * 10 + 1 / sqrt(0.0199))},
    };
    assert_int_equal(trit_optimizers_count, 4);
    for (int i = 0; i < 4; i++) {
        const trit_optimizer *o = trit_optimizer_find(rows[i].name);
        assert_non_null(o);
        trit_tensor *p = vector(1, (float[]){1}), *g = vector(1, (float[]){2});
        run(o, p, g, 2);
        assert_float_equal(p->data[0], rows[i].p, 1e-5);
        trit_tensor_release(p);
        trit_tensor_release(g);
    }
}

static void test_threads_and_layouts(void **state) {
    (void)state;
    const trit_shape shape = {4, {40, 30, 5, 7}};
    for (int i = 0; i < trit_optimizers_count; i++) {
        trit_tensor *p[3], *g, *hwio, *back;
        CHECK(trit_tensor_new(&shape, TRIT_ROW_MAJOR, &g));
        trit_rng_fill_normal(1, TRIT_STREAM_USER, 0, 1, g->data, trit_numel(g));
        CHECK(trit_tensor_clone(g, &p[0]));
        CHECK(trit_tensor_clone(g, &p[1]));
        CHECK(trit_tensor_as(g, TRIT_HWIO, &hwio)); /* a gradient in row-major order */
        CHECK(trit_tensor_clone(hwio, &p[2]));
        trit_set_threads(1);
        run(trit_optimizers[i], p[0], g, 3);
        trit_set_threads(3);
        run(trit_optimizers[i], p[1], g, 3);
        run(trit_optimizers[i], p[2], g, 3);
        CHECK(trit_tensor_as(p[2], TRIT_ROW_MAJOR, &back));
        const size_t bytes = (size_t)trit_numel(g) * sizeof(float);
        assert_memory_equal(p[0]->data, p[1]->data, bytes);
        assert_memory_equal(p[0]->data, back->data, bytes);
        for (int k = 0; k < 3; k++) trit_tensor_release(p[k]);
        trit_tensor_release(g);
        trit_tensor_release(hwio);
        trit_tensor_release(back);
    }
}

static void test_refusals(void **state) {
    (void)state;
    trit_args args;
    const trit_optimizer *o = trit_optimizer_find("adam");
    trit_tensor *p = vector(3, NULL), *g = vector(4, NULL), *slot[TRIT_MAX_SLOTS] = {NULL}, *view;
    trit_args_default(o->params, &args);
    assert_int_equal(trit_optimizer_step(o, &args, 1, p, g, slot), TRIT_ERR_SHAPE);
    assert_string_equal(trit_last_error(), "adam: parameter f32[3] has a gradient f32[4]");
    assert_int_equal(trit_optimizer_step(o, &args, 1, p, p, slot), TRIT_ERR_ARG);
    assert_string_equal(trit_last_error(), "adam: state m does not fit parameter f32[3]");
    CHECK(trit_tensor_view(g, &(trit_shape){1, {2}}, (int64_t[TRIT_MAX_DIM]){2}, 0, &view));
    assert_int_equal(trit_optimizer_step(o, &args, 1, view, view, slot), TRIT_ERR_UNSUPPORTED);
    trit_tensor_release(view);
    trit_tensor_release(p);
    trit_tensor_release(g);
}

static void test_gradient_helpers(void **state) {
    (void)state;
    double sum;
    trit_tensor *t[2] = {vector(40000, NULL), vector(2, (float[]){3, -4})}, *view;
    trit_tensor_fill(t[0], 0.5f);
    CHECK(trit_sum_squares(t, 2, &sum));
    assert_float_equal(sum, 10000 + 25, 0);
    CHECK(trit_tensor_view(t[0], &(trit_shape){1, {5}}, (int64_t[TRIT_MAX_DIM]){7}, 0, &view));
    CHECK(trit_sum_squares(&view, 1, &sum)); /* with gaps */
    assert_float_equal(sum, 1.25, 0);
    trit_scale_inplace(view, 2);
    assert_float_equal(t[0]->data[7], 1, 0);
    assert_float_equal(t[0]->data[8], 0.5, 0);
    t[1]->data[0] = NAN;
    trit_clamp_inplace(t[1], -1, 1);
    assert_true(isnan(t[1]->data[0]));
    assert_float_equal(t[1]->data[1], -1, 0);
    trit_mem_fail_after(1);
    assert_int_equal(trit_sum_squares(t, 2, &sum), TRIT_ERR_MEM);
    trit_mem_fail_after(-1);
    trit_tensor_release(view);
    trit_tensor_release(t[0]);
    trit_tensor_release(t[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_by_hand),
        cmocka_unit_test(test_threads_and_layouts),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_gradient_helpers),
    };
    if (trit_init() != TRIT_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
