/* Every set of integer Winograd F(2,3) against plain sums of the same convolution: tile and block
 * edges, odd widths, channels that are no multiple of a vector, worst values, guard bands; and how
 * units are spread over workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/finish.h"
#include "infer/spread.h"
#include "infer/wino.h"

#define GUARD 0x5a5a5a5a
enum { BAND = 64, TOP = 127 };

static uint64_t counter;
static uint32_t draw(uint32_t below) {
    uint32_t r[4];
    trit_rng(23, TRIT_STREAM_USER, counter++, 0, r);
    return r[0] % below;
}

/* The worst signs make every product of one position as large as it gets: +++ position 1, +-+
 * position 2, and with pixels top 0 0 top ... or 0 top ... the differences of positions 0 and 3. */
enum { RANDOM, PLUS, MINUS, MIXED, STEPS, FILLS, EDGE = 1000 };

/* From EDGE on: how - EDGE first taps +1 (odd rows: -1) among the first two of every four channels
 * of the kernel, as evenly as possible, the others 0, and the pixels of STEPS. */
static int edge_weight(int64_t c, int64_t row, int64_t C, int count) {
    const int64_t lanes = C / 2, at = c / 4 * 2 + c % 4;
    if (c % 4 > 1 || (at + 1) * count / lanes == at * count / lanes) return 0;
    return row % 2 ? -1 : 1;
}

typedef struct {
    int64_t C, R, width, height, rows; /* width, height of the results */
} grid;

static void fill(const grid *d, int how, int8_t *w, uint8_t *x) {
    const int64_t n = 3 * d->C, pixels = (d->width + 2) * (d->height + d->R - 1);
    for (int64_t i = 0; i < d->rows * d->R * n; i++) {
        const int64_t tap = i / d->C % 3;
        const int sign = how == MINUS || (how == MIXED && tap == 1) || (how == STEPS && tap == 2);
        w[i] = (int8_t)(how == RANDOM ? (int)draw(3) - 1 : sign ? -1 : 1);
        if (how >= EDGE)
            w[i] = (int8_t)(tap ? 0 : edge_weight(i % d->C, i / (d->R * n), d->C, how - EDGE));
    }
    for (int64_t i = 0; i < pixels * d->C; i++) {
        const int64_t column = i / d->C % (d->width + 2);
        const int step = how == MIXED ? column % 2 == 0 : column / 2 % 2 == 0;
        x[i] = (uint8_t)(how == RANDOM ? draw(TOP + 1) : how < MIXED || step ? TOP : 0);
    }
}

/* Result `row` of pixel (p, q). */
static int32_t plain(const grid *d, const int8_t *w, const uint8_t *x, int64_t p, int64_t q,
                     int64_t row) {
    int32_t sum = 0;
    for (int64_t y = 0; y < d->R; y++)
        for (int64_t i = 0; i < 3 * d->C; i++)
            sum +=
                w[(row * d->R + y) * 3 * d->C + i] * x[((p + y) * (d->width + 2) + q) * d->C + i];
    return sum;
}

/* Bytes that end exactly where reading must. */
static uint8_t *planes_of(const grid *d, const trit_wino_shape *s, const uint8_t *x) {
    const int64_t bytes = (WINO_PLANES * s->plane + 3) & ~(int64_t)3;
    uint8_t *v = malloc((size_t)bytes + 3);
    memset(v, 0x99, (size_t)bytes + 3);
    for (int64_t r = 0; r < d->height + d->R - 1; r++)
        trit_finish()->wino_planes((d->width + 1) / 2, d->C, d->width + 2, s->plane,
                                   x + r * (d->width + 2) * d->C, v + r * s->dot.row_step);
    assert_int_equal(v[WINO_PLANES * s->plane], 0x99);
    return v;
}

