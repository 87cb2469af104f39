/* tier: fast */
/*
 * test_quant_grad.c - gradients of every quantizer of the registry against finite differences,
 * TGA's worked example, the inverse Mills ratio, and quantizers on the tape.
 */
#include "c/quant_bench.h"
#include "quant/mills.h"
#include "trit/op.h"

/* ------------------------------------------------------------ gradients by differences */

/* sum over terms and weights of g times the value of the code, codes taken from `codes`. */
static double loss_of_scales(bench *b, const int8_t *codes) {
    const trit_quant_call *c = &b->state->call;
    double sum = 0;
    for (int k = 0; k < c->terms; k++)
        for (int64_t i = 0; i < c->n; i++) {
            const trit_at at = {i, row_at(&c->rows, i), k, codes[k * c->n + i]};
            sum += (double)b->g->data[i] * trit_quant_level(c, at);
        }
    return sum;
}

#define LEARN_TOLERANCE 1e-3 /* scales are float: 6e-8 of them over a step of about 1e-3 */

/* TGA's sample mean jumps with the codes; its threshold is declared to get no gradient. */
static void check_no_gradient(const bench *b, const char *label) {
    for (int64_t j = 0; j < trit_numel(b->dlearn[0]); j++)
        expect(b->dlearn[0]->data[j] == 0, label, "threshold gradient", j, b->dlearn[0]->data[j],
               0);
}

static void check_learn(bench *b, const char *label) {
    if (b->n_learn > 0 && b->learn[0]) b->learn[0]->data[0] *= b->q->learn[0].threshold ? -1 : 1;
    forward(b);
    backward(b);
    if (strstr(label, "sample_mean")) {
        check_no_gradient(b, label);
        return;
    }
    if (b->q->surrogate) return;
    int8_t *codes = copy_codes(b);
    for (int k = 0; k < b->n_learn; k++)
        for (int64_t j = 0; j < trit_numel(b->learn[k]) && !b->q->learn[k].state; j++) {
            float *x = &b->learn[k]->data[j];
            const float old = *x, h = 0.01f * fabsf(old) + 1e-3f;
            *x = old + h;
            forward(b);
            const double up = loss_of_scales(b, codes), high = *x;
            *x = old - h;
            forward(b);
            const double slope = (up - loss_of_scales(b, codes)) / (high - (double)*x);
            const double got = b->dlearn[k]->data[j];
            *x = old;
            expect(fabs(got - slope) <= LEARN_TOLERANCE * fmax(1, largest(b->dlearn[k])), label,
                   b->q->learn[k].name, j, got, slope);
        }
    free(codes);
}

/* The first term: the declared integral with codes and scales held. */
static double surrogate_slope(const bench *b, int64_t i) {
    const trit_quant_call *c = &b->state->call;
    const double h = 1e-4, w = b->w->data[i];
    double sum = 0;
    for (int k = 0; k < c->terms; k++) {
        const trit_at at = {i, row_at(&c->rows, i), k, c->codes[k * c->n + i]};
        sum += trit_quant_integral(c, at, w + h) - trit_quant_integral(c, at, w - h);
    }
    return sum / (2 * h) * (double)b->g->data[i];
}

#define ATTACHED_STEP 0.02

/* The second: through the statistics of the scale, by moving one weight. */
static double attached_slope(bench *b, int64_t i, const int8_t *codes) {
    float *x = &b->w->data[i];
    const float old = *x;
    const double h = ATTACHED_STEP;
    *x = (float)(old + h);
    forward(b);
    const double up = loss_of_scales(b, codes), high = *x;
    *x = (float)(old - h);
    forward(b);
    const double slope = (up - loss_of_scales(b, codes)) / (high - (double)*x);
    *x = old;
    return slope;
}

#define WEIGHT_TOLERANCE 5e-4 /* of the largest; float scales over a step of 0.02 */

static void check_weights(bench *b, const char *label) {
    assert_true(b->q->integral || b->q->surrogate);
    if (b->q->surrogate) return; /* its whole row: check_rows */
    forward(b);
    backward(b);
    int8_t *codes = copy_codes(b);
    const bool attached = trit_quant_attached(b->q, &b->args);
    for (int64_t i = 0; i < b->state->call.n; i += attached ? 3 : 1) {
        if (fabs(fabs((double)b->w->data[i]) - 1) < 1e-3) continue;
        if (attached && fabs((double)b->w->data[i]) <= ATTACHED_STEP) continue; /* |w| bends at 0 */
        const double direct = surrogate_slope(b, i);
        const double want = direct + (attached ? attached_slope(b, i, codes) : 0);
        const double got = b->dw->data[i];
        if (attached) forward(b);
        expect(fabs(got - want) <= WEIGHT_TOLERANCE * largest(b->dw), label, "dw", i, got, want);
    }
    free(codes);
}

