/*
 * requant_avx512.h - what finish_kernels.c takes from the instruction set; as requant_generic.h.
 */
#include <immintrin.h>

static inline __attribute__((always_inline)) void requant16(const int32_t *acc, const float *part,
                                                            const uint8_t *add,
                                                            const trit_requant *t, int64_t r,
                                                            uint8_t *y) {
    __m512 v = _mm512_cvtepi32_ps(_mm512_loadu_si512(acc));
    v = _mm512_mul_ps(v, _mm512_loadu_ps(t->scale + r));
    if (part) v = _mm512_add_ps(_mm512_loadu_ps(part), v);
    v = _mm512_add_ps(v, _mm512_loadu_ps(t->bias + r));
    if (add) {
        const __m512i q = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)add));
        v = _mm512_add_ps(v, _mm512_mul_ps(_mm512_cvtepi32_ps(q), _mm512_set1_ps(t->add_scale)));
    }
    v = _mm512_min_ps(_mm512_max_ps(v, _mm512_set1_ps(t->lo)), _mm512_set1_ps(t->hi));
    v = _mm512_add_ps(v, _mm512_set1_ps(8388608.0f));
    _mm_storeu_si128((__m128i *)(void *)y, _mm512_cvtepi32_epi8(_mm512_castps_si512(v)));
}

static inline __attribute__((always_inline)) int32_t sum_of(int64_t n, const uint8_t *x) {
    const __m512i none = _mm512_setzero_si512();
    __m512i sum = none;
    int64_t i = 0;
    for (; i + 64 <= n; i += 64)
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_loadu_si512(x + i), none));
    if (i < n) {
        const __mmask64 rest = (UINT64_C(1) << (n - i)) - 1;
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_maskz_loadu_epi8(rest, x + i), none));
    }
    return (int32_t)_mm512_reduce_add_epi64(sum);
}

/* Maxima of 64 bytes over the taps. */
static inline __attribute__((always_inline)) void max_wide(int64_t taps, const int64_t *offset,
                                                           const uint8_t *x, uint8_t *y) {
    __m512i most = _mm512_setzero_si512();
    for (int64_t k = 0; k < taps; k++)
        most = _mm512_max_epu8(most, _mm512_loadu_si512(x + offset[k]));
    _mm512_storeu_si512(y, most);
}
