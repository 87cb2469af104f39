/* tier: fast */
/*
 * test_quant.c - every quantizer of the registry: declared properties, special weights, layouts,
 * threads, failing allocations.
 */
#include "c/quant_bench.h"
#include "quant/rows.h"

/* -------------------------------------------------------------------- properties */

static void run_fresh(bench *b) {
    reset(b);
    forward(b);
}

static void check_odd(bench *b, const char *label, bool values, bool same_codes) {
    run_fresh(b);
    int8_t *codes = copy_codes(b);
    trit_tensor *wq;
    CHECK(trit_tensor_clone(b->wq, &wq));
    for (int64_t i = 0; i < b->state->call.n; i++) b->w->data[i] = -b->w->data[i];
    run_fresh(b);
    for (int64_t i = 0; same_codes && i < b->state->call.n * b->state->call.terms; i++)
        expect(b->state->call.codes[i] == -codes[i], label, "code of -w", i,
               b->state->call.codes[i], -codes[i]);
    for (int64_t i = 0; values && i < b->state->call.n; i++)
        expect(fabsf(b->wq->data[i] + wq->data[i]) < 1e-6f, label, "q(-w)", i, b->wq->data[i],
               -wq->data[i]);
    for (int64_t i = 0; i < b->state->call.n; i++) b->w->data[i] = -b->w->data[i];
    trit_tensor_release(wq);
    free(codes);
}

static void check_scale(bench *b, const char *label) {
    run_fresh(b);
    trit_tensor *wq;
    CHECK(trit_tensor_clone(b->wq, &wq));
    for (int64_t i = 0; i < b->state->call.n; i++) b->w->data[i] *= 2;
    run_fresh(b);
    for (int64_t i = 0; i < b->state->call.n; i++)
        expect(fabsf(b->wq->data[i] - 2 * wq->data[i]) <= 1e-6f * fabsf(b->wq->data[i]), label,
               "q(2w)", i, b->wq->data[i], 2 * wq->data[i]);
    for (int64_t i = 0; i < b->state->call.n; i++) b->w->data[i] /= 2;
    trit_tensor_release(wq);
}

/* Memory position of element i of row r. */
static int64_t place(const trit_rows *r, int64_t row, int64_t i) {
    return row * r->row_stride + i * r->step;
}

static void reverse_rows(bench *b) {
    const trit_rows r = b->state->call.rows;
    for (int64_t row = 0; row < r.rows; row++)
        for (int64_t i = 0; i < r.len / 2; i++) {
            float *x = &b->w->data[place(&r, row, i)];
            float *y = &b->w->data[place(&r, row, r.len - 1 - i)];
            const float t = *x;
            *x = *y;
            *y = t;
        }
}

static void check_permute(bench *b, const char *label) {
    run_fresh(b);
    const trit_quant_call *c = &b->state->call;
    int8_t *codes = copy_codes(b);
    reverse_rows(b);
    run_fresh(b);
    for (int k = 0; k < c->terms; k++)
        for (int64_t row = 0; row < c->rows.rows; row++)
            for (int64_t i = 0; i < c->rows.len; i++) {
                const int got = c->codes[k * c->n + place(&c->rows, row, c->rows.len - 1 - i)];
                const int want = codes[k * c->n + place(&c->rows, row, i)];
                expect(got == want, label, "permuted code", i, got, want);
            }
    reverse_rows(b);
    free(codes);
}

static void check_monotone(bench *b, const char *label) {
    run_fresh(b);
    const trit_quant_call *c = &b->state->call;
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n; j++) {
            if (row_at(&c->rows, i) != row_at(&c->rows, j) || c->w[i] >= c->w[j]) continue;
            for (int k = 0; k < c->terms; k++)
                expect(c->codes[k * c->n + i] <= c->codes[k * c->n + j], label, "code order", i,
                       c->w[i], c->w[j]);
        }
}

static void check_codes(bench *b, const char *label) {
    run_fresh(b);
    const trit_quant_call *c = &b->state->call;
    for (int64_t i = 0; i < c->n; i++) {
        const int64_t row = row_at(&c->rows, i);
        double sum = 0;
        for (int k = 0; k < c->terms; k++)
            sum += trit_quant_level(c, (trit_at){i, row, k, c->codes[k * c->n + i]});
        expect(fabs(sum - (double)c->wq[i]) < 1e-6, label, "codes times scales", i, c->wq[i], sum);
    }
}

static void check_properties(bench *b, const char *label) {
    const unsigned p = trit_quant_properties(b->q, &b->args);
    if (p & TRIT_PROP_CODED) check_codes(b, label);
    if (p & (TRIT_PROP_ODD | TRIT_PROP_ODD_CODES))
        check_odd(b, label, p & TRIT_PROP_ODD, p & TRIT_PROP_ODD_CODES);
    if (p & TRIT_PROP_SCALE) check_scale(b, label);
    if (p & TRIT_PROP_PERMUTE) check_permute(b, label);
    if (p & TRIT_PROP_MONOTONE) check_monotone(b, label);
}

