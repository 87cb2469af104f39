/* tier: fast */
/* test_rows.c - rows made and taken (trit/rows.h), alone and along convolutions, against loops in
 * double, at every instruction-set level. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trit/conv.h"

enum { VECTORS = 6 };

/* Operands of `pixels` rows of C channels. */
typedef struct {
    int64_t C, pixels;
    float *p, *q, *z, *v, *vector[VECTORS];
} operands;

static float *normal(int64_t n, uint32_t stream) {
    float *x = malloc(sizeof *x * (size_t)(n + 1));
    trit_rng_fill_normal(5, stream, 0.1f, 1.0f, x, n);
    return x;
}

static operands operands_of(int64_t pixels, int64_t C) {
    operands o = {.C = C, .pixels = pixels};
    float **array[] = {&o.p, &o.q, &o.z, &o.v};
    for (uint32_t i = 0; i < 4; i++) *array[i] = normal(pixels * C, i);
    for (uint32_t i = 0; i < VECTORS; i++) o.vector[i] = normal(C, 10 + i);
    return o;
}

static void release(operands *o) {
    free(o->p), free(o->q), free(o->z), free(o->v);
    for (int i = 0; i < VECTORS; i++) free(o->vector[i]);
}

/* The combinations that occur, numbered. */
enum { MAKES = 10, TAKES = 10 };

static const trit_levels levels = {3.0f, 1.0f / 3, 0.0f, 1.0f};

static trit_make make_of(const operands *o, int which) {
    float *const *w = o->vector;
    trit_make m = {.C = o->C, .p = o->p, .pm = w[0], .pa = w[1], .pb = w[2]};
    if (which >= 2 && which < 7) m.q = o->q;
    if (which >= 4 && which < 7) m.qm = w[3], m.qa = w[4], m.qb = w[5];
    m.relu = which % 2 && which != 9;
    if (which == 6 || which >= 8) m.pm = m.pb = NULL;
    if (which >= 8) m.pa = NULL;
    if (which >= 7) m.levels = levels;
    if (which == 9) m.levels.low = -2.0f / 3;
    return m;
}

static double made(const trit_make *m, int64_t i) {
    const int64_t c = i % m->C;
    double v = (double)m->p[i];
    if (m->pa) v = m->pm ? (v - m->pm[c]) * m->pa[c] + m->pb[c] : m->pa[c] * v;
    if (m->q) v += m->qm ? ((double)m->q[i] - m->qm[c]) * m->qa[c] + m->qb[c] : (double)m->q[i];
    return m->relu && v < 0 ? 0 : v;
}

/* What is made at i; a value half-way between two levels may go to either. */
static void check_value(const trit_make *m, int64_t i, float got) {
    const double v = made(m, i), low = (double)m->levels.low, top = (double)m->levels.top;
    if (m->levels.scale == 0) {
        assert_true(fabs((double)got - v) < 1e-5);
        return;
    }
    const double level = 3 * fmin(fmax(v, low), top);
    assert_true(fabs(3 * (double)got - level) < 0.5 + 1e-4);
    assert_true(fabs(3 * (double)got - rint(3 * (double)got)) < 1e-5);
}

static trit_take take_of(const operands *o, int which) {
    float *const *w = o->vector;
    trit_take t = {.C = o->C};
    if (which == 0) return t;
    t.y = which < 5 || which > 6 ? o->p : NULL;
    t.ym = t.y ? w[0] : NULL;
    if (which == 1 || which == 3 || which == 7)
        t.ya = w[1], t.yb = w[2];
    else if (which >= 2)
        t.z = o->z;
    if (which == 3 || which == 4 || which == 6 || which >= 8) t.add = o->q;
    t.capped = which >= 7;
    t.top = which == 9 ? 0.0f : 0.5f;
    return t;
}

/* What becomes of value `v` at i, by floats where a sign decides. */
static float taken(const trit_take *t, int64_t i, float v) {
    const int64_t c = i % t->C;
    double u = 1;
    if (t->z)
        u = (double)t->z[i];
    else if (t->ya)
        u = ((double)t->y[i] - t->ym[c]) * t->ya[c] + t->yb[c];
    if (t->capped && u > (double)t->top) v = 0.0f;
    if (t->add) v += t->add[i];
    return u > 0 ? v : 0.0f;
}

