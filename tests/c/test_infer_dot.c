/* Every set of integer dot products against plain sums: tile and block edges, odd lengths, worst
 * values, guard bands; every finish kernel gives the bits of the generic one; golden vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "infer/dot.h"
#include "infer/finish.h"
#include "trit/infer.h"

#define GUARD 0x5a5a5a5a
enum { BAND = 64 };

static uint64_t counter;
static uint32_t draw(uint32_t below) {
    uint32_t r[4];
    trit_rng(17, TRIT_STREAM_USER, counter++, 0, r);
    return r[0] % below;
}

/* From EDGE on: how - EDGE weights +1 (odd rows: -1) among the first two of every four of a row, as
 * evenly as possible, the others 0: where sums of 16 bits overflow if a set takes one too many. */
enum { RANDOM, WORST_PLUS, WORST_MINUS, FILLS, EDGE = 1000 };

static int edge_weight(int64_t i, int64_t row, int64_t length, int count) {
    const int64_t lanes = length / 2, at = i / 4 * 2 + i % 4;
    if (i % 4 > 1 || (at + 1) * count / lanes == at * count / lanes) return 0;
    return row % 2 ? -1 : 1;
}

static void fill_weights(int8_t *w, int64_t rows, int64_t length, int how) {
    for (int64_t i = 0; i < rows * length; i++)
        w[i] = (int8_t)(how >= EDGE     ? edge_weight(i % length, i / length, length, how - EDGE)
                        : how == RANDOM ? (int)draw(3) - 1
                        : how == WORST_PLUS ? 1
                                            : -1);
}

typedef struct {
    int64_t rows, segments, length, width, height, step, row_step, gap;
} grid;

static int32_t plain(const grid *d, const int8_t *w, const uint8_t *x, int64_t p, int64_t r) {
    int32_t sum = 0;
    x += p / d->width * d->row_step + p % d->width * d->step;
    for (int64_t s = 0; s < d->segments; s++)
        for (int64_t i = 0; i < d->length; i++)
            sum += w[(r * d->segments + s) * d->length + i] * x[s * d->gap + i];
    return sum;
}

/* One block of d->rows rows on one grid; x ends exactly 3 bytes after what may be read. */
static void check_grid(const trit_dot_set *set, const grid *d, int how) {
    const int64_t per = (d->length + 3) / 4, groups = per * d->segments;
    const int64_t pixels = d->width * d->height;
    int32_t *offset = malloc((size_t)groups * sizeof *offset);
    for (int64_t g = 0; g < groups; g++) offset[g] = (int32_t)(g / per * d->gap + g % per * 4);
    const trit_dot_shape s = {d->segments, d->length, groups, offset, d->step, d->row_step};
    const int64_t bytes = (d->height - 1) * d->row_step + (d->width - 1) * d->step +
                          (d->segments - 1) * d->gap + per * 4;
    uint8_t *x = malloc((size_t)bytes);
    for (int64_t i = 0; i < bytes; i++) x[i] = how == RANDOM ? (uint8_t)draw(256) : 255;
    int8_t *w = malloc((size_t)(d->rows * d->segments * d->length));
    fill_weights(w, d->rows, d->segments * d->length, how);
    const size_t block_bytes = (size_t)groups * set->block_bytes + set->more_bytes;
    uint8_t *packed = aligned_alloc(64, (block_bytes + 127) & ~(size_t)63);
    set->pack(&s, w, d->rows, packed);
    int32_t *acc = malloc((size_t)(pixels * set->block + 2 * BAND) * sizeof *acc);
    for (int64_t i = 0; i < pixels * set->block + 2 * BAND; i++) acc[i] = GUARD;
    int32_t *sums = malloc((size_t)pixels * sizeof *sums);
    for (int64_t p = 0; p < pixels; p++) {
        sums[p] = 0;
        const uint8_t *q = x + p / d->width * d->row_step + p % d->width * d->step;
        for (int64_t k = 0; k < d->segments * d->length; k++)
            sums[p] += q[k / d->length * d->gap + k % d->length];
    }
    void *scratch = aligned_alloc(64, (set->scratch + 127) & ~(size_t)63);
    set->dot(&s, packed, x, d->width, d->height, set->sums ? sums : NULL, acc + BAND, scratch);
    for (int i = 0; i < BAND; i++)
        if (acc[i] != GUARD || acc[BAND + pixels * set->block + i] != GUARD)
            fail_msg("%s wrote outside of its sums", set->name);
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t r = 0; r < d->rows; r++) {
            const int32_t got = acc[BAND + p * set->block + r], want = plain(d, w, x, p, r);
            if (got != want)
                fail_msg("%s: rows %d, %d x %d numbers, grid %d x %d, pixel %d, row %d: %d, not %d",
                         set->name, (int)d->rows, (int)d->segments, (int)d->length, (int)d->width,
                         (int)d->height, (int)p, (int)r, got, want);
        }
    free(scratch);
    free(sums);
    free(acc);
    free(packed);
    free(w);
    free(x);
    free(offset);
}

