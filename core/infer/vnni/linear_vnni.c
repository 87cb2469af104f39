/*
 * linear_vnni.c - a packed matrix by vpdpbusd on 512 bits: codes (u8) times vectors (s8).
 *
 * Fields are separated by masks alone.  With v = packed bytes,
 *   A = dp(v, q)  B = dp(v & 63, q)  C = dp(v & 15, q)  D = dp(v & 3, q)
 * give the sums of codes of four rows  D, (C - D) / 4, (B - C) / 16, (A - B) / 64, exact; the sum
 * of q is taken off.  |A| <= 170 x 127 K, so K <= 99 000 keeps 32 bits.
 *
 * One vector: two blocks side by side, their weights streamed from wherever they are.  More: tiles
 * of 6 vectors (fields.h).
 */
#include "infer/linear_set.h"
#include "infer/vnni/fields.h"

#define ROWS     64
#define K_MAX    65536
#define PREFETCH 4096 /* bytes ahead */

static bool supported(void) { return trit_isa_level() >= TRIT_ISA_AVX512 && trit_cpu_has_vnni(); }

/* 16 rows' results of vector c. */
INLINE void store16(const trit_linear_job *j, int64_t c, int64_t row, __m512i codes) {
    const int64_t left = j->rows - row;
    if (left <= 0) return;
    const __mmask16 there = left >= 16 ? 0xffff : (__mmask16)((1 << left) - 1);
    const __m512i sum = _mm512_sub_epi32(codes, _mm512_set1_epi32(j->sums[c]));
    const __m512 factor =
        _mm512_mul_ps(_mm512_loadu_ps(j->scale + row), _mm512_set1_ps(j->step[c]));
    _mm512_mask_storeu_ps(j->y + c * j->rows + row, there,
                          _mm512_mul_ps(_mm512_cvtepi32_ps(sum), factor));
}

INLINE void store_block(const trit_linear_job *j, int64_t c, int64_t row, __m512i a, __m512i b,
                        __m512i cc, __m512i d) {
    store16(j, c, row, d);
    store16(j, c, row + 16, _mm512_srai_epi32(_mm512_sub_epi32(cc, d), 2));
    store16(j, c, row + 32, _mm512_srai_epi32(_mm512_sub_epi32(b, cc), 4));
    store16(j, c, row + 48, _mm512_srai_epi32(_mm512_sub_epi32(a, b), 6));
}

/* `nn` blocks from `block` on, one vector. */
INLINE void one_vector(const trit_linear_job *j, int64_t block, const int nn) {
    const __m512i m63 = _mm512_set1_epi8(63), m15 = _mm512_set1_epi8(15), m3 = _mm512_set1_epi8(3);
    const uint8_t *w = j->packed + (size_t)block * j->block_bytes;
    __m512i A[2], B[2], C[2], D[2];
    for (int i = 0; i < nn; i++) A[i] = B[i] = C[i] = D[i] = _mm512_setzero_si512();
    for (int64_t g = 0; g < j->groups; g++, w += ROWS) {
        const __m512i q = _mm512_set1_epi32(*(const four *)(j->q + 4 * g));
#pragma GCC unroll 2
        for (int i = 0; i < nn; i++) {
            const uint8_t *at = w + (size_t)i * j->block_bytes;
            const __m512i v = _mm512_loadu_si512(at);
            _mm_prefetch((const char *)at + PREFETCH, _MM_HINT_T0);
            A[i] = _mm512_dpbusd_epi32(A[i], v, q);
            B[i] = _mm512_dpbusd_epi32(B[i], _mm512_and_si512(v, m63), q);
            C[i] = _mm512_dpbusd_epi32(C[i], _mm512_and_si512(v, m15), q);
            D[i] = _mm512_dpbusd_epi32(D[i], _mm512_and_si512(v, m3), q);
        }
    }
    for (int i = 0; i < nn; i++) store_block(j, 0, (block + i) * ROWS, A[i], B[i], C[i], D[i]);
}

INLINE void tile(const trit_linear_job *j, int64_t block, int64_t c, const int nn) {
    const uint8_t *w = j->packed + (size_t)block * j->block_bytes;
    const int64_t step = j->pitch;
    const int8_t *q = j->q + c * step, *q3 = q + 3 * step;
    const masks m = make_masks();
    __m512i A[TILE], B[TILE], C[TILE], D[TILE];
    EACH_PIXEL A[i] = B[i] = C[i] = D[i] = _mm512_setzero_si512();
    for (int64_t g = 0; g < j->groups; g++, w += ROWS, q += 4, q3 += 4) {
        const four_fields codes = masks_of(&m, _mm512_loadu_si512(w));
        _mm_prefetch((const char *)w + PREFETCH, _MM_HINT_T0);
        EACH_PIXEL multiply_codes(&A[i], &B[i], &C[i], &D[i], &codes, AT(i));
    }
    EACH_PIXEL store_block(j, c + i, block * ROWS, A[i], B[i], C[i], D[i]);
}

typedef void (*tile_fn)(const trit_linear_job *j, int64_t block, int64_t c);

#define SIZED(n)                                                                                   \
    __attribute__((noinline)) static void tile_##n(const trit_linear_job *j, int64_t block,        \
                                                   int64_t c) {                                    \
        tile(j, block, c, n);                                                                      \
    }
SIZED(1)
SIZED(2)
SIZED(3)
SIZED(4)
SIZED(5)
SIZED(6)
static const tile_fn tiles[] = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

static void run(const trit_linear_job *j, int64_t first, int64_t end, void *scratch) {
    (void)scratch;
    if (j->n == 1) {
        int64_t b = first;
        for (; b + 2 <= end; b += 2) one_vector(j, b, 2);
        if (b < end) one_vector(j, b, 1);
        return;
    }
    const int64_t n_tiles = (j->n + TILE - 1) / TILE;
    for (int64_t t = 0, c = 0, n; t < n_tiles; t++, c += n) { /* as even as possible */
        n = (j->n - c + n_tiles - t - 1) / (n_tiles - t);
        for (int64_t b = first; b < end; b++) tiles[n](j, b, c);
    }
}

const trit_linear_set trit_linear_vnni = {
    .name = "vnni", .block = ROWS, .lanes = 16, .max_k = K_MAX, .supported = supported, .run = run};