static void test_properties(void **state) {
    (void)state;
    each_case(check_properties);
}

/* ------------------------------------------------------------------ special weights */

static void check_finite(bench *b, const char *label) {
    run_fresh(b);
    backward(b);
    for (int64_t i = 0; i < b->state->call.n; i++) {
        expect(isfinite(b->wq->data[i]), label, "w'", i, b->wq->data[i], 0);
        expect(isfinite(b->dw->data[i]), label, "dw", i, b->dw->data[i], 0);
    }
    for (int k = 0; k < b->n_learn; k++)
        for (int64_t j = 0; j < trit_numel(b->dlearn[k]); j++)
            expect(isfinite(b->dlearn[k]->data[j]), label, "dlearn", j, b->dlearn[k]->data[j], 0);
}

static void check_special(bench *b, const char *label) {
    static const float values[] = {0, 0.3f, -0.3f, 1e-30f, 1e30f};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        trit_tensor_fill(b->w, values[v]);
        check_finite(b, label);
        if (values[v] == 0 && !(trit_quant_properties(b->q, &b->args) & TRIT_PROP_BINARY))
            for (int64_t i = 0; i < b->state->call.n; i++)
                expect(b->wq->data[i] == 0, label, "q(0)", i, b->wq->data[i], 0);
    }
}

static void test_special(void **state) {
    (void)state;
    each_case(check_special);
    for (int i = 0; i < trit_quantizers_count; i++) {
        static const trit_shape shapes[] = {
            {1, {1}}, {4, {1, 1, 1, 1}}, {2, {3, 1}}, {1, {0}}, {0, {0}}};
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
            bench b;
            open_bench(&b, trit_quantizers[i], &shapes[k], "granularity=filter", TRIT_HWIO, 3);
            check_finite(&b, trit_quantizers[i]->name);
            close_bench(&b);
        }
    }
}

static void check_rejects(bench *b, const char *label) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const int64_t at = b->state->call.n / 2;
    const float old = b->w->data[at];
    for (int k = 0; k < 3; k++) {
        b->w->data[at] = bad[k];
        const trit_status status = b->q->forward(call_of(b));
        expect(status == TRIT_ERR_ARG, label, "status of a bad weight", at, status, TRIT_ERR_ARG);
        assert_non_null(strstr(trit_last_error(), "weights must be finite"));
        assert_non_null(strstr(trit_last_error(), b->q->name));
    }
    b->w->data[at] = old;
}

static void test_rejects(void **state) {
    (void)state;
    each_case(check_rejects);
}

/* -------------------------------------------------------- layouts, threads, memory */

static void test_layouts_agree(void **state) {
    (void)state;
    for (int i = 0; i < trit_quantizers_count; i++)
        for (const trit_case *c = trit_quantizers[i]->cases; c->shapes; c++) {
            trit_shape shape;
            bench a, b;
            parse_shape(c->shapes, &shape);
            open_bench(&a, trit_quantizers[i], &shape, c->options, TRIT_ROW_MAJOR, 11);
            open_bench(&b, trit_quantizers[i], &shape, c->options, TRIT_HWIO, 11);
            if (trit_quant_properties(a.q, &a.args) & TRIT_PROP_PLACED) {
                close_bench(&a), close_bench(&b);
                continue;
            }
            forward(&a), forward(&b), backward(&a), backward(&b);
            trit_tensor *wq, *dw;
            CHECK(trit_tensor_as(b.wq, TRIT_ROW_MAJOR, &wq));
            CHECK(trit_tensor_as(b.dw, TRIT_ROW_MAJOR, &dw));
            for (int64_t k = 0; k < trit_numel(wq); k++) {
                expect(fabsf(wq->data[k] - a.wq->data[k]) < 1e-6f, trit_quantizers[i]->name,
                       "w' by layout", k, wq->data[k], a.wq->data[k]);
                expect((double)fabsf(dw->data[k] - a.dw->data[k]) <= 1e-5 * largest(dw),
                       trit_quantizers[i]->name, "dw by layout", k, dw->data[k], a.dw->data[k]);
            }
            trit_tensor_release(wq);
            trit_tensor_release(dw);
            close_bench(&a);
            close_bench(&b);
        }
}

static void same_bits(bench *a, bench *b) {
    const size_t bytes = (size_t)trit_numel(a->w) * sizeof(float);
    assert_memory_equal(a->wq->data, b->wq->data, bytes);
    assert_memory_equal(a->dw->data, b->dw->data, bytes);
    for (int k = 0; k < a->n_learn; k++)
        assert_memory_equal(a->dlearn[k]->data, b->dlearn[k]->data,
                            (size_t)trit_numel(a->dlearn[k]) * sizeof(float));
    const trit_quant_call *ca = call_of(a), *cb = call_of(b);
    assert_memory_equal(ca->cache, cb->cache,
                        (size_t)ca->rows.rows * TRIT_ROW_CACHE * sizeof(double));
}

