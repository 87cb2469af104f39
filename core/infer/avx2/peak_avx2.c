/*
 * peak_avx2.c - vpmaddubsw and 16-bit additions, loads of 32 bytes: the limits with AVX2.
 */
#include <immintrin.h>

#include "infer/peak.h"

#define CHAINS 8
#define EACH   _Pragma("GCC unroll 8") for (int i = 0; i < CHAINS; i++)

static bool supported(void) { return trit_isa_level() >= TRIT_ISA_AVX2; }

static int32_t multiply(int64_t steps, uint8_t x) {
    __m256i sum[CHAINS], q = _mm256_set1_epi8((char)x);
    const __m256i w = _mm256_set1_epi8(1);
    EACH sum[i] = _mm256_set1_epi16((short)i);
    for (int64_t k = 0; k < steps; k++) EACH {
            sum[i] = _mm256_add_epi16(sum[i], _mm256_maddubs_epi16(q, w));
            __asm__ volatile("" : "+x"(q)); /* all products are made */
        }
    EACH if (i) sum[0] = _mm256_add_epi16(sum[0], sum[i]);
    return _mm256_extract_epi16(sum[0], 0);
}

static uint64_t read(const uint8_t *bytes, size_t n) {
    __m256i sum[CHAINS];
    EACH sum[i] = _mm256_setzero_si256();
    for (size_t at = 0; at < n; at += sizeof sum)
        EACH sum[i] =
            _mm256_xor_si256(sum[i], _mm256_load_si256((const void *)(bytes + at + 32 * i)));
    EACH if (i) sum[0] = _mm256_xor_si256(sum[0], sum[i]);
    return (uint64_t)(_mm256_extract_epi64(sum[0], 0) ^ _mm256_extract_epi64(sum[0], 1) ^
                      _mm256_extract_epi64(sum[0], 2) ^ _mm256_extract_epi64(sum[0], 3));
}

const trit_peak_set trit_peak_avx2 = {"avx2", supported, 32 * CHAINS, multiply, read};
