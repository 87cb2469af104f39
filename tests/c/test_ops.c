/* What ops promise beyond values and gradients: sentences, memory orders, edge rules, failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "trit/gradcheck.h"

/* ------------------------------------------------------------------- helpers */

static trit_status call(const char *name, const char *shapes, const char *options,
                        trit_tensor **y) {
    trit_example e;
    const trit_op *op = trit_op_find(name);
    if (!op) fail_msg("no op %s", name);
    *y = NULL;
    trit_status status = trit_example_new(op, &(trit_case){shapes, options}, 11, &e);
    if (status == TRIT_OK) status = trit_apply(op, e.in, e.n_in, &e.args, NULL, NULL, y);
    trit_example_clear(&e);
    return status;
}

static trit_tensor *vector(int64_t n, const float *values) {
    trit_tensor *t;
    assert_int_equal(trit_tensor_new(&(trit_shape){1, {n}}, TRIT_ROW_MAJOR, &t), TRIT_OK);
    for (int64_t i = 0; i < n; i++) t->data[i] = values[i];
    return t;
}

static trit_tensor *random_tensor(trit_shape shape, trit_layout layout, uint64_t seed) {
    trit_tensor *t;
    assert_int_equal(trit_tensor_new(&shape, layout, &t), TRIT_OK);
    trit_rng_fill_uniform(seed, TRIT_STREAM_USER, -1.0f, 1.0f, t->data, trit_numel(t));
    return t;
}

static trit_tensor *apply(const char *name, const char *options, int n, trit_tensor **in) {
    trit_args args;
    trit_tensor *y = NULL;
    const trit_op *op = trit_op_find(name);
    if (trit_case_args(name, op->params, options, &args) != TRIT_OK ||
        trit_apply(op, in, n, &args, NULL, NULL, &y) != TRIT_OK)
        fail_msg("%s", trit_last_error());
    return y;
}

/* ----------------------------------------------------------------- sentences */