static int32_t *sums_of(const grid *d, const uint8_t *x) {
    const int64_t pairs = (d->width + 1) / 2;
    int32_t *sums = calloc((size_t)(2 * pairs * d->height), sizeof *sums);
    for (int64_t p = 0; p < d->height; p++)
        for (int64_t q = 0; q < d->width; q++)
            for (int64_t y = 0; y < d->R; y++)
                for (int64_t c = 0; c < d->C; c++) { /* d0 + 2 d2, or 2 d1 + d3 */
                    const uint8_t *at = x + ((p + y) * (d->width + 2) + q) * d->C + c;
                    sums[2 * pairs * p + q] +=
                        q % 2 ? 2 * at[0] + at[2 * d->C] : at[0] + 2 * at[2 * d->C];
                }
    return sums;
}

static void compare(const trit_wino_set *set, const grid *d, const int8_t *w, const uint8_t *x,
                    const int32_t *acc) {
    const int64_t wide = (d->width + 1) / 2 * 2;
    for (int64_t p = 0; p < d->height; p++)
        for (int64_t q = 0; q < d->width; q++)
            for (int64_t r = 0; r < d->rows; r++) {
                const int32_t got = acc[(p * wide + q) * set->block + r];
                const int32_t want = plain(d, w, x, p, q, r);
                if (got != want)
                    fail_msg("%s: %d channels, %d kernel rows, grid %d x %d, pixel %d %d, row %d: "
                             "%d, not %d",
                             set->name, (int)d->C, (int)d->R, (int)d->width, (int)d->height, (int)p,
                             (int)q, (int)r, got, want);
            }
}

/* One block of d->rows rows. */
static void check_grid(const trit_wino_set *set, const grid *d, int how) {
    const int64_t per = (d->C + 3) / 4, pairs = (d->width + 1) / 2, groups = d->R * per;
    int32_t *offset = malloc((size_t)groups * sizeof *offset);
    for (int64_t g = 0; g < groups; g++)
        offset[g] = (int32_t)(g / per * pairs * d->C + g % per * 4);
    const trit_wino_shape s = {{d->R, d->C, groups, offset, d->C, pairs * d->C},
                               (d->height + d->R - 1) * pairs * d->C};
    uint8_t *x = malloc((size_t)((d->width + 2) * (d->height + d->R - 1) * d->C));
    int8_t *w = malloc((size_t)(d->rows * d->R * 3 * d->C));
    fill(d, how, w, x);
    uint8_t *v = planes_of(d, &s, x),
            *packed = aligned_alloc(64, (set->bytes(&s) + 127) & ~(size_t)63);
    memset(packed, GUARD & 0xff, set->bytes(&s) + 1);
    set->pack(&s, w, d->rows, packed);
    assert_int_equal(packed[set->bytes(&s)], GUARD & 0xff);
    const int64_t n = 2 * pairs * d->height * set->block;
    int32_t *acc = malloc((size_t)(n + 2 * BAND) * sizeof *acc), *sums = sums_of(d, x);
    for (int64_t i = 0; i < n + 2 * BAND; i++) acc[i] = GUARD;
    void *scratch = aligned_alloc(64, (set->scratch + 127) & ~(size_t)63);
    set->dot(&s, packed, v, pairs * d->height, set->sums ? sums : NULL, acc + BAND, scratch);
    for (int i = 0; i < BAND; i++)
        if (acc[i] != GUARD || acc[BAND + n + i] != GUARD)
            fail_msg("%s wrote outside of its sums", set->name);
    compare(set, d, w, x, acc + BAND);
    free(scratch);
    free(sums);
    free(acc);
    free(packed);
    free(v);
    free(w);
    free(x);
    free(offset);
}

