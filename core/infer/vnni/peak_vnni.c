/*
 * peak_vnni.c - vpdpbusd on 512 bits, loads of 64 bytes: the limits with AVX-512 and VNNI.
 */
#include <immintrin.h>

#include "infer/peak.h"

#define CHAINS 16
#define EACH   _Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++)

static bool supported(void) { return trit_isa_level() >= TRIT_ISA_AVX512 && trit_cpu_has_vnni(); }

static int32_t multiply(int64_t steps, uint8_t x) {
    __m512i sum[CHAINS];
    const __m512i q = _mm512_set1_epi8((char)x), w = _mm512_set1_epi8(1);
    EACH sum[i] = _mm512_set1_epi32(i);
    for (int64_t k = 0; k < steps; k++) EACH {
            sum[i] = _mm512_dpbusd_epi32(sum[i], q, w);
            __asm__ volatile("" : "+v"(sum[i])); /* one after the other, none left out */
        }
    EACH if (i) sum[0] = _mm512_add_epi32(sum[0], sum[i]);
    return _mm512_reduce_add_epi32(sum[0]);
}

static uint64_t read(const uint8_t *bytes, size_t n) {
    __m512i sum[4] = {_mm512_setzero_si512()};
    for (size_t at = 0; at < n; at += sizeof sum)
        for (int i = 0; i < 4; i++)
            sum[i] = _mm512_xor_si512(sum[i], _mm512_load_si512(bytes + at + 64 * i));
    sum[0] = _mm512_xor_si512(_mm512_xor_si512(sum[0], sum[1]), _mm512_xor_si512(sum[2], sum[3]));
    return (uint64_t)_mm512_reduce_add_epi64(sum[0]);
}

const trit_peak_set trit_peak_vnni = {"vnni", supported, 64 * CHAINS, multiply, read};