static void check_set(const trit_dot_set *set) {
    static const int64_t lengths[] = {1, 2, 3, 4, 5, 9, 16, 21, 48, 64, 65, 192};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int64_t width = 1; width <= 18; width += width < 9 ? 1 : 3)
            for (int64_t segments = 1; segments <= 3; segments += 2) {
                const int64_t length = lengths[l], height = 1 + (width + (int64_t)l) % 3;
                const int64_t step = 1 + draw(9), gap = length + draw(7);
                const grid d = {.rows = 1 + draw((uint32_t)set->block),
                                .segments = segments,
                                .length = length,
                                .width = width,
                                .height = height,
                                .step = step,
                                .row_step = width * step + draw(5),
                                .gap = gap};
                check_grid(set, &d, RANDOM);
            }
    for (int how = WORST_PLUS; how < FILLS; how++) { /* long enough to overflow any lazy sum */
        check_grid(set, &(grid){set->block, 3, 1536, 5, 2, 4, 40, 1540}, how);
        check_grid(set, &(grid){set->block, 1, 4099, 1, 1, 1, 1, 0}, how);
    }
    for (int count = 120; count <= 140; count++)
        for (int64_t groups = 65; groups <= 320; groups += 51)
            check_grid(set, &(grid){set->block, 1, 4 * groups, 5, 1, 3, 40, 0}, EDGE + count);
}

static void sets_are_exact(void **state) {
    (void)state;
    int seen = 0;
    for (int i = 0; trit_dot_sets[i]; i++) {
        for (int level = TRIT_ISA_AVX512; level >= 0; level--)
            if (trit_isa_force((trit_isa)level) == TRIT_OK && trit_dot_sets[i]->supported()) break;
        if (!trit_dot_sets[i]->supported()) {
            print_message("%s is not supported here: skipped\n", trit_dot_sets[i]->name);
            continue;
        }
        check_set(trit_dot_sets[i]);
        seen++;
    }
    assert_true(seen >= 1);
}

static void choice_fits(void **state) {
    (void)state;
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        for (int64_t rows = 1; rows < 200; rows += 7) {
            const trit_dot_set *s = trit_dot_choose(rows, 576);
            assert_true(s->supported() && s->max_k >= 576);
            assert_ptr_equal(trit_dot_choose(rows, 100000)->max_k >= 100000 ? s : NULL, s);
        }
    }
}

/* ------------------------------------------------------------ finish kernels */

enum { ROWS = 37, PIXELS = 5, LD = 40, N = LD * PIXELS };

typedef struct {
    uint8_t bytes[N + 8], max[N + 8];
    float part[N + 8], floats[N + 8], restored[N + 8];
    int32_t sums[N + 8], depth[N + 8], pixel[N + 8];
    uint8_t quantized[N + 8];
} results;

