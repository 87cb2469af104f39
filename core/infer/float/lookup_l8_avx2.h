/*
 * lookup_l8_avx2.h - layout L8 by vpermps, which reads the low three bits of its indices: 8 rows at
 * a time, ten tables of a chunk in ten registers.
 */
#include <immintrin.h>

#include "infer/float/lookup_l8_code.h"

#define NAME     "avx2 l8"
#define ROWS     8
#define PREFETCH 4096 /* bytes ahead */

INLINE __m256 subsets(const float *x) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), none = _mm256_setzero_si256();
    __m256 sum = _mm256_setzero_ps();
    UNROLL for (int b = 0; b < 3; b++) {
        const __m256i out =
            _mm256_cmpeq_epi32(_mm256_and_si256(index, _mm256_set1_epi32(1 << b)), none);
        const __m256 v = _mm256_andnot_ps(_mm256_castsi256_ps(out), _mm256_set1_ps(x[b]));
        sum = b ? _mm256_add_ps(sum, v) : v;
    }
    return sum;
}

/* Five tables looked up by one dword of 8 rows. */
INLINE void look_up(const __m256 *t, const uint32_t *packed, __m256 *more, __m256 *less) {
    const __m256i d = _mm256_loadu_si256((const __m256i *)(const void *)packed);
    UNROLL for (int g = 0; g < 5; g++) {
        const __m256i pos = g ? _mm256_srli_epi32(d, 6 * g) : d,
                      neg = _mm256_srli_epi32(d, 6 * g + 3);
        *more = _mm256_add_ps(*more, _mm256_permutevar8x32_ps(t[g], pos));
        *less = _mm256_add_ps(*less, _mm256_permutevar8x32_ps(t[g], neg));
    }
}

static void band(int64_t chunks, int64_t vectors, const uint32_t *packed, const float *x,
                 float *sums) {
    for (int64_t r = 0; r < vectors * ROWS; r++) sums[r] = 0;
    for (int64_t c = 0; c < chunks; c++, x += CHUNK) {
        __m256 t[CHUNK / 3];
        UNROLL for (int g = 0; g < CHUNK / 3; g++) t[g] = subsets(x + 3 * g);
        for (int64_t v = 0; v < vectors; v++, packed += 2 * ROWS) {
            __m256 more = _mm256_loadu_ps(sums + v * ROWS), less = _mm256_setzero_ps();
            _mm_prefetch((const char *)packed + PREFETCH, _MM_HINT_T0);
            look_up(t, packed, &more, &less);
            look_up(t + 5, packed + ROWS, &more, &less);
            _mm256_storeu_ps(sums + v * ROWS, _mm256_sub_ps(more, less));
        }
    }
}
