/*
 * tile_avx2.h - tiles of 3 pixels x 32 rows by vpmaddubsw: u8 pixels times signed bytes of weights,
 * pairs added in 16 bits, widened into 32-bit sums after as many groups as cannot overflow.
 */
#ifndef TRIT_INFER_TILE_AVX2_H
#define TRIT_INFER_TILE_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ROWS     32
#define TILE     3    /* pixels, or vectors */
#define PREFETCH 4096 /* bytes ahead */
#define INLINE   static inline __attribute__((always_inline))

INLINE __m256i broadcast(const uint8_t *q) {
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm256_set1_epi32(four);
}

/* n groups of packed weights -> [group][field][8 rows][4 k] signed bytes. */
static inline void expand(const uint8_t *w, int64_t n, int8_t *s) {
    const __m256i three = _mm256_set1_epi8(3), one = _mm256_set1_epi8(1);
    for (int64_t g = 0; g < n; g++, w += ROWS, s += 4 * ROWS) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)w);
        _mm_prefetch((const char *)w + PREFETCH, _MM_HINT_T0);
#pragma GCC unroll 4
        for (int f = 0; f < 4; f++) {
            const __m256i v = _mm256_sub_epi8(_mm256_and_si256(x, three), one);
            _mm256_store_si256((__m256i *)(void *)(s + f * ROWS), v);
            x = _mm256_srli_epi16(x, 2);
        }
    }
}

/* sum += pairs of b times the 32 weights at w.  Written as instructions: 12 sums, 3 broadcasts and
 * this temporary are all 16 registers, and gcc 12 spills when it may keep weights in one, too. */
INLINE void add_pairs(__m256i *sum, __m256i b, const int8_t *w) {
    __m256i t;
    __asm__("vpmaddubsw %[w], %[b], %[t]\n\t"
            "vpaddw %[t], %[sum], %[sum]"
            : [sum] "+x"(*sum), [t] "=&x"(t)
            : [b] "x"(b), [w] "m"(*(const __m256i *)(const void *)w));
}

/* `nn` pixels over n groups; the sums go (first) to or are added to acc. */
INLINE void sized_tile(const int8_t *s, const uint8_t *x, int64_t step, const int32_t *offset,
                       int64_t n, int32_t *acc, bool first, const int nn) {
    const uint8_t *x2 = x + 2 * step;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[4][TILE];
#pragma GCC unroll 4
    for (int f = 0; f < 4; f++)
#pragma GCC unroll 3
        for (int i = 0; i < nn; i++) sum[f][i] = _mm256_setzero_si256();
    for (int64_t g = 0; g < n; g++, s += 4 * ROWS) {
        __m256i b[TILE];
#pragma GCC unroll 3
        for (int i = 0; i < nn; i++) b[i] = broadcast((i < 2 ? x + i * step : x2) + offset[g]);
#pragma GCC unroll 4
        for (int f = 0; f < 4; f++)
#pragma GCC unroll 3
            for (int i = 0; i < nn; i++) add_pairs(&sum[f][i], b[i], s + f * ROWS);
    }
#pragma GCC unroll 4
    for (int f = 0; f < 4; f++)
#pragma GCC unroll 3
        for (int i = 0; i < nn; i++) {
            __m256i *to = (__m256i *)(void *)(acc + i * ROWS + f * 8);
            __m256i v = _mm256_madd_epi16(sum[f][i], ones);
            if (!first) v = _mm256_add_epi32(v, _mm256_loadu_si256(to));
            _mm256_storeu_si256(to, v);
        }
}

#endif