static double summed(const trit_take *t, int64_t i, double v) {
    return v * (t->y ? (double)t->y[i] - t->ym[i % t->C] : v);
}

static void for_every_level(void (*body)(int64_t pixels, int64_t C)) {
    static const int64_t channels[] = {1, 3, 16, 17, 24, 40, 64, 96, 131};
    const trit_isa best = trit_isa_level();
    for (int level = 0; level <= (int)best; level++) {
        assert_int_equal(trit_isa_force((trit_isa)level), TRIT_OK);
        for (int k = 0; k < (int)(sizeof channels / sizeof *channels); k++) {
            body(1, channels[k]);
            body(75, channels[k]);
        }
    }
    assert_int_equal(trit_isa_force(best), TRIT_OK);
}

static void check_made(int64_t pixels, int64_t C) {
    operands o = operands_of(pixels, C);
    float *dst = malloc(sizeof *dst * (size_t)((pixels + 2) * C));
    for (int which = 0; which < MAKES; which++) {
        const trit_make m = make_of(&o, which);
        for (int64_t i = 0; i < (pixels + 2) * C; i++) dst[i] = -7;
        trit_rows_make_all(&m, pixels, dst + C);
        for (int64_t i = 0; i < pixels * C; i++) check_value(&m, i, dst[C + i]);
        trit_rows_make(&m, pixels / 2, pixels - pixels / 2, dst + C);
        check_value(&m, pixels / 2 * C, dst[C]);
        for (int64_t i = 0; i < C; i++) /* nothing beside the rows was written */
            assert_true(dst[i] == -7 && dst[(pixels + 1) * C + i] == -7);
    }
    free(dst);
    release(&o);
}

static void rows_are_made_as_described(void **state) {
    (void)state;
    for_every_level(check_made);
}

/* Values and sums of a taken tensor `got` that was `before`. */
static void check_taken_values(const trit_take *t, int64_t pixels, const float *before,
                               const float *got, const double *sums, double tolerance) {
    const int64_t C = t->C;
    double *want = calloc((size_t)(4 * C), sizeof *want); /* two sums, and of absolute values */
    for (int64_t i = 0; i < pixels * C; i++) {
        const double v = taken(t, i, before[i]);
        assert_true(fabs((double)got[i] - v) <= tolerance * (1 + fabs(v)));
        want[i % C] += v;
        want[C + i % C] += summed(t, i, v);
        want[2 * C + i % C] += fabs(v);
        want[3 * C + i % C] += fabs(summed(t, i, v));
    }
    for (int64_t k = 0; k < 2 * C; k++)
        assert_true(fabs(sums[k] - want[k]) <= tolerance * (1 + want[2 * C + k]));
    free(want);
}

static void check_taken(int64_t pixels, int64_t C) {
    operands o = operands_of(pixels, C);
    const size_t bytes = sizeof(float) * (size_t)(pixels * C);
    float *v = malloc(bytes);
    double *sums = malloc(sizeof *sums * (size_t)(2 * C));
    for (int which = 0; which < TAKES; which++) {
        const trit_take t = take_of(&o, which);
        memcpy(v, o.v, bytes);
        assert_int_equal(trit_rows_take_all(&t, pixels, v, sums), TRIT_OK);
        check_taken_values(&t, pixels, o.v, v, sums, 1e-5);
    }
    free(v), free(sums);
    release(&o);
}

static void rows_are_taken_and_summed(void **state) {
    (void)state;
    for_every_level(check_taken);
}

