/* tier: fast */
/* test_fusion.c - described results: as if computed at once, and with every allocation failing in
 * turn nothing is lost or left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "trit/op.h"

static trit_tensor *normal(const trit_shape *shape, trit_layout layout, uint32_t stream) {
    trit_tensor *t;
    assert_int_equal(trit_tensor_new(shape, layout, &t), TRIT_OK);
    trit_rng_fill_normal(3, stream, 0.0f, 1.0f, t->data, trit_numel(t));
    t->requires_grad = true;
    return t;
}

enum { X, W1, G1, B1, W2, G2, B2, LEAVES };

static void make_leaves(trit_tensor **leaf) {
    const trit_shape image = {4, {2, 16, 8, 8}}, filter = {4, {16, 16, 3, 3}}, vector = {1, {16}};
    for (uint32_t i = 0; i < LEAVES; i++)
        leaf[i] = i == X               ? normal(&image, TRIT_CHANNELS_LAST, i)
                  : i == W1 || i == W2 ? normal(&filter, TRIT_HWIO, i)
                                       : normal(&vector, TRIT_ROW_MAJOR, i);
}

static trit_status apply(const char *name, const char *option, int n, trit_tensor *const *in,
                         trit_tensor **out) {
    const trit_op *op = trit_op_find(name);
    trit_args args;
    trit_args_default(op->params, &args);
    if (option) {
        const int row = trit_param_find(op->params, option);
        for (int at = 0; at < 2; at++)
            TRIT_TRY(trit_args_set(name, op->params, &args, row, op->params[row].len ? at : 0, 1));
    }
    return trit_apply(op, in, n, &args, NULL, NULL, out);
}

/* relu(bn(conv(relu(bn(conv(x))))) + x), summed; *made holds every intermediate result. */
static trit_status forward(trit_tensor *const *l, trit_tensor **made, int *n) {
    trit_tensor *x = l[X];
    for (int half = 0; half < 2; half++) {
        trit_tensor *const *p = l + W1 + 3 * half;
        TRIT_TRY(apply("conv2d", "padding", 2, (trit_tensor *[]){x, p[0]}, &made[*n]));
        x = made[(*n)++];
        TRIT_TRY(apply("batch_norm", "training", 3, (trit_tensor *[]){x, p[1], p[2]}, &made[*n]));
        x = made[(*n)++];
        if (half == 1) {
            TRIT_TRY(apply("add", NULL, 2, (trit_tensor *[]){x, l[X]}, &made[*n]));
            x = made[(*n)++];
        }
        TRIT_TRY(apply("relu", NULL, 1, &x, &made[*n]));
        x = made[(*n)++];
    }
    return apply("sum", NULL, 1, &x, &made[(*n)]);
}

static trit_status step(trit_tensor *const *leaf) {
    trit_tensor *made[16] = {NULL};
    int n = 0;
    trit_status status = trit_scope_enter();
    if (status != TRIT_OK) return status;
    status = forward(leaf, made, &n);
    trit_tensor *loss = status == TRIT_OK ? made[n] : NULL;
    if (loss) trit_scope_keep(loss);
    for (int i = 0; i < n; i++) trit_tensor_release(made[i]);
    trit_scope_leave();
    if (loss) status = trit_backward(loss, NULL);
    trit_tensor_release(loss);
    return status;
}

static void drop_gradients(trit_tensor **leaf) {
    for (int i = 0; i < LEAVES; i++) {
        trit_tensor_release(leaf[i]->grad);
        leaf[i]->grad = NULL;
    }
}

static void every_failed_allocation_is_an_error_and_leaves_nothing(void **state) {
    (void)state;
    trit_tensor *leaf[LEAVES];
    make_leaves(leaf);
    assert_int_equal(step(leaf), TRIT_OK);
    drop_gradients(leaf);
    const size_t before = trit_mem_query().live;
    int failures = 0;
    for (int64_t n = 0;; n++) {
        trit_mem_trim();
        trit_mem_fail_after(n);
        const trit_status status = step(leaf);
        trit_mem_fail_after(-1);
        drop_gradients(leaf);
        assert_true(status == TRIT_OK || status == TRIT_ERR_MEM);
        assert_int_equal(trit_mem_query().live, before);
        if (status == TRIT_OK) break;
        failures++;
    }
    assert_true(failures > 20); /* the step allocates that often at least */
    for (int i = 0; i < LEAVES; i++) trit_tensor_release(leaf[i]);
}

static void a_described_step_allocates_less_and_gives_the_same(void **state) {
    (void)state;
    trit_tensor *leaf[LEAVES], *fused[LEAVES];
    make_leaves(leaf);
    size_t peak[2];
    for (int on = 1; on >= 0; on--) {
        trit_set_fusion(on);
        assert_int_equal(step(leaf), TRIT_OK);
        for (int i = 0; i < LEAVES && on; i++) {
            fused[i] = leaf[i]->grad;
            leaf[i]->grad = NULL;
        }
        peak[on] = trit_mem_query().peak; /* never falls: the described step comes first */
    }
    trit_set_fusion(true);
    assert_true(peak[1] < peak[0]);
    for (int i = 0; i < LEAVES; i++) {
        const trit_tensor *a = fused[i], *b = leaf[i]->grad;
        double worst = 0, size = 0;
        for (int64_t k = 0; k < trit_numel(a); k++) {
            const double d = (double)a->data[k] - (double)b->data[k];
            worst = d * d > worst ? d * d : worst;
            size = (double)b->data[k] * b->data[k] > size ? (double)b->data[k] * b->data[k] : size;
        }
        assert_true(worst <= 1e-10 * size);
        trit_tensor_release(fused[i]);
        trit_tensor_release(leaf[i]);
    }
}

int main(void) {
    if (trit_init() != TRIT_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_described_step_allocates_less_and_gives_the_same),
        cmocka_unit_test(every_failed_allocation_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests_name("fusion", tests, NULL, NULL);
}
