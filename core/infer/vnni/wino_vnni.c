/*
 * wino_vnni.c - Winograd F(2,3) by vpdpbusd: tiles of 7 pairs of pixels x 64 rows, position after
 * position; see wino.h and dot_vnni.c, whose masks separate the fields.
 *
 * Nibbles: with v = packed bytes as signed numbers, A = dp(x, v) and B = dp(x, v & 15) give two rows'
 * sums B and (A - B) / 16.  |A| <= 128 x 255 per number, so K <= 65 536 keeps 32 bits.
 */
#include "infer/vnni/fields.h"
#include "infer/wino.h"

#define ROWS  64
#define GROUP 384 /* bytes: 64 + 128 + 128 + 64 */
#define SUMS  (4 * TILE)

static bool supported(void) { return trit_isa_level() >= TRIT_ISA_AVX512 && trit_cpu_has_vnni(); }

static size_t bytes(const trit_wino_shape *s) {
    return (size_t)s->dot.groups * GROUP + 2 * ROWS * sizeof(int32_t);
}

static void pack(const trit_wino_shape *s, const int8_t *w, int64_t rows, uint8_t *packed) {
    trit_wino_pack(s, w, rows, ROWS / 4, true, packed);
}

#define EACH_SEGMENT                                                                               \
    for (int64_t segment = 0; segment < s->segments; segment++) {                                  \
        const uint8_t *q = x + s->offset[segment * per], *q3 = q + 3 * step, *q6 = q + 6 * step;

/* m [4 fields][TILE]: sums of 2-bit codes. */
INLINE void narrow(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, __m512i *m,
                   const int nn) {
    __m512i A[TILE], B[TILE], C[TILE], D[TILE];
    const int64_t step = s->step, per = s->groups / s->segments;
    EACH_PIXEL A[i] = B[i] = C[i] = D[i] = _mm512_setzero_si512();
    EACH_SEGMENT
    for (int64_t g = 0; g < per; g++, w += ROWS, q += 4, q3 += 4, q6 += 4) {
        const __m512i v = _mm512_loadu_si512(w);
        const __m512i v63 = masked(v, &mask63);
        PASS(A, B, v, v63)
        const __m512i v15 = masked(v63, &mask15);
        const __m512i v3 = masked(v15, &mask3);
        PASS(C, D, v15, v3)
    }
}
EACH_PIXEL {
    m[i] = D[i];
    m[TILE + i] = _mm512_srai_epi32(_mm512_sub_epi32(C[i], D[i]), 2);
    m[2 * TILE + i] = _mm512_srai_epi32(_mm512_sub_epi32(B[i], C[i]), 4);
    m[3 * TILE + i] = _mm512_srai_epi32(_mm512_sub_epi32(A[i], B[i]), 6);
}
}

/* The same of 4-bit codes. */
INLINE void wide(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, __m512i *m,
                 const int nn) {
    __m512i A[TILE], B[TILE], C[TILE], D[TILE];
    const int64_t step = s->step, per = s->groups / s->segments;
    EACH_PIXEL A[i] = B[i] = C[i] = D[i] = _mm512_setzero_si512();
    EACH_SEGMENT
    for (int64_t g = 0; g < per; g++, w += 2 * ROWS, q += 4, q3 += 4, q6 += 4) {
        const __m512i v = _mm512_loadu_si512(w);
        const __m512i v15 = masked(v, &mask15);
        PASS(A, B, v, v15)
        const __m512i u = _mm512_loadu_si512(w + ROWS);
        const __m512i u15 = masked(u, &mask15);
        PASS(C, D, u, u15)
    }
}
EACH_PIXEL {
    m[i] = B[i];
    m[TILE + i] = _mm512_srai_epi32(_mm512_sub_epi32(A[i], B[i]), 4);
    m[2 * TILE + i] = D[i];
    m[3 * TILE + i] = _mm512_srai_epi32(_mm512_sub_epi32(C[i], D[i]), 4);
}
}

