/*
 * lookup_l27.h - layout L27 by vpermi2ps, which reads the low five bits of its indices: 16 rows at
 * a time, twelve tables of a chunk in 24 registers.
 */
#include <immintrin.h>

#define NAME     "avx512 l27"
#define ROWS     16
#define CHUNK    36
#define TABLES   (CHUNK / 3)
#define PREFETCH 4096 /* bytes ahead */

/* Base-3 digits w + 1, the first weight's least. */
static uint32_t code(const int8_t *w) {
    uint32_t d = 0;
    for (int g = 0; g < TABLES / 2; g++, w += 3)
        d |= (uint32_t)(13 + w[0] + 3 * w[1] + 9 * w[2]) << (5 * g);
    return d;
}

/* Signs of the three numbers in entries 0 .. 15 and 16 .. 31. */
static const float signs[3][32] = {
    {-1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1},
    {-1, -1, -1, 0, 0, 0, 1, 1, 1, -1, -1, -1, 0, 0, 0, 1, 1, 1, -1, -1, -1, 0, 0, 0, 1, 1, 1},
    {-1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1}};

/* Products are exact, so fusing them with the sums rounds as sums alone do. */
INLINE __m512 entries(const float *x, int half) {
    __m512 v = _mm512_mul_ps(_mm512_set1_ps(x[0]), _mm512_loadu_ps(signs[0] + half));
    v = _mm512_fmadd_ps(_mm512_set1_ps(x[1]), _mm512_loadu_ps(signs[1] + half), v);
    return _mm512_fmadd_ps(_mm512_set1_ps(x[2]), _mm512_loadu_ps(signs[2] + half), v);
}

/* Six tables looked up by one dword of 16 rows; even ones and odd ones are summed apart. */
INLINE void look_up(const __m512 *low, const __m512 *high, const uint32_t *packed, __m512 *even,
                    __m512 *odd) {
    const __m512i d = _mm512_loadu_si512(packed);
    UNROLL for (int g = 0; g < 6; g++) {
        const __m512i at = g ? _mm512_srli_epi32(d, 5 * g) : d;
        __m512 *to = g % 2 ? odd : even;
        *to = _mm512_add_ps(*to, _mm512_permutex2var_ps(low[g], at, high[g]));
    }
}

static void band(int64_t chunks, int64_t vectors, const uint32_t *packed, const float *x,
                 float *sums) {
    for (int64_t r = 0; r < vectors * ROWS; r++) sums[r] = 0;
    for (int64_t c = 0; c < chunks; c++, x += CHUNK) {
        __m512 low[TABLES], high[TABLES];
        UNROLL for (int g = 0; g < TABLES; g++) {
            low[g] = entries(x + 3 * g, 0);
            high[g] = entries(x + 3 * g, 16);
        }
        for (int64_t v = 0; v < vectors; v++, packed += 2 * ROWS) {
            __m512 even = _mm512_loadu_ps(sums + v * ROWS), odd = _mm512_setzero_ps();
            _mm_prefetch((const char *)packed + PREFETCH, _MM_HINT_T0);
            _mm_prefetch((const char *)packed + PREFETCH + 64, _MM_HINT_T0);
            look_up(low, high, packed, &even, &odd);
            look_up(low + 6, high + 6, packed + ROWS, &even, &odd);
            _mm512_storeu_ps(sums + v * ROWS, _mm512_add_ps(even, odd));
        }
    }
}
