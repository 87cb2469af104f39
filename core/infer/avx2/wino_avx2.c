/*
 * wino_avx2.c - Winograd F(2,3) by vpmaddubsw, position after position; see wino.h and tile_avx2.h.
 *
 * A run of groups at a time is expanded and added in 16 bits; packed blocks say how long the runs
 * of their positions are (run_avx2.h): [WINO_PLANES] int32 behind the constants.
 */
#include "infer/avx2/run_avx2.h"
#include "infer/wino.h"

#define SURE      64             /* groups of a run that holds for any weights */
#define SURE_WIDE 21             /* positions 1 and 2, |u| <= 3: 21 x 2 x 3 <= 128 */
#define PAIRS     112            /* of one walk over the weights */
#define M         (PAIRS * ROWS) /* sums of a position */

INLINE void store_signed(int8_t *s, __m256i code, __m256i zero) {
    _mm256_store_si256((__m256i *)(void *)s, _mm256_sub_epi8(code, zero));
}

static void expand_wide(const uint8_t *w, int64_t n, int8_t *s) {
    const __m256i low = _mm256_set1_epi8(15), three = _mm256_set1_epi8(3);
    for (int64_t g = 0; g < 2 * n; g++, w += ROWS, s += 2 * ROWS) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)w);
        store_signed(s, _mm256_and_si256(x, low), three);
        store_signed(s + ROWS, _mm256_and_si256(_mm256_srli_epi16(x, 4), low), three);
    }
}

/* n groups of all pairs; the sums go (first) to m or are added. */
static void groups(const int8_t *s, const uint8_t *x, int64_t step, int64_t pairs,
                   const int32_t *offset, int64_t n, int32_t *m, bool first) {
    for (; pairs >= TILE; pairs -= TILE, x += TILE * step, m += TILE * ROWS)
        tile_2(s, x, step, offset, n, m, first);
    if (pairs) tile_1(s, x, step, offset, n, m, first);
}

static void position(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, int64_t pairs,
                     bool wide, int64_t run, int8_t *expanded, int32_t *m) {
    for (int64_t g = 0; g < s->groups; g += run) {
        const int64_t n = s->groups - g < run ? s->groups - g : run;
        if (wide)
            expand_wide(w + g * 2 * ROWS, n, expanded);
        else
            expand(w + g * ROWS, n, expanded);
        groups(expanded, x, s->step, pairs, s->offset + g, n, m, g == 0);
    }
}

INLINE __m256i load(const int32_t *v) {
    return _mm256_loadu_si256((const __m256i *)(const void *)v);
}

INLINE void store(int32_t *to, __m256i v) { _mm256_storeu_si256((__m256i *)(void *)to, v); }

static void combine(int64_t pairs, const int32_t *m, const int32_t *c, int32_t *acc) {
    for (int64_t p = 0; p < pairs; p++, m += ROWS, acc += 2 * ROWS)
        for (int64_t r = 0; r < ROWS; r += 8) {
            const __m256i m1 = load(m + M + r), m2 = load(m + 2 * M + r);
            __m256i y0 = _mm256_srai_epi32(_mm256_add_epi32(m1, m2), 1);
            __m256i y1 = _mm256_srai_epi32(_mm256_sub_epi32(m1, m2), 1);
            y0 = _mm256_add_epi32(y0, load(m + r));
            y1 = _mm256_sub_epi32(y1, load(m + 3 * M + r));
            store(acc + r, _mm256_add_epi32(y0, load(c + r)));
            store(acc + ROWS + r, _mm256_add_epi32(y1, load(c + ROWS + r)));
        }
}

static bool is_wide(int t) { return t == 1 || t == 2; }

/* Where the parts of a packed block lie. */
typedef struct {
    const uint8_t *w[WINO_PLANES];
    const int32_t *c; /* [2][ROWS] constants */
    int32_t *run;     /* [WINO_PLANES] */
} parts;

static parts parts_of(const trit_wino_shape *s, const uint8_t *packed) {
    const int64_t narrow = s->dot.groups * ROWS;
    return (parts){.w = {packed + 4 * narrow, packed, packed + 2 * narrow, packed + 5 * narrow},
                   .c = (const int32_t *)(const void *)(packed + 6 * narrow),
                   .run = (int32_t *)(void *)(packed + trit_wino_bytes_w8(s))};
}

static size_t bytes(const trit_wino_shape *s) {
    return trit_wino_bytes_w8(s) + WINO_PLANES * sizeof(int32_t);
}

static void pack(const trit_wino_shape *s, const int8_t *w, int64_t rows, uint8_t *packed) {
    trit_wino_pack_w8(s, w, rows, packed);
    const parts p = parts_of(s, packed);
    for (int t = 0; t < WINO_PLANES; t++)
        p.run[t] = is_wide(t) ? longest_run(p.w[t], s->dot.groups, SURE_WIDE, expand_wide, 2 * ROWS)
                              : longest_run(p.w[t], s->dot.groups, SURE, expand, ROWS);
}

static void dot(const trit_wino_shape *s, const uint8_t *packed, const uint8_t *v, int64_t pairs,
                const int32_t *sums, int32_t *acc, void *scratch) {
    const parts b = parts_of(s, packed);
    int8_t *expanded = scratch;
    int32_t *m = (int32_t *)(void *)(expanded + MOST_RUN * 4 * ROWS);
    (void)sums;
    for (int64_t p = 0; p < pairs; p += PAIRS, v += PAIRS * s->dot.step, acc += 2 * PAIRS * ROWS) {
        const int64_t n = pairs - p < PAIRS ? pairs - p : PAIRS;
        for (int t = 0; t < WINO_PLANES; t++)
            position(&s->dot, b.w[t], v + t * s->plane, n, is_wide(t), b.run[t], expanded,
                     m + t * M);
        combine(n, m, b.c, acc);
    }
}

static bool supported(void) { return trit_isa_level() >= TRIT_ISA_AVX2; }

const trit_wino_set trit_wino_avx2 = {.name = "avx2",
                                      .block = ROWS,
                                      .pairs = PAIRS,
                                      .least_rows = 17,
                                      .scratch =
                                          MOST_RUN * 4 * ROWS + WINO_PLANES * M * sizeof(int32_t),
                                      .supported = supported,
                                      .bytes = bytes,
                                      .pack = pack,
                                      .dot = dot};
