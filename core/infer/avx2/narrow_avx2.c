/*
 * narrow_avx2.c - dot products of at most 16 rows by vpmaddubsw; see tile_avx2.h.
 *
 * Layers of few channels: weights are kept as signed bytes, and a tile is 6 pixels x 16 rows, so
 * that no half of a block of 32 rows is computed for nothing.  64 groups of two products stay below
 * 2^15, as in dot_avx2.c.
 */
#include "infer/avx2/tile_avx2.h"
#include "infer/dot.h"

#define NARROW 16 /* rows */
#define SIX    6  /* pixels */
#define CHUNK  64 /* groups */
#define K_MAX  (INT64_C(1) << 22)

/* nn pixels over n groups; the sums go (first) to or are added to acc. */
INLINE void narrow_tile(const int8_t *w, const uint8_t *x, int64_t step, const int32_t *offset,
                        int64_t n, int32_t *acc, bool first, const int nn) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i low[SIX], high[SIX];
#pragma GCC unroll 6
    for (int i = 0; i < nn; i++) low[i] = high[i] = _mm256_setzero_si256();
    for (int64_t g = 0; g < n; g++, w += 4 * NARROW) {
        const uint8_t *q = x + offset[g], *q3 = q + 3 * step;
#pragma GCC unroll 6
        for (int i = 0; i < nn; i++) {
            const __m256i b = broadcast((i < 3 ? q : q3) + i % 3 * step);
            add_pairs(&low[i], b, w);
            add_pairs(&high[i], b, w + 32);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < nn; i++) {
        __m256i *to = (__m256i *)(void *)(acc + i * NARROW);
        __m256i a = _mm256_madd_epi16(low[i], ones), b = _mm256_madd_epi16(high[i], ones);
        if (!first) a = _mm256_add_epi32(a, _mm256_loadu_si256(to));
        if (!first) b = _mm256_add_epi32(b, _mm256_loadu_si256(to + 1));
        _mm256_storeu_si256(to, a);
        _mm256_storeu_si256(to + 1, b);
    }
}

#define SIZED(n)                                                                                   \
    __attribute__((noinline)) static void narrow_##n(const int8_t *w, const uint8_t *x,            \
                                                     int64_t step, const int32_t *offset,          \
                                                     int64_t groups, int32_t *acc, bool first) {   \
        narrow_tile(w, x, step, offset, groups, acc, first, n);                                    \
    }
SIZED(1)
SIZED(2)
SIZED(3)
SIZED(4)
SIZED(5)
SIZED(6)

static void dot(const trit_dot_shape *s, const uint8_t *packed, const uint8_t *x, int64_t width,
                int64_t height, const int32_t *sums, int32_t *acc, void *scratch) {
    static void (*const tiles[])(const int8_t *, const uint8_t *, int64_t, const int32_t *, int64_t,
                                 int32_t *, bool) = {NULL,     narrow_1, narrow_2, narrow_3,
                                                     narrow_4, narrow_5, narrow_6};
    const int64_t n_tiles = (width + SIX - 1) / SIX;
    (void)sums;
    (void)scratch;
    for (int64_t row = 0; row < height; row++, x += s->row_step)
        for (int64_t t = 0, p = 0; t < n_tiles; t++) { /* as even as possible */
            const int64_t n = (width - p + n_tiles - t - 1) / (n_tiles - t);
            for (int64_t g = 0; g < s->groups; g += CHUNK)
                tiles[n]((const int8_t *)packed + g * 4 * NARROW, x + p * s->step, s->step,
                         s->offset + g, s->groups - g < CHUNK ? s->groups - g : CHUNK, acc, g == 0);
            acc += n * NARROW;
            p += n;
        }
}

static bool supported(void) { return trit_isa_level() >= TRIT_ISA_AVX2; }

static void pack(const trit_dot_shape *s, const int8_t *w, int64_t rows, uint8_t *packed) {
    trit_dot_pack_s16(s, w, rows, NARROW, packed);
}

const trit_dot_set trit_dot_avx2n = {.name = "avx2n",
                                     .max_rows = NARROW,
                                     .block = NARROW,
                                     .pixels = 128,
                                     .max_k = K_MAX,
                                     .supported = supported,
                                     .block_bytes = 4 * NARROW,
                                     .pack = pack,
                                     .dot = dot};