static const struct {
    const char *op, *shapes, *options, *sentence;
} misuses[] = {
    {"conv2d", "[128,3,32,32];[16,16,3,3]", "padding=1",
     "conv2d: input has 3 channels but weight expects 16: input f32[128,3,32,32], weight "
     "f32[16,16,3,3], stride 1, padding 1, dilation 1, groups 1"},
    {"conv2d", "[3,32,32];[16,3,3,3]", "",
     "conv2d: input must have 4 dimensions: input f32[3,32,32]"},
    {"conv2d", "[1,3,4,4];[16,3,3]", "",
     "conv2d: weight must have 4 dimensions: weight f32[16,3,3]"},
    {"conv2d", "[1,4,4,4];[3,2,3,3]", "groups=2",
     "conv2d: 3 output channels cannot be split into 2 groups: input f32[1,4,4,4]"},
    {"conv2d", "[1,3,2,2];[4,3,5,5]", "padding=1",
     "conv2d: the kernel does not fit into the padded input: input f32[1,3,2,2], weight"},
    {"conv2d", "[1,3,4,4];[4,3,3,3];[5]", "", "conv2d: bias must be f32[4]: bias f32[5]"},
    {"conv2d", "[1,3,4,4];[4,3,3,3];;[5]", "", "conv2d: scale must be f32[4]: scale f32[5]"},
    {"conv2d", "[1,3,4,4]", "", "conv2d: operand w is missing; it takes (x,w,b?,s?)"},
    {"linear", "[5,7];[3,8]", "",
     "linear: input has 7 features but weight expects 8: input f32[5,7], weight f32[3,8]"},
    {"linear", "[5,7];[7]", "", "linear: weight must have 2 dimensions: weight f32[7]"},
    {"linear", "[];[1,1]", "", "linear: input must have at least 1 dimension: input f32[]"},
    {"matmul", "[2,3];[4,5]", "",
     "matmul: a has 3 columns but b has 4 rows: a f32[2,3], b f32[4,5]"},
    {"matmul", "[2,3];[4,5]", "transpose_a=true",
     "matmul: a has 2 columns but b has 4 rows: a f32[2,3] transposed, b f32[4,5]"},
    {"batch_norm", "[2,3,4]", "training=true",
     "batch_norm: input must be [N,C] or [N,C,H,W]: input f32[2,3,4]"},
    {"batch_norm", "[2,3];[4]", "training=true",
     "batch_norm: weight must be f32[3]: weight f32[4]"},
    {"batch_norm", "[1,3,1,1]", "training=true",
     "batch_norm: training needs at least 2 values per channel: input f32[1,3,1,1]"},
    {"batch_norm", "[2,3]", "",
     "batch_norm: without training it needs running_mean and running_var: input f32[2,3]"},
    {"add", "[2,3];[2,4]", "",
     "add: shapes do not broadcast (3 against 4 in dimension 1 from the last): a f32[2,3], b "
     "f32[2,4]"},
    {"mul", "[2,3];[4,3]", "", "mul: shapes do not broadcast (2 against 4 in dimension 2"},
    {"where", "[2]B;[3];[1]", "", "where: shapes do not broadcast"},
    {"concat", "[2,3];[2,4]", "axis=1",
     "concat: operand 2 does not fit along axis 1: f32[2,4] against f32[2,3]"},
    {"concat", "[2,3];[2,4]", "axis=3",
     "concat: axis is 3 but must be 1..2, or -1..-2 from the last"},
    {"concat", "[2,3];[2,4]", "axis=0",
     "concat: axis is 0 but must be 1..2, or -1..-2 from the last"},
    {"slice", "[2,3]", "start=0;0;0",
     "slice: start has 3 numbers but x has 2 dimensions: x f32[2,3]"},
    {"slice", "[2,3]", "step=0", "slice: option step is 0 but must lie in"},
    {"pad", "[2,3]", "pads=1;2;3",
     "pad: pads has 3 numbers but must be pairs, at most 4 for input f32[2,3]"},
    {"shortcut_a", "[2,8,4,4]", "out_channels=4",
     "shortcut_a: out_channels is 4 but input has 8 channels: input f32[2,8,4,4]"},
    {"reshape", "[2,3]", "shape=4;2", "reshape: 6 elements do not fit: f32[2,3] to f32[4,2]"},
    {"reshape", "[2,3]", "shape=-1;-1", "reshape: 6 elements do not fit: f32[2,3] to f32[-1,-1]"},
    {"permute", "[2,3]", "axes=1;1", "permute: axis 1 is named twice: x f32[2,3]"},
    {"permute", "[2,3]", "axes=1",
     "permute: axes has 1 numbers but x has 2 dimensions: x f32[2,3]"},
    {"max_pool", "[1,2,4,4]", "kernel=2,padding=2",
     "max_pool: padding is more than half the window: input f32[1,2,4,4], kernel 2x2, padding 2x2"},
    {"avg_pool", "[1,2,4,4]", "kernel=7",
     "avg_pool: the window does not fit into the padded input"},
    {"global_avg_pool", "[2,3]", "", "global_avg_pool: input must have 4 dimensions"},
    {"global_avg_pool", "[2,3,0,4]", "", "global_avg_pool: images have no pixels"},
    {"sum", "[2,3]", "axes=1;1", "sum: axis 1 is named twice: x f32[2,3]"},
    {"mean", "[0,3]", "", "mean: nothing to average: x f32[0,3]"},
    {"var", "[1,3]", "axes=1,unbiased=true", "var: too few numbers along the axes: x f32[1,3]"},
    {"max", "[0]", "", "max: no numbers along the axis: x f32[0]"},
    {"softmax", "[2,3]", "axis=-3",
     "softmax: axis is -3 but must be 1..2, or -1..-2 from the last"},
    {"cross_entropy", "[2,3];[3]I", "", "cross_entropy: labels must be f32[2]: labels f32[3]"},
    {"cross_entropy", "[2,3];[2]", "", "cross_entropy: label of row 1 is"},
    {"cross_entropy", "[2,3,4];[2]I", "", "cross_entropy: input must have 2 dimensions"},
    {"cross_entropy", "[2,3];[2]I", "label_smoothing=2",
     "cross_entropy: option label_smoothing is 2 but must lie in [0, 1]"},
    {"cross_entropy_soft", "[2,3];[2,4]", "",
     "cross_entropy_soft: targets must have the shape of x: targets f32[2,4], x f32[2,3]"},
    {"squared_hinge", "[2,3];[3]I", "", "squared_hinge: labels must be f32[2]: labels f32[3]"},
    {"topk_correct", "[2,3];[3]I", "", "topk_correct: labels must be f32[2]: labels f32[3]"},
    {"dropout", "[2,3];[3]B", "",
     "dropout: mask must have the shape of x: mask f32[3], x f32[2,3]"},
    {"dropout", "[2,3]", "p=1.5", "dropout: option p is 1.5 but must lie in [0, 1]"},
    {"hardtanh", "[2]", "min=1,max=-1", "hardtanh: min is 1 but max is -1"},
    {"clamp", "[2]", "min=1,max=-1", "clamp: min is 1 but max is -1"},
    {"relu", "[2];[2]", "", "relu: takes (x), got 2 operands"},
    {"quantile", "[0]", "", "quantile: no numbers: x f32[0]"},
};