/* Slope of a row's loss as one of its weights, or (k >= 0) a trained number, moves. */
static double row_slope(bench *b, int64_t row, double *x, double *learn, double *moved) {
    const trit_quant_call *c = &b->state->call;
    const double h = 1e-5, old = *moved;
    double loss[2] = {0}, *out = x + c->rows.len;
    for (int side = 0; side < 2; side++) {
        *moved = side ? old + h : old - h;
        b->q->surrogate(c, row, x, learn, out);
        for (int64_t i = 0; i < c->rows.len; i++)
            loss[side] += (double)b->g->data[row * c->rows.row_stride + i * c->rows.step] * out[i];
    }
    *moved = old;
    return (loss[1] - loss[0]) / (2 * h);
}

static void check_row(bench *b, const char *label, int64_t row, double *x) {
    const trit_quant_call *c = &b->state->call;
    double learn[TRIT_MAX_LEARN] = {0};
    for (int k = 0; k < b->n_learn; k++)
        if (!b->q->learn[k].per_weight) learn[k] = (double)b->learn[k]->data[row];
    for (int64_t i = 0; i < c->rows.len; i++)
        x[i] = (double)c->w[row * c->rows.row_stride + i * c->rows.step];
    for (int64_t i = 0; i < c->rows.len; i++) {
        if (fabs(fabs(x[i]) - 1) < 1e-3) continue;
        const double want = row_slope(b, row, x, learn, &x[i]);
        const double got = b->dw->data[row * c->rows.row_stride + i * c->rows.step];
        expect(fabs(got - want) <= WEIGHT_TOLERANCE * largest(b->dw), label, "dw", i, got, want);
    }
    for (int k = 0; k < b->n_learn; k++) {
        if (b->q->learn[k].per_weight || b->q->learn[k].state) continue;
        const double want = row_slope(b, row, x, learn, &learn[k]);
        expect(fabs((double)b->dlearn[k]->data[row] - want) <=
                   WEIGHT_TOLERANCE * fmax(1e-3, largest(b->dlearn[k])),
               label, b->q->learn[k].name, row, b->dlearn[k]->data[row], want);
    }
}

/* Against the whole surrogate, where that is what a quantizer declares. */
static void check_rows(bench *b, const char *label) {
    if (!b->q->surrogate) return;
    const trit_quant_call *c = &b->state->call;
    forward(b);
    backward(b);
    double *x = malloc(2 * (size_t)c->rows.len * sizeof *x);
    for (int64_t row = 0; row < c->rows.rows; row++) check_row(b, label, row, x);
    free(x);
}

static void each_isa(bench_body f) {
    for (int level = TRIT_ISA_GENERIC; level <= TRIT_ISA_AVX512; level++)
        if (trit_isa_force((trit_isa)level) == TRIT_OK) each_case(f);
}

static void test_learn_gradients(void **state) {
    (void)state;
    each_isa(check_learn);
}

static void test_weight_gradients(void **state) {
    (void)state;
    each_isa(check_weights);
    each_case(check_rows);
}

/* The scale-only backward must agree with the full one. */
static void check_scale_only(bench *b, const char *label) {
    if (!b->q->backward_scale || (b->q->scale_only && !b->q->scale_only(&b->args))) return;
    forward(b);
    backward(b);
    const trit_rows r = b->state->call.rows;
    double *G = calloc((size_t)r.rows, sizeof *G);
    for (int64_t i = 0; i < b->state->call.n; i++)
        G[row_at(&r, i)] += (double)b->g->data[i] * b->state->call.codes[i];
    trit_tensor *alone;
    CHECK(trit_tensor_like(b->learn[0], &alone));
    float *dlearn[TRIT_MAX_LEARN] = {alone->data, NULL, NULL};
    CHECK(b->q->backward_scale(call_of(b), G, dlearn));
    for (int64_t j = 0; j < trit_numel(alone); j++)
        expect(fabs((double)(alone->data[j] - b->dlearn[0]->data[j])) <
                   1e-5 * fmax(1, largest(alone)),
               label, "scale-only gradient", j, alone->data[j], b->dlearn[0]->data[j]);
    trit_tensor_release(alone);
    free(G);
}

static void test_scale_only(void **state) {
    (void)state;
    each_case(check_scale_only);
}

/* -------------------------------------------------------------- worked example (1.14) */