/* Three images of 5 x 7 pixels from every second or third pixel, of more channels than are read. */
static void check_sparse(int64_t C, int64_t stride) {
    enum { N = 3, H = 5, W = 7, PIXELS = N * H * W, CUT = 31 };
    const int64_t P = (H + stride - 1) / stride, Q = (W + stride - 1) / stride, more = C + 3;
    const size_t bytes = sizeof(float) * (size_t)(PIXELS * C);
    operands o = operands_of(PIXELS, C);
    float *few = normal(N * P * Q * more, 7), *whole = calloc(1, bytes), *got = malloc(bytes);
    for (int64_t i = 0; i < PIXELS; i++) {
        const int64_t n = i / (H * W), h = i / W % H, w = i % W;
        if (h % stride || w % stride) continue;
        const float *from = few + ((n * P + h / stride) * Q + w / stride) * more;
        memcpy(whole + i * C, from, sizeof(float) * (size_t)C);
    }
    const trit_sparse sparse = {stride, H, W, more};
    const trit_make m = {.C = C, .p = few, .sparse = sparse};
    trit_rows_make(&m, 0, CUT, got); /* in two pieces that part a line */
    trit_rows_make(&m, CUT, PIXELS - CUT, got + CUT * C);
    assert_memory_equal(got, whole, bytes);
    double *sums = malloc(sizeof *sums * (size_t)(2 * C));
    for (int which = 3; which <= 6; which++) {
        trit_take t = take_of(&o, which);
        if (!t.add) continue;
        t.add = few;
        t.sparse = sparse;
        memcpy(got, o.v, bytes);
        assert_int_equal(trit_rows_take_all(&t, PIXELS, got, sums), TRIT_OK);
        t.add = whole;
        t.sparse.stride = 0;
        check_taken_values(&t, PIXELS, o.v, got, sums, 1e-5);
    }
    free(few), free(whole), free(got), free(sums);
    release(&o);
}

static void sparse_arrays_are_read_as_whole_ones(void **state) {
    (void)state;
    for (int64_t C = 1; C < 70; C += 17)
        for (int64_t stride = 1; stride <= 3; stride++) check_sparse(C, stride);
}

static void nan_is_neither_made_nor_taken_away(void **state) {
    (void)state;
    operands o = operands_of(4, 16);
    o.p[5] = NAN;
    float v[64];
    const trit_make m = make_of(&o, 1);
    trit_rows_make_all(&m, 4, v);
    assert_true(isnan(v[5]));
    double sums[32];
    const trit_take t = take_of(&o, 0);
    assert_int_equal(trit_rows_take_all(&t, 4, v, sums), TRIT_OK);
    assert_true(isnan(sums[5]) && !isnan(sums[6]));
    release(&o);
}

/* ------------------------------------------------------------- along convolutions */

typedef struct {
    int64_t N, H, W, C, K, R, stride;
} shape;

static const shape shapes[] = {
    {3, 12, 9, 32, 16, 3, 1},    {5, 8, 8, 16, 32, 3, 1},   {2, 7, 7, 64, 64, 3, 1},
    {2, 13, 11, 160, 144, 3, 1}, {3, 9, 8, 16, 24, 3, 2},   {2, 6, 5, 5, 7, 3, 1},
    {4, 6, 6, 32, 16, 1, 1},     {1, 32, 32, 16, 16, 3, 1}, {2, 14, 13, 3, 64, 7, 2},
    {2, 7, 9, 32, 40, 1, 2},     {1, 5, 5, 64, 128, 3, 2},
};

static trit_conv_geom geometry(const shape *s) {
    trit_conv_geom g = {.N = s->N,
                        .H = s->H,
                        .W = s->W,
                        .C = s->C,
                        .K = s->K,
                        .R = s->R,
                        .S = s->R,
                        .stride_h = s->stride,
                        .stride_w = s->stride,
                        .pad_h = s->R / 2,
                        .pad_w = s->R / 2,
                        .dil_h = 1,
                        .dil_w = 1,
                        .G = 1};
    g.P = (g.H + 2 * g.pad_h - g.R) / s->stride + 1;
    g.Q = (g.W + 2 * g.pad_w - g.S) / s->stride + 1;
    return g;
}

static double difference(const float *a, const float *b, int64_t n) {
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        error += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return size > 0 ? sqrt(error / size) : error;
}