static void check_set(const trit_wino_set *set) {
    static const int64_t channels[] = {1, 2, 3, 4, 5, 16, 21, 48, 64, 65, 132};
    for (size_t c = 0; c < sizeof channels / sizeof *channels; c++)
        for (int64_t width = 1; width <= 18; width += width < 9 ? 1 : 3)
            for (int64_t R = 1; R <= 3; R += 2) {
                const grid d = {.C = channels[c],
                                .R = R,
                                .width = width,
                                .height = 1 + (width + (int64_t)c) % 3,
                                .rows = 1 + draw((uint32_t)set->block)};
                check_grid(set, &d, RANDOM);
            }
    for (int how = PLUS; how < FILLS; how++) { /* long enough to overflow any lazy sum */
        check_grid(set, &(grid){512, 3, 7, 3, set->block}, how);
        check_grid(set, &(grid){2050, 3, 5, 1, set->block}, how);
    }
    for (int count = 120; count <= 140; count++)
        for (int64_t groups = 65; groups <= 320; groups += 51)
            check_grid(set, &(grid){4 * groups, 1, 6, 1, set->block}, EDGE + count);
    check_grid(set, &(grid){16, 3, 30, 14, set->block}, RANDOM); /* more than one walk */
}

static void sets_are_exact(void **state) {
    (void)state;
    for (int i = 0; trit_wino_sets[i]; i++) {
        for (int level = TRIT_ISA_AVX512; level >= 0; level--)
            if (trit_isa_force((trit_isa)level) == TRIT_OK && trit_wino_sets[i]->supported()) break;
        if (trit_wino_sets[i]->supported())
            check_set(trit_wino_sets[i]);
        else
            print_message("%s is not supported here: skipped\n", trit_wino_sets[i]->name);
    }
}

static void choice_fits(void **state) {
    (void)state;
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        for (int64_t rows = 1; rows < 200; rows += 7) {
            const trit_wino_set *s = trit_wino_choose(rows, 64, 3);
            assert_true(!s || (s->supported() && rows >= s->least_rows));
            assert_true(!s == (level == TRIT_ISA_GENERIC) || rows < 64);
            assert_null(trit_wino_choose(rows, 8192, 3)); /* coded sums could overflow */
        }
    }
}

/* Planes on every level, with the pixel past the row's end never read. */
static void planes_are_the_same(void **state) {
    (void)state;
    for (int64_t C = 1; C < 150; C += 13)
        for (int64_t width = 1; width < 6; width++) {
            const int64_t pairs = (width + 1) / 2, n = pairs * C;
            uint8_t *x = malloc((size_t)((width + 2) * C)), *want = NULL;
            for (int64_t i = 0; i < (width + 2) * C; i++) x[i] = (uint8_t)draw(TOP + 1);
            for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
                if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
                uint8_t *v = malloc((size_t)(4 * n));
                trit_finish()->wino_planes(pairs, C, width + 2, n, x, v);
                for (int64_t i = 0; i < n && level == 0; i++) {
                    const uint8_t *d0 = x + i / C * 2 * C + i % C;
                    assert_int_equal(v[i], d0[0] - d0[2 * C] + 128);
                    assert_int_equal(v[n + i], d0[C] + d0[2 * C]);
                    assert_int_equal(v[2 * n + i], d0[2 * C] - d0[C] + 128);
                    if (i / C * 2 + 1 < width)
                        assert_int_equal(v[3 * n + i], d0[C] - d0[3 * C] + 128);
                }
                if (want) assert_memory_equal(v, want, (size_t)(4 * n));
                if (want)
                    free(v);
                else
                    want = v;
            }
            free(want);
            free(x);
        }
}

static void count_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    ((unsigned char *)context)[unit]++; /* one unit, one worker: no two write the same */
}

static void every_unit_runs_once(void **state) {
    (void)state;
    const int before = trit_threads();
    for (int threads = 1; threads <= 3; threads++) {
        assert_int_equal(trit_set_threads(threads), TRIT_OK);
        for (int64_t units = 0; units < 200; units += units < 8 ? 1 : 37) {
            unsigned char seen[200] = {0};
            trit_spread(units, count_unit, seen);
            for (int64_t u = 0; u < 200; u++) assert_int_equal(seen[u], u < units);
        }
    }
    assert_int_equal(trit_set_threads(before), TRIT_OK);
}

static int start(void **state) {
    (void)state;
    return trit_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_exact),
        cmocka_unit_test(choice_fits),
        cmocka_unit_test(planes_are_the_same),
        cmocka_unit_test(every_unit_runs_once),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