static void test_tga_example(void **state) {
    (void)state;
    static const float w[] = {.31f, -.02f, .07f, -.44f, .18f, -.11f, 0, .25f, -.21f, .05f};
    static const float g[] = {.5f, -.2f, .1f, .3f, -.4f, .2f, -.1f, .6f, -.3f, .05f};
    static const struct {
        double delta, s, by_delta, dw[3];
        int codes[10];
    } row[] = {
        {0.022,
         0.200245576,
         0.558926096,
         {0.686875021, -0.124445366, 0.205914739},
         {1, -1, 1, -1, 1, -1, 0, 1, -1, 1}},
        {-0.13,
         0.276192412,
         -0.521233113,
         {0.650882811, -0.137499069, 0.18660508},
         {1, 0, 0, -1, 1, 0, 0, 1, -1, 0}},
        {0.9, 0.740457274, 0, {.5, -.2, .1}, {0}},
    };
    for (int k = 0; k < 3; k++) {
        bench b;
        open_bench(&b, trit_quantizer_find("tga"), &(trit_shape){1, {10}}, "", TRIT_ROW_MAJOR, 1);
        memcpy(b.w->data, w, sizeof w);
        memcpy(b.g->data, g, sizeof g);
        reset(&b);
        if (k == 0) assert_float_equal(b.learn[0]->data[0], 0.022, 1e-8);
        b.learn[0]->data[0] = (float)row[k].delta;
        forward(&b), backward(&b);
        assert_float_equal(b.state->call.scale[0], row[k].s, 1e-7);
        assert_float_equal(b.dlearn[0]->data[0], row[k].by_delta, 1e-6);
        for (int i = 0; i < 3; i++) assert_float_equal(b.dw->data[i], row[k].dw[i], 1e-6);
        for (int i = 0; i < 10; i++) assert_int_equal(b.state->call.codes[i], row[k].codes[i]);
        close_bench(&b);
    }
}

/* Table 1.3, and the identities at the tail where the quotient form fails. */
static void test_mills(void **state) {
    (void)state;
    static const double table[][4] = {{0, 0.797885, 0.636620, 0.797885},
                                      {0.25, 0.963554, 0.687548, 0.791667},
                                      {0.6120, 1.224004, 0.749095, 0.765558},
                                      {2, 2.373216, 0.885721, 0.601774},
                                      {3, 3.283099, 0.929441, 0.494776}};
    double d;
    for (int i = 0; i < 5; i++) {
        const double z = table[i][0], lambda = trit_mills(z, &d);
        assert_float_equal(lambda, table[i][1], 1e-6);
        assert_float_equal(lambda * d, table[i][2], 1e-6);
        assert_float_equal(lambda * (1 - z * d), table[i][3], 1e-6);
    }
    assert_float_equal(trit_mills(nextafter(4, 0), &d), trit_mills(4, &d), 1e-13);
    trit_mills(1e4, &d); /* 1/z - 2/z^3 + ... */
    assert_float_equal(d * 1e4, 1 - 2e-8, 1e-14);
    assert_true(fabs(trit_log_tail(10) + 53.23128515051247) < 1e-12);
    assert_true(fabs(trit_log_tail(-1) + 0.17275377902344985) < 1e-15);
}

/* ------------------------------------------------------------------------ on the tape */

static void release_state(void *s) { trit_quant_state_release(s); }

static void test_op(void **state) {
    (void)state;
    const trit_op *apply = trit_op_find("apply_quantizer"),
                  *scale = trit_op_find("quantizer_scale");
    bench b;
    open_bench(&b, trit_quantizer_find("tga"), &(trit_shape){4, {6, 4, 3, 3}}, "granularity=filter",
               TRIT_HWIO, 2);
    forward(&b), backward(&b);
    trit_tensor *in[2] = {b.w, b.learn[0]}, *y, *s;
    b.w->requires_grad = b.learn[0]->requires_grad = true;
    trit_quant_state *shared = trit_quant_state_retain(b.state);
    CHECK(trit_apply(apply, in, 2, NULL, shared, release_state, &y));
    assert_memory_equal(y->data, b.wq->data, 216 * sizeof(float));
    CHECK(trit_backward(y, b.g));
    assert_memory_equal(b.w->grad->data, b.dw->data, 216 * sizeof(float));
    assert_memory_equal(b.learn[0]->grad->data, b.dlearn[0]->data, 6 * sizeof(float));

    shared = trit_quant_state_retain(b.state);
    CHECK(trit_apply(scale, in, 2, NULL, shared, release_state, &s));
    assert_int_equal(trit_numel(s), 6);
    assert_int_equal(b.state->refs, 2);
    trit_tensor_release(s);
    trit_tensor_release(y);
    assert_int_equal(b.state->refs, 1);

    assert_int_equal(trit_apply(apply, in, 2, NULL, NULL, NULL, &y), TRIT_ERR_ARG);
    in[1] = b.w;
    shared = trit_quant_state_retain(b.state);
    assert_int_equal(trit_apply(apply, in, 2, NULL, shared, release_state, &y), TRIT_ERR_SHAPE);
    assert_non_null(strstr(trit_last_error(), "parameter delta is f32[6,4,3,3]"));
    close_bench(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mills),           cmocka_unit_test(test_tga_example),
        cmocka_unit_test(test_learn_gradients), cmocka_unit_test(test_weight_gradients),
        cmocka_unit_test(test_scale_only),      cmocka_unit_test(test_op),
    };
    if (trit_init() != TRIT_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
