/*
 * fields.h - vpdpbusd on tiles of pixels x 64 rows: 28 sums, two fields' weights and one broadcast
 * fill the registers.  Written as instructions because gcc 12 hoists masks and broadcasts and then
 * spills the sums.
 */
#ifndef TRIT_INFER_FIELDS_H
#define TRIT_INFER_FIELDS_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define TILE   7
#define INLINE static inline __attribute__((always_inline))

typedef int32_t four __attribute__((may_alias, aligned(1)));

INLINE __m512i broadcast(const uint8_t *q) {
    int32_t v;
    memcpy(&v, q, sizeof v);
    return _mm512_set1_epi32(v);
}

/* Two fields share a broadcast, so that loads stay below two a pair of products. */
INLINE void two_fields(__m512i *f1, __m512i *f2, __m512i w1, __m512i w2, const uint8_t *q) {
    __m512i b;
    __asm__ volatile("vpbroadcastd %[x], %[b]\n\t"
                     "vpdpbusd %[w1], %[b], %[f1]\n\t"
                     "vpdpbusd %[w2], %[b], %[f2]"
                     : [f1] "+v"(*f1), [f2] "+v"(*f2), [b] "=&v"(b)
                     : [w1] "v"(w1), [w2] "v"(w2), [x] "m"(*(const four *)q));
}

/* v & mask in every byte. */
INLINE __m512i masked(__m512i v, const int32_t *mask) {
    __m512i r;
    __asm__ volatile("vpandd %[m]%{1to16%}, %[v], %[r]" : [r] "=v"(r) : [v] "v"(v), [m] "m"(*mask));
    return r;
}

static const int32_t mask63 = 0x3f3f3f3f, mask15 = 0x0f0f0f0f, mask3 = 0x03030303;

#define EACH_PIXEL _Pragma("GCC unroll 7") for (int i = 0; i < nn; i++)
/* Pixel i of a tile: few registers hold all addresses (q3 = q + 3 step, q6 = q + 6 step). */
#define AT(i)                ((i) < 3 ? q + (i)*step : (i) < 6 ? q3 + ((i)-3) * step : q6)
#define PASS(F1, F2, w1, w2) EACH_PIXEL two_fields(&F1[i], &F2[i], w1, w2, AT(i));

#endif