static void all_kernels(const trit_finish_table *f, results *o) {
    static int32_t acc[N];
    static float scale[LD], bias[LD], x[N];
    static uint8_t q[N];
    static int8_t w[N];
    const int64_t offset[3] = {0, LD, 3 * LD};
    const int32_t taps[3] = {0, LD, 3 * LD};
    memset(o, 0x77, sizeof *o);
    for (int i = 0; i < N; i++) {
        acc[i] = (int32_t)((i * 7919) % 20011) - 10000;
        q[i] = (uint8_t)(i * 37);
        w[i] = (int8_t)(i % 3 - 1);
        x[i] = (float)((i * 101) % 977 - 400) * 0.013f;
    }
    for (int r = 0; r < LD; r++) {
        scale[r] = 0.01f + (float)r * 1.37e-4f;
        bias[r] = (float)r - 11.3f;
    }
    const trit_requant t = {ROWS, LD, scale, bias, 0.731f, 3, 251, LD, LD};
    f->partial(PIXELS, ROWS, LD, true, acc, scale, o->part);
    f->partial(PIXELS, ROWS, LD, false, acc, bias, o->part);
    f->requant(&t, PIXELS, acc, o->part, q, o->bytes);
    f->requant(&t, 1, acc, NULL, NULL, o->bytes);
    f->requant(&t, 1, acc, o->part, NULL, o->bytes + LD);
    f->requant(&t, 1, acc, NULL, q, o->bytes + 2 * LD);
    f->floats(&t, PIXELS, acc, o->part, q, o->floats);
    f->quantize(N, x, 41.7f, 101, 127, o->quantized);
    f->restore(N, q, 0.173f, 77, o->restored);
    f->max_bytes(3, offset, ROWS, q, o->max);
    f->sum_bytes(3, offset, ROWS, q, o->sums);
    f->pixel_sums(PIXELS - 1, LD, ROWS, q, o->pixel);
    f->depthwise(3, taps, ROWS, w, q, o->depth);
}

static void levels_give_the_same_bits(void **state) {
    (void)state;
    static results want, got;
    trit_isa_force(TRIT_ISA_GENERIC);
    all_kernels(trit_finish(), &want);
    assert_int_equal(want.quantized[N], 0x77); /* nothing behind the outputs */
    assert_int_equal(want.bytes[LD - 1], 0x77);
    assert_int_equal(want.max[ROWS], 0x77);
    int32_t sum = 0;
    for (int i = 0; i < ROWS; i++) sum += (uint8_t)((LD + i) * 37);
    assert_int_equal(want.pixel[1], sum);
    for (int level = 1; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        all_kernels(trit_finish(), &got);
        assert_memory_equal(&got, &want, sizeof want);
    }
}

/* One linear layer on every level: the same bits, and W x within the rounding of x. */
static void linear_layer(void **state) {
    (void)state;
    enum { R = 150, K = 333, COLS = 9 };
    static uint8_t codes[R * 84];
    static float x[COLS * K], y[COLS * R], first[COLS * R], scale[R];
    int8_t row[K];
    static int8_t w[R][K];
    assert_int_equal(trit_t2_bytes(K), 84);
    for (int r = 0; r < R; r++) {
        fill_weights(row, 1, K, RANDOM);
        memcpy(w[r], row, K);
        trit_t2_pack(row, K, codes + r * 84);
        scale[r] = 0.1f + 0.01f * (float)r;
    }
    trit_rng_fill_normal(3, TRIT_STREAM_USER, 0, 1, x, COLS * K);
    memset(x + 2 * K, 0, K * sizeof *x); /* a column of zeros */
    bool seen = false;
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        for (int n = 1; n <= COLS; n += 2) {
            if (COLS % n) continue;
            trit_linear *l = NULL;
            assert_int_equal(trit_linear_new(codes, R, K, scale, R, 8, &l), TRIT_OK);
            for (int c = 0; c < COLS; c += n)
                assert_int_equal(trit_linear_run(l, n, x + c * K, y + c * R), TRIT_OK);
            if (!seen) memcpy(first, y, sizeof y);
            seen = true;
            assert_memory_equal(y, first, sizeof y);
            trit_linear_close(l);
        }
    }
    for (int c = 0; c < COLS; c++)
        for (int r = 0; r < R; r++) {
            double sum = 0, most = 0;
            for (int k = 0; k < K; k++) {
                sum += (double)w[r][k] * x[c * K + k];
                most = fmax(most, fabs(x[c * K + k]));
            }
            assert_true(fabs(first[c * R + r] - scale[r] * sum) <=
                        scale[r] * most / 254 * sqrt(K) * 3 + 1e-6);
        }
}

static void rounding_is_to_even(void **state) {
    (void)state;
    const float x[6] = {0.5f, 1.5f, 2.5f, -3, 300, 254.5f};
    uint8_t q[6];
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        trit_finish()->quantize(6, x, 1, 0, 255, q);
        const uint8_t want[6] = {0, 2, 2, 0, 255, 254};
        assert_memory_equal(q, want, 6);
    }
}

static int start(void **state) {
    (void)state;
    return trit_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_exact),
        cmocka_unit_test(choice_fits),
        cmocka_unit_test(levels_give_the_same_bits),
        cmocka_unit_test(rounding_is_to_even),
        cmocka_unit_test(linear_layer),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
