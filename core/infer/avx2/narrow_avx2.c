/*
 * narrow_avx2.c - dot products of at most 16 rows by vpmaddubsw; see tile_avx2.h.
 *
 * Layers of few channels: weights are kept as signed bytes, and a tile is 4 pixels x 16 rows, so
 * that no half of a block of 32 rows is computed for nothing.  64 groups of two products stay below
 * 2^15, as in dot_avx2.c.
 */
#include "infer/avx2/tile_avx2.h"
#include "infer/dot.h"

#define NARROW 16 /* rows */
#define FOUR   4  /* pixels */
#define CHUNK  64 /* groups */
#define K_MAX  (INT64_C(1) << 22)

/* nn pixels over n groups; the sums go (first) to or are added to acc. */
INLINE void narrow_tile(const int8_t *w, const uint8_t *x, int64_t step, const int32_t *offset,
                        int64_t n, int32_t *acc, bool first, const int nn) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[FOUR][2];
#pragma GCC unroll 4
    for (int i = 0; i < nn; i++) sum[i][0] = sum[i][1] = _mm256_setzero_si256();
    for (int64_t g = 0; g < n; g++, w += 4 * NARROW) {
        const __m256i low = weights(w), high = weights(w + 32);
        const uint8_t *q = x + offset[g], *q2 = q + 2 * step;
#pragma GCC unroll 4
        for (int i = 0; i < nn; i++)
            add_two(sum[i], broadcast((i < 2 ? q : q2) + i % 2 * step), low, high);
    }
#pragma GCC unroll 4
    for (int i = 0; i < nn; i++)
#pragma GCC unroll 2
        for (int k = 0; k < 2; k++) {
            __m256i *to = (__m256i *)(void *)(acc + i * NARROW + 8 * k);
            __m256i v = _mm256_madd_epi16(sum[i][k], ones);
            if (!first) v = _mm256_add_epi32(v, _mm256_loadu_si256(to));
            _mm256_storeu_si256(to, v);
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

static void dot(const trit_dot_shape *s, const uint8_t *packed, const uint8_t *x, int64_t width,
                int64_t height, const int32_t *sums, int32_t *acc, void *scratch) {
    static void (*const tiles[])(const int8_t *, const uint8_t *, int64_t, const int32_t *, int64_t,
                                 int32_t *, bool) = {NULL, narrow_1, narrow_2, narrow_3, narrow_4};
    const int64_t n_tiles = (width + FOUR - 1) / FOUR;
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
