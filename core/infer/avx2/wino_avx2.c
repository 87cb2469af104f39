/*
 * wino_avx2.c - Winograd F(2,3) by vpmaddubsw, position after position; see wino.h and tile_avx2.h.
 *
 * A pair of products adds at most 2 x 255 x |u| in magnitude: positions 1 and 2, |u| <= 3, take 21
 * groups in 16 bits (21 x 1530 = 32130), positions 0 and 3 a whole chunk (63 x 510 = 32130).
 */
#include "infer/avx2/tile_avx2.h"
#include "infer/wino.h"

#define CHUNK 63             /* groups expanded at a time */
#define FLUSH 21             /* groups whose 16-bit sums cannot overflow at |u| <= 3 */
#define PAIRS 112            /* of one walk over the weights */
#define M     (PAIRS * ROWS) /* sums of a position */

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

/* Functions of their own: in a larger one gcc keeps the weights' address on the stack. */
#define SIZED(nn)                                                                                  \
    __attribute__((noinline)) static void tile_##nn(const int8_t *s, const uint8_t *x,             \
                                                    int64_t step, const int32_t *offset,           \
                                                    int64_t n, int32_t *acc, bool first) {         \
        sized_tile(s, x, step, offset, n, acc, first, nn);                                         \
    }
SIZED(1)
SIZED(2)

/* n groups of all pairs; the sums go (first) to m or are added. */
static void groups(const int8_t *s, const uint8_t *x, int64_t step, int64_t pairs,
                   const int32_t *offset, int64_t n, int32_t *m, bool first) {
    for (; pairs >= TILE; pairs -= TILE, x += TILE * step, m += TILE * ROWS)
        tile_2(s, x, step, offset, n, m, first);
    if (pairs) tile_1(s, x, step, offset, n, m, first);
}

static void position(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, int64_t pairs,
                     bool wide, int8_t *expanded, int32_t *m) {
    for (int64_t g = 0; g < s->groups; g += CHUNK) {
        const int64_t n = s->groups - g < CHUNK ? s->groups - g : CHUNK;
        if (!wide) {
            expand(w + g * ROWS, n, expanded);
            groups(expanded, x, s->step, pairs, s->offset + g, n, m, g == 0);
            continue;
        }
        expand_wide(w + g * 2 * ROWS, n, expanded);
        for (int64_t i = 0; i < n; i += FLUSH)
            groups(expanded + i * 4 * ROWS, x, s->step, pairs, s->offset + g + i,
                   n - i < FLUSH ? n - i : FLUSH, m, g + i == 0);
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

static void dot(const trit_wino_shape *s, const uint8_t *packed, const uint8_t *v, int64_t pairs,
                const int32_t *sums, int32_t *acc, void *scratch) {
    const int64_t narrow = s->dot.groups * ROWS;
    const uint8_t *w[WINO_PLANES] = {packed + 4 * narrow, packed, packed + 2 * narrow,
                                     packed + 5 * narrow};
    const int32_t *c = (const int32_t *)(const void *)(packed + 6 * narrow);
    int8_t *expanded = scratch;
    int32_t *m = (int32_t *)(void *)(expanded + CHUNK * 4 * ROWS);
    (void)sums;
    for (int64_t p = 0; p < pairs; p += PAIRS, v += PAIRS * s->dot.step, acc += 2 * PAIRS * ROWS) {
        const int64_t n = pairs - p < PAIRS ? pairs - p : PAIRS;
        for (int t = 0; t < WINO_PLANES; t++)
            position(&s->dot, w[t], v + t * s->plane, n, t == 1 || t == 2, expanded, m + t * M);
        combine(n, m, c, acc);
    }
}

static bool supported(void) { return trit_isa_level() >= TRIT_ISA_AVX2; }

const trit_wino_set trit_wino_avx2 = {.name = "avx2",
                                      .block = ROWS,
                                      .pairs = PAIRS,
                                      .least_rows = 17,
                                      .scratch =
                                          CHUNK * 4 * ROWS + WINO_PLANES * M * sizeof(int32_t),
                                      .supported = supported,
                                      .bytes = trit_wino_bytes_w8,
                                      .pack = trit_wino_pack_w8,
                                      .dot = dot};