static void misuse_is_explained(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++) {
        trit_tensor *y;
        if (call(misuses[i].op, misuses[i].shapes, misuses[i].options, &y) == TRIT_OK)
            fail_msg("%s(%s; %s) was accepted", misuses[i].op, misuses[i].shapes,
                     misuses[i].options);
        if (strncmp(trit_last_error(), misuses[i].sentence, strlen(misuses[i].sentence)))
            fail_msg("expected: %s\n     got: %s", misuses[i].sentence, trit_last_error());
        assert_null(y);
    }
}

static void labels_are_named_by_row_and_value(void **state) {
    (void)state;
    static const float bad[] = {0, 4, 1.5f, NAN, -1};
    trit_tensor *x = random_tensor((trit_shape){2, {3, 3}}, TRIT_ROW_MAJOR, 1);
    for (int i = 0; i < 5; i++) {
        char sentence[128];
        trit_tensor *labels = vector(3, (float[]){1, 3, bad[i]}), *y = NULL;
        trit_status s = trit_apply(trit_op_find("cross_entropy"), (trit_tensor *[]){x, labels}, 2,
                                   NULL, NULL, NULL, &y);
        assert_int_equal(s, TRIT_ERR_ARG);
        snprintf(sentence, sizeof sentence,
                 "cross_entropy: label of row 3 is %g but must be a class number 1..3: x f32[3,3]",
                 (double)bad[i]);
        assert_string_equal(trit_last_error(), sentence);
        trit_tensor_release(labels);
    }
    trit_tensor_release(x);
}

/* ------------------------------------------------------- memory order never matters */

/* Every case again with every operand row-major: the same numbers in interface order. */
static trit_status plain_copy(const trit_example *e, trit_tensor **in) {
    for (int i = 0; i < e->n_in; i++) {
        in[i] = NULL;
        if (!e->in[i]) continue;
        TRIT_TRY(trit_tensor_new(&e->in[i]->shape, TRIT_ROW_MAJOR, &in[i]));
        TRIT_TRY(trit_tensor_copy(in[i], e->in[i]));
    }
    return TRIT_OK;
}

/* Drawn masks follow memory order by design. */
static bool order_matters(const trit_op *op) { return !strcmp(op->name, "dropout"); }

