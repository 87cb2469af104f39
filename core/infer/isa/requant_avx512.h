/*
 * requant_avx512.h - 16 channels from integer sums to bytes; as requant_generic.h.
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