/* Everything along at once, against the passes one after the other; `made_x` of x's rows. */
static void check_convolution(const shape *s, int made_x) {
    const trit_conv_geom g = geometry(s);
    const int64_t in = g.N * g.H * g.W, out = g.N * g.P * g.Q;
    operands x = operands_of(in, g.C), y = operands_of(out, g.K);
    float *w = normal(g.R * g.S * g.C * g.K, 30);
    float *px = malloc(sizeof(float) * (size_t)(in * g.C));
    float *pdy = malloc(sizeof(float) * (size_t)(out * g.K));
    const trit_make mx = make_of(&x, made_x), mdy = make_of(&y, 6);
    trit_rows_make_all(&mx, in, px);
    trit_rows_make_all(&mdy, out, pdy);

    double *sums = malloc(sizeof *sums * (size_t)(2 * (g.C + g.K)));
    float *a = malloc(sizeof(float) * (size_t)(out * g.K)),
          *b = malloc(sizeof(float) * (size_t)(out * g.K));
    const trit_take plain = {.C = g.K}, cut = take_of(&x, 1),
                    joined = take_of(&x, made_x == 1 ? 4 : 8);
    trit_conv_along along = {.x = &mx, .take = &plain, .sums = sums};
    assert_int_equal(trit_conv_forward(&g, px, w, a, NULL), TRIT_OK);
    assert_int_equal(trit_conv_forward(&g, NULL, w, b, &along), TRIT_OK);
    assert_true(difference(b, a, out * g.K) < 1e-6);
    check_taken_values(&plain, out, b, b, sums, 1e-5);

    float *dx = malloc(sizeof(float) * (size_t)(in * g.C)),
          *dx2 = malloc(sizeof(float) * (size_t)(in * g.C));
    float *dw = malloc(sizeof(float) * (size_t)(g.R * g.S * g.C * g.K));
    float *dw2 = malloc(sizeof(float) * (size_t)(g.R * g.S * g.C * g.K));
    assert_int_equal(trit_conv_backward_data(&g, pdy, w, dx, NULL), TRIT_OK);
    assert_int_equal(trit_conv_backward_weight(&g, px, pdy, dw, NULL), TRIT_OK);
    for (int both = 0; both < 2; both++) {
        const trit_take *take = both ? &joined : &cut;
        along = (trit_conv_along){.x = &mx, .dy = &mdy, .take = take, .sums = sums};
        if (both) {
            assert_int_equal(trit_conv_backward(&g, NULL, NULL, w, dx2, dw2, &along), TRIT_OK);
        } else {
            assert_int_equal(trit_conv_backward_data(&g, NULL, w, dx2, &along), TRIT_OK);
            assert_int_equal(trit_conv_backward_weight(&g, NULL, NULL, dw2, &along), TRIT_OK);
        }
        assert_true(difference(dw2, dw, g.R * g.S * g.C * g.K) < 1e-6);
        check_taken_values(take, in, dx, dx2, sums, 2e-4);
    }
    free(w), free(px), free(pdy), free(sums), free(a), free(b);
    free(dx), free(dx2), free(dw), free(dw2);
    release(&x), release(&y);
}

static void convolutions_take_rows_along(void **state) {
    (void)state;
    const trit_isa best = trit_isa_level();
    for (int level = 0; level <= (int)best; level++) {
        assert_int_equal(trit_isa_force((trit_isa)level), TRIT_OK);
        for (int i = 0; i < (int)(sizeof shapes / sizeof *shapes); i++)
            for (int made_x = 1; made_x < MAKES; made_x += 7) check_convolution(&shapes[i], made_x);
    }
    assert_int_equal(trit_isa_force(best), TRIT_OK);
}

static void sums_have_the_same_bits_for_any_thread_count(void **state) {
    (void)state;
    const trit_conv_geom g = geometry(&shapes[7]);
    operands x = operands_of(g.N * g.H * g.W, g.C);
    float *w = normal(9 * g.C * g.K, 30), *y = malloc(sizeof *y * (size_t)(g.N * g.P * g.Q * g.K));
    const trit_take plain = {.C = g.K};
    double sums[3][32];
    for (int threads = 1; threads <= 3; threads++) {
        assert_int_equal(trit_set_threads(threads), TRIT_OK);
        const trit_conv_along along = {.take = &plain, .sums = sums[threads - 1]};
        assert_int_equal(trit_conv_forward(&g, x.p, w, y, &along), TRIT_OK);
    }
    assert_memory_equal(sums[1], sums[0], sizeof sums[0]);
    assert_memory_equal(sums[2], sums[0], sizeof sums[0]);
    free(w), free(y);
    release(&x);
}

int main(void) {
    if (trit_init() != TRIT_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_made_as_described),
        cmocka_unit_test(rows_are_taken_and_summed),
        cmocka_unit_test(sparse_arrays_are_read_as_whole_ones),
        cmocka_unit_test(nan_is_neither_made_nor_taken_away),
        cmocka_unit_test(convolutions_take_rows_along),
        cmocka_unit_test(sums_have_the_same_bits_for_any_thread_count),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