static void results_do_not_depend_on_memory_order(void **state) {
    (void)state;
    for (int k = 0; k < trit_ops_count; k++)
        for (const trit_case *c = trit_ops[k]->cases; c && c->shapes; c++) {
            const trit_op *op = trit_ops[k];
            trit_example e;
            trit_tensor *in[TRIT_MAX_IN], *y[2] = {NULL, NULL}, *flat[2];
            if (order_matters(op)) continue;
            assert_int_equal(trit_example_new(op, c, 3, &e), TRIT_OK);
            assert_int_equal(plain_copy(&e, in), TRIT_OK);
            assert_int_equal(trit_apply(op, e.in, e.n_in, &e.args, NULL, NULL, &y[0]), TRIT_OK);
            assert_int_equal(trit_apply(op, in, e.n_in, &e.args, NULL, NULL, &y[1]), TRIT_OK);
            for (int i = 0; i < 2; i++)
                assert_int_equal(trit_tensor_as(y[i], TRIT_ROW_MAJOR, &flat[i]), TRIT_OK);
            for (int64_t i = 0; i < trit_numel(flat[0]); i++)
                if (fabsf(flat[0]->data[i] - flat[1]->data[i]) > 1e-6f * fabsf(flat[0]->data[i]))
                    fail_msg("%s(%s; %s): element %lld depends on memory order", op->name,
                             c->shapes, c->options, (long long)i);
            for (int i = 0; i < 2; i++) {
                trit_tensor_release(flat[i]);
                trit_tensor_release(y[i]);
            }
            for (int i = 0; i < e.n_in; i++) trit_tensor_release(in[i]);
            trit_example_clear(&e);
        }
}

/* ---------------------------------------------------------------- failed allocations */

/* Forward and backward of one example with the n-th allocation failing; true when none failed. */
static bool survives(const trit_op *op, const trit_case *c, int64_t n) {
    trit_example e;
    trit_tensor *y = NULL, *g = NULL;
    assert_int_equal(trit_example_new(op, c, 3, &e), TRIT_OK);
    for (int i = 0; i < e.n_in; i++)
        if (e.in[i] && !(op->nograd >> i & 1) && op->backward) e.in[i]->requires_grad = true;
    trit_mem_fail_after(n);
    trit_status status = trit_apply(op, e.in, e.n_in, &e.args, NULL, NULL, &y);
    if (status == TRIT_OK && trit_needs_grad(y)) {
        status = trit_tensor_clone(y, &g);
        if (status == TRIT_OK) status = trit_backward(y, g);
    }
    trit_mem_fail_after(-1);
    if (status != TRIT_OK && status != TRIT_ERR_MEM)
        fail_msg("%s: allocation %lld failed: %s", op->name, (long long)n, trit_last_error());
    trit_tensor_release(g);
    trit_tensor_release(y);
    trit_example_clear(&e);
    return status == TRIT_OK;
}

/* Kernels may keep scratch for the next call, so memory is compared after calls that succeed. */
static void every_allocation_may_fail(void **state) {
    (void)state;
    int failures = 0;
    /* Scratch is kept once reserved: take more than any case needs, so it is not counted. */
    assert_int_equal(trit_scratch_reserve((size_t)8 << 20), TRIT_OK);
    for (int k = 0; k < trit_ops_count; k++) {
        const trit_op *op = trit_ops[k];
        if (!op->backward || op->grad == TRIT_GRAD_SURROGATE) continue;
        assert_true(survives(op, op->cases, -1));
        const size_t before = trit_mem_query().live;
        for (int64_t n = 0; !survives(op, op->cases, n); n++) {
            assert_true(n < 200);
            failures++;
        }
        if (trit_mem_query().live != before)
            fail_msg("%s: failed allocations lose %lld bytes", op->name,
                     (long long)(trit_mem_query().live - before));
    }
    assert_true(failures > 100);
}

/* --------------------------------------------------------------------- edge rules */

