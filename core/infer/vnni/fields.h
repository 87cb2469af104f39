/*
 * fields.h - vpdpbusd on tiles of 6 pixels x 64 rows: 24 sums, four fields' weights, a broadcast
 * and masks fill the registers.  A pixel is loaded once for four products, and masks take 3 places
 * of 27 that products could have; 7 pixels leave no room for four fields, take two broadcasts
 * a pixel, and reach 357 GMAC/s where these reach 386 (of 434).  Written as instructions because
 * gcc 12 hoists masks and broadcasts and then spills the sums.
 */
#ifndef TRIT_INFER_FIELDS_H
#define TRIT_INFER_FIELDS_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define TILE   6
#define INLINE static inline __attribute__((always_inline))

typedef int32_t four __attribute__((may_alias, aligned(1)));

INLINE __m512i broadcast(const uint8_t *q) {
    int32_t v;
    memcpy(&v, q, sizeof v);
    return _mm512_set1_epi32(v);
}

/* The weights of four fields of 16 rows. */
typedef struct {
    __m512i f[4];
} four_fields;

#define FOUR(order)                                                                                \
    __m512i x;                                                                                     \
    __asm__ volatile("vpbroadcastd %[q], %[x]\n\t" order("0", "a") order("1", "b") order("2", "c") \
                         order("3", "d")                                                           \
                     : [a] "+v"(*a), [b] "+v"(*b), [c] "+v"(*c), [d] "+v"(*d), [x] "=&v"(x)        \
                     : [w0] "v"(w->f[0]), [w1] "v"(w->f[1]), [w2] "v"(w->f[2]), [w3] "v"(w->f[3]), \
                       [q] "m"(*(const four *)q))
#define SIGNED_WEIGHTS(k, sum) "vpdpbusd %[w" k "], %[x], %[" sum "]\n\t"
#define SIGNED_NUMBERS(k, sum) "vpdpbusd %[x], %[w" k "], %[" sum "]\n\t"

/* Sums of four fields of one pixel: unsigned pixels, weights as signed bytes. */
INLINE void multiply(__m512i *a, __m512i *b, __m512i *c, __m512i *d, const four_fields *w,
                     const uint8_t *q) {
    FOUR(SIGNED_WEIGHTS);
}

/* The same of signed numbers with unsigned codes. */
INLINE void multiply_codes(__m512i *a, __m512i *b, __m512i *c, __m512i *d, const four_fields *w,
                           const int8_t *q) {
    FOUR(SIGNED_NUMBERS);
}

/* Masks of 6, 4 and 2 bits in every byte; the first two stay in registers over a loop. */
typedef struct {
    __m512i m63, m15;
} masks;

INLINE masks make_masks(void) {
    masks m = {_mm512_set1_epi8(63), _mm512_set1_epi8(15)};
    __asm__ volatile("" : "+v"(m.m63), "+v"(m.m15)); /* not to be made anew where they are used */
    return m;
}

static const int32_t mask3 = 0x03030303;

/* Packed bytes with 8, 6, 4 and 2 bits left: A, B, C, D of dot_vnni.c come of these. */
INLINE four_fields masks_of(const masks *m, __m512i v) {
    four_fields w = {{v, _mm512_and_si512(v, m->m63), _mm512_and_si512(v, m->m15), v}};
    __asm__ volatile("vpandd %[m]%{1to16%}, %[v], %[r]"
                     : [r] "=v"(w.f[3])
                     : [v] "v"(v), [m] "m"(mask3));
    return w;
}

#define EACH_PIXEL _Pragma("GCC unroll 6") for (int i = 0; i < nn; i++)
/* Pixel i of a tile: few registers hold all addresses (q3 = q + 3 step). */
#define AT(i)   ((i) < 3 ? q + (i)*step : q3 + ((i)-3) * step)
#define PASS(w) EACH_PIXEL multiply(&A[i], &B[i], &C[i], &D[i], w, AT(i));

#endif
