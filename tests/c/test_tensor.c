/* tier: fast */
/* test_tensor.c - shapes, layouts, views, walks, ownership. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "trit/tensor.h"

static trit_shape shape4(int64_t a, int64_t b, int64_t c, int64_t d) {
    return (trit_shape){.ndim = 4, .dim = {a, b, c, d}};
}

static float at(const trit_tensor *t, int64_t a, int64_t b, int64_t c, int64_t d) {
    return t->data[a * t->stride[0] + b * t->stride[1] + c * t->stride[2] + d * t->stride[3]];
}

static void layouts_are_strides(void **state) {
    (void)state;
    int64_t s[TRIT_MAX_DIM];
    trit_shape x = shape4(2, 3, 5, 7);
    assert_int_equal(trit_layout_strides(&x, TRIT_CHANNELS_LAST, s), 210);
    assert_int_equal(s[0], 105);
    assert_int_equal(s[1], 1);
    assert_int_equal(s[2], 21);
    assert_int_equal(s[3], 3);
    assert_int_equal(trit_layout_strides(&x, TRIT_HWIO, s), 210);
    assert_int_equal(s[0], 1);
    assert_int_equal(s[1], 2);
    assert_int_equal(s[2], 42);
    assert_int_equal(s[3], 6);
    trit_shape huge = shape4(1 << 20, 1 << 20, 1 << 20, 1 << 20);
    assert_int_equal(trit_layout_strides(&huge, TRIT_ROW_MAJOR, s), -1);
}

static void copying_between_layouts_keeps_every_element(void **state) {
    (void)state;
    trit_shape s = shape4(2, 3, 4, 5);
    trit_tensor *a, *b;
    assert_int_equal(trit_tensor_new(&s, TRIT_ROW_MAJOR, &a), TRIT_OK);
    for (int i = 0; i < 120; i++) a->data[i] = (float)i;
    assert_int_equal(trit_tensor_as(a, TRIT_CHANNELS_LAST, &b), TRIT_OK);
    assert_true(trit_has_layout(b, TRIT_CHANNELS_LAST));
    assert_true(trit_is_dense(b));
    for (int64_t n = 0; n < 2; n++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t h = 0; h < 4; h++)
                for (int64_t w = 0; w < 5; w++)
                    assert_float_equal(at(b, n, c, h, w), ((n * 3 + c) * 4 + h) * 5 + w, 0);
    trit_tensor_release(a);
    trit_tensor_release(b);
}

static void a_view_keeps_the_storage(void **state) {
    (void)state;
    size_t before = trit_mem_query().live;
    trit_shape s = {.ndim = 2, .dim = {4, 6}}, row = {.ndim = 1, .dim = {6}};
    const int64_t one[TRIT_MAX_DIM] = {1};
    trit_tensor *t, *v;
    assert_int_equal(trit_tensor_zeros(&s, TRIT_ROW_MAJOR, &t), TRIT_OK);
    assert_int_equal(trit_tensor_view(t, &row, one, 6, &v), TRIT_OK);
    trit_tensor_fill(v, 2.0f);
    assert_float_equal(t->data[6], 2, 0);
    assert_float_equal(t->data[12], 0, 0);
    trit_tensor_release(t);
    assert_float_equal(v->data[5], 2, 0);
    trit_tensor_release(v);
    assert_int_equal(trit_mem_query().live, before);
}

static void a_failed_allocation_leaves_nothing_behind(void **state) {
    (void)state;
    trit_shape s = shape4(2, 3, 4, 5);
    size_t before = trit_mem_query().live;
    trit_tensor *t = NULL;
    trit_mem_fail_after(0);
    assert_int_equal(trit_tensor_new(&s, TRIT_ROW_MAJOR, &t), TRIT_ERR_MEM);
    assert_non_null(strstr(trit_last_error(), "f32[2,3,4,5]"));
    assert_int_equal(trit_mem_query().live, before);
}

static void a_copy_of_another_shape_names_both(void **state) {
    (void)state;
    trit_shape s = {.ndim = 1, .dim = {3}}, u = {.ndim = 1, .dim = {4}};
    trit_tensor *a, *b;
    trit_tensor_zeros(&s, TRIT_ROW_MAJOR, &a);
    trit_tensor_zeros(&u, TRIT_ROW_MAJOR, &b);
    assert_int_equal(trit_tensor_copy(a, b), TRIT_ERR_SHAPE);
    assert_string_equal(trit_last_error(), "copy: shapes differ: to f32[3], from f32[4]");
    trit_tensor_release(a);
    trit_tensor_release(b);
}

static void empty_and_single_tensors_work(void **state) {
    (void)state;
    trit_shape none = {.ndim = 2, .dim = {0, 5}}, scalar = {0};
    trit_tensor *e, *s, *c;
    assert_int_equal(trit_tensor_zeros(&none, TRIT_ROW_MAJOR, &e), TRIT_OK);
    assert_int_equal(trit_numel(e), 0);
    trit_tensor_fill(e, 1);
    assert_int_equal(trit_tensor_zeros(&scalar, TRIT_ROW_MAJOR, &s), TRIT_OK);
    trit_tensor_fill(s, 3);
    assert_int_equal(trit_tensor_clone(s, &c), TRIT_OK);
    assert_float_equal(c->data[0], 3, 0);
    trit_tensor_release(e);
    trit_tensor_release(s);
    trit_tensor_release(c);
}

int main(void) {
    if (trit_init() != TRIT_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_are_strides),
        cmocka_unit_test(copying_between_layouts_keeps_every_element),
        cmocka_unit_test(a_view_keeps_the_storage),
        cmocka_unit_test(a_failed_allocation_leaves_nothing_behind),
        cmocka_unit_test(a_copy_of_another_shape_names_both),
        cmocka_unit_test(empty_and_single_tensors_work),
    };
    return cmocka_run_group_tests_name("tensor", tests, NULL, NULL);
}