static void scale_gradient_is_that_of_the_weights(void **state) {
    (void)state;
    /* w = s t: sum over a filter of dL/dw t is dL/ds; the s operand must give the same. */
    trit_tensor *x = random_tensor((trit_shape){4, {2, 3, 6, 5}}, TRIT_CHANNELS_LAST, 1);
    trit_tensor *t = random_tensor((trit_shape){4, {4, 3, 3, 3}}, TRIT_HWIO, 2);
    trit_tensor *b = random_tensor((trit_shape){1, {4}}, TRIT_ROW_MAJOR, 3);
    for (int64_t i = 0; i < trit_numel(t); i++) t->data[i] = roundf(1.4f * t->data[i]);
    for (int per_filter = 0; per_filter < 2; per_filter++) {
        trit_tensor *s = vector(per_filter ? 4 : 1, (float[]){0.5f, -2.0f, 0.25f, 1.5f}), *w, *y;
        assert_int_equal(trit_tensor_clone(t, &w), TRIT_OK);
        for (int64_t k = 0; k < 4; k++) /* output channels are fastest in HWIO */
            for (int64_t i = k; i < trit_numel(w); i += 4) w->data[i] *= s->data[per_filter * k];
        w->requires_grad = true;
        y = apply("conv2d", "padding=1", 3, (trit_tensor *[]){x, w, b});
        trit_tensor *g = random_tensor(y->shape, TRIT_CHANNELS_LAST, 5);
        assert_int_equal(trit_backward(y, g), TRIT_OK);
        double want[4] = {0};
        for (int64_t i = 0; i < trit_numel(w); i++)
            want[per_filter * (i % 4)] += (double)w->grad->data[i] * (double)t->data[i];
        trit_tensor_release(y);
        w->requires_grad = false;
        s->requires_grad = true;
        y = apply("conv2d", "padding=1", 4, (trit_tensor *[]){x, w, b, s});
        assert_int_equal(trit_backward(y, g), TRIT_OK);
        for (int64_t k = 0; k < trit_numel(s); k++)
            assert_float_equal(s->grad->data[k], want[k], 2e-5 * (1 + fabs(want[k])));
        trit_tensor *all[] = {y, g, w, s};
        for (int i = 0; i < 4; i++) trit_tensor_release(all[i]);
    }
    trit_tensor_release(x);
    trit_tensor_release(t);
    trit_tensor_release(b);
}

static void scale_zero_has_gradient_zero(void **state) {
    (void)state;
    trit_tensor *x = random_tensor((trit_shape){2, {3, 4}}, TRIT_ROW_MAJOR, 1), *w, *y;
    trit_tensor *s = vector(2, (float[]){0, 1});
    assert_int_equal(trit_tensor_zeros(&(trit_shape){2, {2, 4}}, TRIT_ROW_MAJOR, &w), TRIT_OK);
    s->requires_grad = true;
    y = apply("linear", "", 4, (trit_tensor *[]){x, w, NULL, s});
    trit_tensor *g = random_tensor(y->shape, TRIT_ROW_MAJOR, 2);
    assert_int_equal(trit_backward(y, g), TRIT_OK);
    assert_true(s->grad->data[0] == 0.0f && s->grad->data[1] == 0.0f);
    trit_tensor *all[] = {x, w, y, s, g};
    for (int i = 0; i < 5; i++) trit_tensor_release(all[i]);
}

static void momentum_zero_leaves_running_statistics(void **state) {
    (void)state;
    const float mean[] = {0.1f, 3e-39f, 7}, var[] = {1, 1e-30f, 0.3f};
    trit_tensor *x = random_tensor((trit_shape){2, {9, 3}}, TRIT_ROW_MAJOR, 1);
    trit_tensor *rm = vector(3, mean), *rv = vector(3, var);
    trit_tensor *in[] = {x, NULL, NULL, rm, rv};
    trit_tensor_release(apply("batch_norm", "training=true,momentum=0", 5, in));
    assert_memory_equal(rm->data, mean, sizeof mean);
    assert_memory_equal(rv->data, var, sizeof var);
    trit_tensor_release(apply("batch_norm", "training=true,momentum=1", 5, in));
    double m = 0, v = 0;
    for (int i = 0; i < 9; i++) m += x->data[3 * i] / 9.0;
    for (int i = 0; i < 9; i++) v += pow(x->data[3 * i] - m, 2) / 8.0;
    assert_float_equal(rm->data[0], m, 1e-6);
    assert_float_equal(rv->data[0], v, 1e-6);
    for (int i = 0; i < 5; i++) trit_tensor_release(in[i]);
}