/* Both results of n pairs from the sums of the four positions. */
static void combine(int64_t n, __m512i (*m)[SUMS], const int32_t *c, const int32_t *sums,
                    int32_t *acc) {
    for (int f = 0; f < 4; f++) {
        const __m512i c0 = _mm512_loadu_si512(c + 16 * f);
        const __m512i c1 = _mm512_loadu_si512(c + ROWS + 16 * f);
        for (int64_t i = 0; i < n; i++) {
            const int64_t at = f * TILE + i;
            __m512i y0 = _mm512_srai_epi32(_mm512_add_epi32(m[1][at], m[2][at]), 1);
            __m512i y1 = _mm512_srai_epi32(_mm512_sub_epi32(m[1][at], m[2][at]), 1);
            y0 = _mm512_add_epi32(_mm512_add_epi32(y0, m[0][at]), c0);
            y1 = _mm512_add_epi32(_mm512_sub_epi32(y1, m[3][at]), c1);
            if (f < 3) {
                y0 = _mm512_sub_epi32(y0, _mm512_set1_epi32(sums[2 * i]));
                y1 = _mm512_sub_epi32(y1, _mm512_set1_epi32(sums[2 * i + 1]));
            }
            _mm512_storeu_si512(acc + 2 * i * ROWS + 16 * f, y0);
            _mm512_storeu_si512(acc + (2 * i + 1) * ROWS + 16 * f, y1);
        }
    }
}

typedef void (*tile_fn)(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, __m512i *m);

#define SIZED(n)                                                                                   \
    __attribute__((noinline)) static void narrow_##n(const trit_dot_shape *s, const uint8_t *w,    \
                                                     const uint8_t *x, __m512i *m) {               \
        narrow(s, w, x, m, n);                                                                     \
    }                                                                                              \
    __attribute__((noinline)) static void wide_##n(const trit_dot_shape *s, const uint8_t *w,      \
                                                   const uint8_t *x, __m512i *m) {                 \
        wide(s, w, x, m, n);                                                                       \
    }
SIZED(1)
SIZED(2)
SIZED(3)
SIZED(4)
SIZED(5)
SIZED(6)
SIZED(7)
static const tile_fn narrows[] = {NULL,     narrow_1, narrow_2, narrow_3,
                                  narrow_4, narrow_5, narrow_6, narrow_7};
static const tile_fn wides[] = {NULL, wide_1, wide_2, wide_3, wide_4, wide_5, wide_6, wide_7};

static void dot(const trit_wino_shape *s, const uint8_t *packed, const uint8_t *v, int64_t pairs,
                const int32_t *sums, int32_t *acc, void *scratch) {
    const uint8_t *w1 = packed + s->dot.groups * ROWS, *w2 = w1 + s->dot.groups * 2 * ROWS;
    const uint8_t *w3 = w2 + s->dot.groups * 2 * ROWS, *end = w3 + s->dot.groups * ROWS;
    const int64_t tiles = (pairs + TILE - 1) / TILE;
    __m512i m[WINO_PLANES][SUMS];
    (void)scratch;
    for (int64_t t = 0, p = 0; t < tiles; t++) { /* as even as possible */
        const int64_t n = (pairs - p + tiles - t - 1) / (tiles - t);
        const uint8_t *x = v + p * s->dot.step;
        narrows[n](&s->dot, packed, x, m[0]);
        wides[n](&s->dot, w1, x + s->plane, m[1]);
        wides[n](&s->dot, w2, x + 2 * s->plane, m[2]);
        narrows[n](&s->dot, w3, x + 3 * s->plane, m[3]);
        combine(n, m, (const int32_t *)(const void *)end, sums + 2 * p, acc + 2 * p * ROWS);
        p += n;
    }
}

const trit_wino_set trit_wino_vnni64 = {.name = "vnni64",
                                        .block = ROWS,
                                        .pairs = 28,
                                        .sums = true,
                                        .supported = supported,
                                        .bytes = bytes,
                                        .pack = pack,
                                        .dot = dot};
