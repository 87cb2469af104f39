/*
 * tile_avx2.h - tiles of 2 pixels x 32 rows by vpmaddubsw: u8 pixels times signed bytes of weights,
 * pairs added in 16 bits, widened into 32-bit sums after as many groups as cannot overflow.
 *
 * 8 sums, 4 weights, a broadcast and 2 temporaries fill the registers: 6 loads for 8 products of
 * vectors.  3 pixels leave weights no register: 15 loads for 12, and 137 GMAC/s where these reach
 * 149 (of 162).
 */
#ifndef TRIT_INFER_TILE_AVX2_H
#define TRIT_INFER_TILE_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ROWS     32
#define TILE     2    /* pixels, or vectors */
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

INLINE __m256i weights(const int8_t *w) {
    return _mm256_load_si256((const __m256i *)(const void *)w);
}

/* Two sums += pairs of b times 32 weights each.  Written as instructions: gcc 12 loads weights
 * again for every pixel, and loads are what these tiles have to spare least. */
INLINE void add_two(__m256i *s, __m256i b, __m256i w0, __m256i w1) {
    __m256i t, u;
    __asm__("vpmaddubsw %[w0], %[b], %[t]\n\t"
            "vpmaddubsw %[w1], %[b], %[u]\n\t"
            "vpaddw %[t], %[s0], %[s0]\n\t"
            "vpaddw %[u], %[s1], %[s1]"
            : [s0] "+x"(s[0]), [s1] "+x"(s[1]), [t] "=&x"(t), [u] "=&x"(u)
            : [b] "x"(b), [w0] "x"(w0), [w1] "x"(w1));
}

/* The four fields of a group. */
typedef struct {
    __m256i f[4];
} fields;

INLINE fields fields_at(const int8_t *s) {
    return (fields){{weights(s), weights(s + ROWS), weights(s + 2 * ROWS), weights(s + 3 * ROWS)}};
}

INLINE void add_fields(__m256i sum[4], __m256i b, const fields *w) {
    add_two(sum, b, w->f[0], w->f[1]);
    add_two(sum + 2, b, w->f[2], w->f[3]);
}

/* `nn` pixels over n groups; the sums go (first) to or are added to acc. */
INLINE void sized_tile(const int8_t *s, const uint8_t *x, int64_t step, const int32_t *offset,
                       int64_t n, int32_t *acc, bool first, const int nn) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[TILE][4];
#pragma GCC unroll 2
    for (int i = 0; i < nn; i++)
#pragma GCC unroll 4
        for (int f = 0; f < 4; f++) sum[i][f] = _mm256_setzero_si256();
    for (int64_t g = 0; g < n; g++, s += 4 * ROWS) {
        const fields w = fields_at(s);
        const uint8_t *q = x + offset[g];
#pragma GCC unroll 2
        for (int i = 0; i < nn; i++) add_fields(sum[i], broadcast(q + i * step), &w);
    }
#pragma GCC unroll 2
    for (int i = 0; i < nn; i++)
#pragma GCC unroll 4
        for (int f = 0; f < 4; f++) {
            __m256i *to = (__m256i *)(void *)(acc + i * ROWS + f * 8);
            __m256i v = _mm256_madd_epi16(sum[i][f], ones);
            if (!first) v = _mm256_add_epi32(v, _mm256_loadu_si256(to));
            _mm256_storeu_si256(to, v);
        }
}

#endif