static void variance_survives_a_large_mean(void **state) {
    (void)state;
    trit_tensor *x = random_tensor((trit_shape){4, {8, 16, 8, 8}}, TRIT_CHANNELS_LAST, 1);
    for (int64_t i = 0; i < trit_numel(x); i++) x->data[i] = 1000.0f + roundf(64 * x->data[i]) / 64;
    double m = 0, v = 0;
    for (int64_t i = 0; i < 512; i++) m += x->data[16 * i] / 512.0;
    for (int64_t i = 0; i < 512; i++) v += pow(x->data[16 * i] - m, 2) / 512.0;
    trit_tensor *rm = vector(16, (float[16]){0}), *rv = vector(16, (float[16]){0});
    trit_tensor *in[] = {x, NULL, NULL, rm, rv};
    trit_tensor_release(apply("batch_norm", "training=true,momentum=1", 5, in));
    assert_float_equal(rv->data[0] / (v * 512 / 511), 1.0, 1e-6);
    for (int i = 0; i < 5; i++) trit_tensor_release(in[i]);
}

static void dropout_draws_its_share(void **state) {
    (void)state;
    const int64_t n = 100000;
    trit_tensor *x, *y[3];
    assert_int_equal(trit_tensor_new(&(trit_shape){1, {n}}, TRIT_ROW_MAJOR, &x), TRIT_OK);
    trit_tensor_fill(x, 1.0f);
    y[0] = apply("dropout", "p=0.3,seed=4,call=1", 1, &x);
    y[1] = apply("dropout", "p=0.3,seed=4,call=1", 1, &x);
    y[2] = apply("dropout", "p=0.3,seed=4,call=2", 1, &x);
    int64_t zeros = 0, differ = 0;
    for (int64_t i = 0; i < n; i++) {
        zeros += y[0]->data[i] == 0.0f;
        differ += y[0]->data[i] != y[2]->data[i];
        if (y[0]->data[i] != 0.0f) assert_float_equal(y[0]->data[i], 1 / 0.7, 1e-6);
    }
    assert_true(fabs((double)zeros / n - 0.3) < 0.006);        /* 4 standard deviations */
    assert_true(fabs((double)differ / n - 2 * 0.21) < 0.0065); /* independent masks */
    assert_memory_equal(y[0]->data, y[1]->data, (size_t)n * sizeof(float));
    for (int i = 0; i < 3; i++) trit_tensor_release(y[i]);
    trit_tensor_release(x);
}

static void ties_follow_the_stated_rules(void **state) {
    (void)state;
    trit_tensor *x, *y;
    trit_tensor *one;
    /* 17 channels: full vectors and a rest on every instruction set */
    assert_int_equal(trit_tensor_new(&(trit_shape){4, {1, 17, 2, 2}}, TRIT_CHANNELS_LAST, &x),
                     TRIT_OK);
    trit_tensor_fill(x, 3.0f);
    x->requires_grad = true;
    y = apply("max_pool", "kernel=2", 1, &x);
    assert_int_equal(trit_tensor_clone(y, &one), TRIT_OK);
    assert_int_equal(trit_backward(y, one), TRIT_OK);
    for (int i = 0; i < 68; i++) assert_float_equal(x->grad->data[i], i < 17 ? 3.0f : 0.0f, 0);
    trit_tensor_release(y);
    trit_tensor_release(x);
    trit_tensor_release(one);
    x = vector(3, (float[]){0, -1, 1});
    x->requires_grad = true;
    y = apply("relu", "", 1, &x);
    one = vector(3, (float[]){1, 1, 1});
    assert_int_equal(trit_backward(y, one), TRIT_OK);
    assert_memory_equal(x->grad->data, ((float[]){0, 0, 1}), 3 * sizeof(float));
    trit_tensor_release(y);
    trit_tensor_release(x);
    trit_tensor_release(one);
    assert_int_equal(trit_tensor_new(&(trit_shape){2, {3, 3}}, TRIT_ROW_MAJOR, &x), TRIT_OK);
    memcpy(x->data, (float[]){1, 1, 0, 1, 1, 0, NAN, 2, 1}, 9 * sizeof(float));
    trit_tensor *labels = vector(3, (float[]){1, 2, 1});
    y = apply("topk_correct", "k=1", 2, (trit_tensor *[]){x, labels});
    assert_float_equal(y->data[0], 1, 0); /* the first of equals ranks first; NaN is never right */
    trit_tensor_release(y);
    trit_tensor_release(x);
    trit_tensor_release(labels);
}