static void test_threads_agree(void **state) {
    (void)state;
    static const trit_shape shapes[] = {{4, {40, 60, 3, 3}}, {2, {7, 9001}}};
    static const char *const options[] = {"granularity=layer", "granularity=filter"};
    for (int i = 0; i < trit_quantizers_count; i++)
        for (int s = 0; s < 4; s++) {
            bench a, b;
            trit_set_threads(1);
            open_bench(&a, trit_quantizers[i], &shapes[s / 2], options[s % 2], TRIT_HWIO, 5);
            forward(&a), backward(&a);
            trit_set_threads(3);
            open_bench(&b, trit_quantizers[i], &shapes[s / 2], options[s % 2], TRIT_HWIO, 5);
            forward(&b), backward(&b);
            same_bits(&a, &b);
            close_bench(&a);
            close_bench(&b);
        }
}

/* Rows along and across, lengths that are no multiple of a vector or of a block. */
static void test_levels_agree(void **state) {
    (void)state;
    static const trit_shape shapes[] = {{4, {5, 7, 3, 3}}, {2, {13, 291}}};
    static const char *const options[] = {"granularity=layer", "granularity=filter"};
    static const trit_layout layouts[] = {TRIT_HWIO, TRIT_ROW_MAJOR};
    const trit_isa best = trit_isa_level();
    for (int i = 0; i < trit_quantizers_count; i++)
        for (int s = 0; s < 4; s++) {
            bench a, b;
            assert_int_equal(trit_isa_force(TRIT_ISA_GENERIC), TRIT_OK);
            open_bench(&a, trit_quantizers[i], &shapes[s / 2], options[s % 2], layouts[s / 2], 5);
            forward(&a), backward(&a);
            for (int level = TRIT_ISA_AVX2; level <= TRIT_ISA_AVX512; level++) {
                if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
                open_bench(&b, trit_quantizers[i], &shapes[s / 2], options[s % 2], layouts[s / 2],
                           5);
                forward(&b), backward(&b);
                same_bits(&a, &b);
                close_bench(&b);
            }
            close_bench(&a);
        }
    trit_isa_force(best);
}

/* Each allocation fails once: a status, a sentence, nothing lost. */
static void check_allocations(bench *b, const char *label) {
    const size_t live = trit_mem_query().live;
    float *learn[TRIT_MAX_LEARN] = {NULL}, *dlearn[TRIT_MAX_LEARN] = {NULL};
    for (int k = 0; k < b->n_learn; k++) {
        learn[k] = b->learn[k]->data;
        if (!b->q->learn[k].state) dlearn[k] = b->dlearn[k]->data;
    }
    for (int stage = 0; stage < 3; stage++) {
        trit_status status = TRIT_ERR_MEM;
        for (int n = 1; status != TRIT_OK; n++) {
            expect(n < 100, label, "allocations", n, n, 100);
            trit_mem_fail_after(n);
            if (stage == 0) status = b->q->reset ? b->q->reset(call_of(b), learn) : TRIT_OK;
            if (stage == 1) status = b->q->forward(call_of(b));
            if (stage == 2) status = b->q->backward(call_of(b), b->g->data, b->dw->data, dlearn);
            trit_mem_fail_after(-1);
            expect(status == TRIT_OK || status == TRIT_ERR_MEM, label, "status", n, status, 0);
            expect(trit_mem_query().live == live, label, "live bytes", n,
                   (double)trit_mem_query().live, (double)live);
        }
    }
}

static void test_allocations(void **state) {
    (void)state;
    each_case(check_allocations);
}

/* Comparisons with a double, done in float: exact for every float near the bound. */
static void test_float_bounds(void **state) {
    (void)state;
    static const double bounds[] = {0.1, 0.3, 0.25, -0.1, 1.0 / 3, 1e-20, 7, 0.1 + 1e-17};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        const double b = bounds[i];
        float w = nextafterf(nextafterf((float)b, -INFINITY), -INFINITY);
        for (int k = 0; k < 5; k++, w = nextafterf(w, INFINITY)) {
            assert_int_equal((double)w > b, w > trit_below(b));
            assert_int_equal((double)w < b, w < trit_above(b));
            if (b > 0) assert_int_equal((double)w >= b, w > trit_under(b));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float_bounds),  cmocka_unit_test(test_properties),
        cmocka_unit_test(test_special),       cmocka_unit_test(test_rejects),
        cmocka_unit_test(test_layouts_agree), cmocka_unit_test(test_threads_agree),
        cmocka_unit_test(test_levels_agree),  cmocka_unit_test(test_allocations),
    };
    if (trit_init() != TRIT_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
