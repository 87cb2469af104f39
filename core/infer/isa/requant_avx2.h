/*
 * requant_avx2.h - what finish_kernels.c takes from the instruction set; as
 * requant_generic.h.
 */
#include <immintrin.h>

static inline __attribute__((always_inline)) __m256i requant8(const int32_t *acc, const float *part,
                                                              const uint8_t *add,
                                                              const trit_requant *t, int64_t r) {
    __m256 v = _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)(const void *)acc));
    v = _mm256_mul_ps(v, _mm256_loadu_ps(t->scale + r));
    if (part) v = _mm256_add_ps(_mm256_loadu_ps(part), v);
    v = _mm256_add_ps(v, _mm256_loadu_ps(t->bias + r));
    if (add) {
        const __m256i q = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)add));
        v = _mm256_add_ps(v, _mm256_mul_ps(_mm256_cvtepi32_ps(q), _mm256_set1_ps(t->add_scale)));
    }
    v = _mm256_min_ps(_mm256_max_ps(v, _mm256_set1_ps(t->lo)), _mm256_set1_ps(t->hi));
    v = _mm256_add_ps(v, _mm256_set1_ps(8388608.0f));
    return _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0xff));
}

static inline __attribute__((always_inline)) void requant16(const int32_t *acc, const float *part,
                                                            const uint8_t *add,
                                                            const trit_requant *t, int64_t r,
                                                            uint8_t *y) {
    const __m256i a = requant8(acc, part, add, t, r);
    const __m256i b = requant8(acc + 8, part ? part + 8 : part, add ? add + 8 : add, t, r + 8);
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
    const __m128i bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(void *)y, bytes);
}

static inline __attribute__((always_inline)) int32_t sum_of(int64_t n, const uint8_t *x) {
    const __m256i none = _mm256_setzero_si256();
    __m256i four = none;
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(x + i));
        four = _mm256_add_epi64(four, _mm256_sad_epu8(v, none));
    }
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    int32_t sum = _mm_cvtsi128_si32(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)));
    for (; i < n; i++) sum += x[i];
    return sum;
}

/* Maxima of 64 bytes over the taps. */
static inline __attribute__((always_inline)) void max_wide(int64_t taps, const int64_t *offset,
                                                           const uint8_t *x, uint8_t *y) {
    __m256i low = _mm256_setzero_si256(), high = low;
    for (int64_t k = 0; k < taps; k++) {
        const __m256i *v = (const __m256i *)(const void *)(x + offset[k]);
        low = _mm256_max_epu8(low, _mm256_loadu_si256(v));
        high = _mm256_max_epu8(high, _mm256_loadu_si256(v + 1));
    }
    _mm256_storeu_si256((__m256i *)(void *)y, low);
    _mm256_storeu_si256((__m256i *)(void *)y + 1, high);
}