static void views_share_memory(void **state) {
    (void)state;
    trit_tensor *x = random_tensor((trit_shape){2, {4, 6}}, TRIT_ROW_MAJOR, 1);
    trit_tensor *y[] = {apply("reshape", "shape=3;8", 1, &x), apply("permute", "axes=2;1", 1, &x),
                        apply("slice", "start=1", 1, &x), apply("flatten", "", 1, &x)};
    assert_ptr_equal(y[0]->data, x->data);
    assert_ptr_equal(y[1]->data, x->data);
    assert_ptr_equal(y[2]->data, x->data + 6);
    assert_ptr_equal(y[3]->data, x->data);
    for (int i = 0; i < 4; i++) trit_tensor_release(y[i]);
    trit_tensor_release(x);
}

/* Backward passes the view first; linear, recorded before it, still reads the same memory. */
static void views_do_not_take_their_sources_memory(void **state) {
    (void)state;
    float got[2];
    for (int scoped = 0; scoped < 2; scoped++) {
        trit_tensor *x = random_tensor((trit_shape){2, {64, 64}}, TRIT_ROW_MAJOR, 1);
        trit_tensor *w = random_tensor((trit_shape){2, {64, 64}}, TRIT_ROW_MAJOR, 2), *t[7];
        w->requires_grad = true;
        if (scoped) assert_int_equal(trit_scope_enter(), TRIT_OK);
        t[0] = apply("linear", "", 2, (trit_tensor *[]){x, w});
        t[1] = apply("linear", "", 2, (trit_tensor *[]){t[0], w});
        t[2] = apply("reshape", "shape=-1", 1, &t[0]);
        t[3] = apply("tanh", "", 1, &t[2]);
        t[4] = apply("reshape", "shape=-1", 1, &t[1]);
        t[5] = apply("add", "", 2, &t[3]);
        t[6] = apply("sum", "", 1, &t[5]);
        if (scoped) trit_scope_keep(t[6]);
        if (scoped) trit_scope_leave();
        assert_int_equal(trit_backward(t[6], NULL), TRIT_OK);
        got[scoped] = w->grad->data[100];
        for (int i = 0; i < 7; i++) trit_tensor_release(t[i]);
        trit_tensor_release(w);
        trit_tensor_release(x);
    }
    assert_float_equal(got[0], got[1], 0);
}

/* add hands one gradient to both sides; relu and tanh may only overwrite what is theirs alone. */
static void shared_gradients_are_not_overwritten(void **state) {
    (void)state;
    trit_tensor *x = random_tensor((trit_shape){1, {50}}, TRIT_ROW_MAJOR, 1), *t[4];
    trit_tensor *g = random_tensor(x->shape, TRIT_ROW_MAJOR, 2);
    x->requires_grad = true;
    t[0] = apply("relu", "", 1, &x);
    t[1] = apply("tanh", "", 1, &x);
    t[2] = apply("add", "", 2, &t[0]);
    t[3] = apply("add", "", 2, (trit_tensor *[]){t[2], x});
    assert_int_equal(trit_backward(t[3], g), TRIT_OK);
    for (int i = 0; i < 50; i++) {
        const double v = x->data[i], slope = (v > 0) + 1 - tanh(v) * tanh(v) + 1;
        assert_float_equal(x->grad->data[i], slope * (double)g->data[i], 1e-6);
    }
    for (int i = 0; i < 4; i++) trit_tensor_release(t[i]);
    trit_tensor_release(x);
    trit_tensor_release(g);
}

/* ------------------------------------------------------------------- reductions */

static void sums_agree_with_plain_loops(void **state) {
    (void)state;
    static const trit_shape shapes[] = {
        {4, {3, 5, 7, 2}}, {4, {70, 16, 9, 9}}, {3, {1, 300, 40}}, {2, {9000, 3}}, {1, {50000}},
    };
    for (int k = 0; k < 5; k++)
        for (int layout = 0; layout < 2; layout++)
            for (unsigned mask = 0; mask < 1u << shapes[k].ndim; mask++) {
                trit_tensor *x = random_tensor(shapes[k], (trit_layout)layout, (uint64_t)k), *y;
                trit_shape kept = shapes[k];
                for (int i = 0; i < kept.ndim; i++)
                    if (mask >> i & 1) kept.dim[i] = 1;
                assert_int_equal(trit_tensor_new(&kept, TRIT_ROW_MAJOR, &y), TRIT_OK);
                assert_int_equal(trit_reduce_sum(x, 2.0, y), TRIT_OK);
                const size_t bytes = (size_t)trit_numel(y) * sizeof(double);
                double *want = calloc(1, bytes);
                for (int64_t i = 0; i < trit_numel(x); i++) {
                    int64_t rest = i, from = 0, to = 0;
                    for (int d = kept.ndim - 1; d >= 0; d--) {
                        const int64_t at = rest % shapes[k].dim[d];
                        rest /= shapes[k].dim[d];
                        from += at * x->stride[d];
                        if (kept.dim[d] > 1) to += at * y->stride[d];
                    }
                    want[to] += 2.0 * (double)x->data[from];
                }
                for (int64_t i = 0; i < trit_numel(y); i++)
                    assert_float_equal(y->data[i], want[i], 1e-4);
                free(want);
                trit_tensor_release(x);
                trit_tensor_release(y);
            }
}

/* The numbers cancel, over 60 powers of two: what is left is one order's rounding. */
static void sums_have_one_order_for_any_thread_count(void **state) {
    (void)state;
    const int before = trit_threads();
    const int64_t n = 300000;
    trit_tensor *x = random_tensor((trit_shape){1, {n}}, TRIT_ROW_MAJOR, 9), *y[3];
    for (int64_t i = 0; i < n / 2; i++) {
        x->data[i] = ldexpf(x->data[i], (int)(i * 7 % 60) - 30);
        x->data[n - 1 - i] = -x->data[i];
    }
    for (int t = 0; t < 3; t++) {
        assert_int_equal(trit_set_threads(t + 1), TRIT_OK);
        y[t] = apply("sum", "", 1, &x);
    }
    assert_true(y[0]->data[0] != 0.0f);
    assert_memory_equal(y[0]->data, y[1]->data, sizeof(float));
    assert_memory_equal(y[0]->data, y[2]->data, sizeof(float));
    for (int t = 0; t < 3; t++) trit_tensor_release(y[t]);
    trit_tensor_release(x);
    trit_set_threads(before);
}

static int start(void **state) {
    (void)state;
    return trit_init() != TRIT_OK;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_is_explained),
        cmocka_unit_test(labels_are_named_by_row_and_value),
        cmocka_unit_test(results_do_not_depend_on_memory_order),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(scale_gradient_is_that_of_the_weights),
        cmocka_unit_test(scale_zero_has_gradient_zero),
        cmocka_unit_test(momentum_zero_leaves_running_statistics),
        cmocka_unit_test(variance_survives_a_large_mean),
        cmocka_unit_test(dropout_draws_its_share),
        cmocka_unit_test(ties_follow_the_stated_rules),
        cmocka_unit_test(views_share_memory),
        cmocka_unit_test(views_do_not_take_their_sources_memory),
        cmocka_unit_test(shared_gradients_are_not_overwritten),
        cmocka_unit_test(sums_agree_with_plain_loops),
        cmocka_unit_test(sums_have_one_order_for_any_thread_count),
    };
    return cmocka_run_group_tests_name("ops", tests, start, NULL);
}
