/*
 * dot_vnni.c - dot products by vpdpbusd on 512 bits: four u8 x s8 products added into 32 bits.
 *
 * vnni64.  Fields are separated by masks alone.  With v = packed bytes as signed numbers,
 *   A = dp(x, v)  B = dp(x, v & 63)  C = dp(x, v & 15)  D = dp(x, v & 3)
 * give the four rows' sums  D, (C - D) / 4, (B - C) / 16, (A - B) / 64, exact.  The first three are
 * of codes w + 1: the sum of x is taken off; the last holds w itself.  A tile is 6 pixels x 64
 * rows (fields.h).
 *   |A| <= 106 x 255 K, so K <= 79 000 keeps 32 bits.
 *
 * vnni16, vnni32, vnni64x.  For layers of few channels or short sums weights stay expanded (they
 * fit the first-level cache); tiles of 16 x 1, 8 x 2 and 6 x 4 vectors, no correction.
 */
#include "infer/dot.h"
#include "infer/vnni/fields.h"

#define ROWS  64
#define K_MAX 65536
#define SHORT 384 /* numbers whose 64 expanded rows take half the first-level cache */

static bool supported(void) { return trit_isa_level() >= TRIT_ISA_AVX512 && trit_cpu_has_vnni(); }

static void pack_v16(const trit_dot_shape *s, const int8_t *w, int64_t rows, uint8_t *packed) {
    const int64_t n = s->segments * s->length, per = s->groups / s->segments;
    for (int64_t g = 0; g < s->groups; g++, packed += ROWS)
        for (int64_t b = 0; b < ROWS; b++) {
            const int64_t at = g % per * 4 + b % 4, k = g / per * s->length + at;
            unsigned byte = 0;
            for (int64_t f = 0; f < 4; f++) {
                const int64_t r = f * 16 + b / 4;
                if (r >= rows || at >= s->length) continue;
                byte |= (unsigned)(w[r * n + k] + (f < 3)) << (2 * f) & 0xff;
            }
            packed[b] = (uint8_t)byte;
        }
}

INLINE void store_rows(int32_t *acc, __m512i a, __m512i b, __m512i c, __m512i d, int32_t sum) {
    const __m512i t = _mm512_set1_epi32(sum);
    const __m512i r1 = _mm512_srai_epi32(_mm512_sub_epi32(c, d), 2);
    const __m512i r2 = _mm512_srai_epi32(_mm512_sub_epi32(b, c), 4);
    _mm512_storeu_si512(acc, _mm512_sub_epi32(d, t));
    _mm512_storeu_si512(acc + 16, _mm512_sub_epi32(r1, t));
    _mm512_storeu_si512(acc + 32, _mm512_sub_epi32(r2, t));
    _mm512_storeu_si512(acc + 48, _mm512_srai_epi32(_mm512_sub_epi32(a, b), 6));
}

INLINE void tile64(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, const int32_t *sums,
                   int32_t *acc, const int nn) {
    __m512i A[TILE], B[TILE], C[TILE], D[TILE];
    const int64_t step = s->step, per = s->groups / s->segments;
    const masks m = make_masks();
    EACH_PIXEL A[i] = B[i] = C[i] = D[i] = _mm512_setzero_si512();
    for (int64_t segment = 0; segment < s->segments; segment++) {
        const uint8_t *q = x + s->offset[segment * per], *q3 = q + 3 * step;
        for (int64_t g = 0; g < per; g++, w += ROWS, q += 4, q3 += 4) {
            const four_fields fields = masks_of(&m, _mm512_loadu_si512(w));
            PASS(&fields)
        }
    }
    EACH_PIXEL store_rows(acc + i * ROWS, A[i], B[i], C[i], D[i], sums[i]);
}

/* Pixels anywhere: rows of 7 or 8 leave tiles half empty. */
INLINE void loose64(const trit_dot_shape *s, const uint8_t *w, const uint8_t *const x[TILE],
                    const int32_t *sums, int32_t *acc, const int nn) {
    __m512i A[TILE], B[TILE], C[TILE], D[TILE];
    const masks m = make_masks();
    EACH_PIXEL A[i] = B[i] = C[i] = D[i] = _mm512_setzero_si512();
    for (int64_t g = 0; g < s->groups; g++, w += ROWS) {
        const four_fields fields = masks_of(&m, _mm512_loadu_si512(w));
        const int64_t at = s->offset[g];
        EACH_PIXEL multiply(&A[i], &B[i], &C[i], &D[i], &fields, x[i] + at);
    }
    EACH_PIXEL store_rows(acc + i * ROWS, A[i], B[i], C[i], D[i], sums[i]);
}

/* One pixel: even and odd groups apart, 8 chains of sums hide the latency of vpdpbusd. */
static void one_pixel(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, int32_t sum,
                      int32_t *acc) {
    const __m512i m63 = _mm512_set1_epi8(63), m15 = _mm512_set1_epi8(15), m3 = _mm512_set1_epi8(3);
    __m512i A[2], B[2], C[2], D[2];
    for (int i = 0; i < 2; i++) A[i] = B[i] = C[i] = D[i] = _mm512_setzero_si512();
    for (int64_t g = 0; g < s->groups; g += 2)
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            if (g + i >= s->groups) break;
            const __m512i v = _mm512_loadu_si512(w + (g + i) * ROWS);
            const __m512i b = broadcast(x + s->offset[g + i]);
            _mm_prefetch((const char *)w + (g + i) * ROWS + 4096, _MM_HINT_T0);
            A[i] = _mm512_dpbusd_epi32(A[i], b, v);
            B[i] = _mm512_dpbusd_epi32(B[i], b, _mm512_and_si512(v, m63));
            C[i] = _mm512_dpbusd_epi32(C[i], b, _mm512_and_si512(v, m15));
            D[i] = _mm512_dpbusd_epi32(D[i], b, _mm512_and_si512(v, m3));
        }
    store_rows(acc, _mm512_add_epi32(A[0], A[1]), _mm512_add_epi32(B[0], B[1]),
               _mm512_add_epi32(C[0], C[1]), _mm512_add_epi32(D[0], D[1]), sum);
}

typedef void (*tile_fn)(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x,
                        const int32_t *sums, int32_t *acc);

typedef void (*loose_fn)(const trit_dot_shape *s, const uint8_t *w, const uint8_t *const x[TILE],
                         const int32_t *sums, int32_t *acc);

#define SIZED(n)                                                                                   \
    __attribute__((noinline)) static void tile64_##n(const trit_dot_shape *s, const uint8_t *w,    \
                                                     const uint8_t *x, const int32_t *sums,        \
                                                     int32_t *acc) {                               \
        tile64(s, w, x, sums, acc, n);                                                             \
    }                                                                                              \
    __attribute__((noinline)) static void loose64_##n(const trit_dot_shape *s, const uint8_t *w,   \
                                                      const uint8_t *const x[TILE],                \
                                                      const int32_t *sums, int32_t *acc) {         \
        loose64(s, w, x, sums, acc, n);                                                            \
    }
SIZED(1)
SIZED(2)
SIZED(3)
SIZED(4)
SIZED(5)
SIZED(6)
static const tile_fn tiles64[] = {NULL, tile64_1, tile64_2, tile64_3, tile64_4, tile64_5, tile64_6};
static const loose_fn loose_tiles[] = {NULL,      loose64_1, loose64_2, loose64_3,
                                       loose64_4, loose64_5, loose64_6};

static int64_t tiles_of(int64_t pixels) { return (pixels + TILE - 1) / TILE; }

/* Pixels of tile t of `tiles`, when `left` are still to do: as even as possible. */
static int64_t share(int64_t left, int64_t tiles, int64_t t) {
    return (left + tiles - t - 1) / (tiles - t);
}

static void dot_loose(const trit_dot_shape *s, const uint8_t *packed, const uint8_t *x,
                      int64_t width, int64_t pixels, const int32_t *sums, int32_t *acc) {
    const int64_t tiles = tiles_of(pixels);
    int64_t column = 0;
    for (int64_t t = 0, p = 0, n; t < tiles; t++, p += n) {
        const uint8_t *at[TILE];
        n = share(pixels - p, tiles, t);
        for (int64_t i = 0; i < n; i++) {
            at[i] = x + column * s->step;
            if (++column < width) continue;
            column = 0;
            x += s->row_step;
        }
        loose_tiles[n](s, packed, at, sums + p, acc + p * ROWS);
    }
}

static void dot64(const trit_dot_shape *s, const uint8_t *packed, const uint8_t *x, int64_t width,
                  int64_t height, const int32_t *sums, int32_t *acc, void *scratch) {
    (void)scratch;
    if (width * height == 1) {
        one_pixel(s, packed, x, *sums, acc);
        return;
    }
    const int64_t tiles = tiles_of(width);
    if (8 * height * tiles > 9 * tiles_of(width * height)) {
        dot_loose(s, packed, x, width, width * height, sums, acc);
        return;
    }
    for (int64_t row = 0; row < height; row++, x += s->row_step)
        for (int64_t t = 0, p = 0, n; t < tiles; t++, p += n) {
            n = share(width - p, tiles, t);
            tiles64[n](s, packed, x + p * s->step, sums, acc);
            sums += n;
            acc += n * ROWS;
        }
}

/* ------------------------------------------------------------- few channels */

static void pack16(const trit_dot_shape *s, const int8_t *w, int64_t rows, uint8_t *packed) {
    trit_dot_pack_s16(s, w, rows, 16, packed);
}

static void pack32(const trit_dot_shape *s, const int8_t *w, int64_t rows, uint8_t *packed) {
    trit_dot_pack_s16(s, w, rows, 32, packed);
}

/* A pointer near pixel i: few registers hold all addresses. */
#define FOURTH(i) ((i) < 4 ? q : (i) < 8 ? q4 : (i) < 12 ? q8 : q12)

/* nn pixels x `vectors` of 16 rows. */
INLINE void small_tile(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, int32_t *acc,
                       const int vectors, const int nn) {
    __m512i sum[2][16];
    const int64_t step = s->step, per = s->groups / s->segments;
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++)
#pragma GCC unroll 16
        for (int i = 0; i < nn; i++) sum[v][i] = _mm512_setzero_si512();
    for (int64_t segment = 0; segment < s->segments; segment++) {
        const uint8_t *q = x + s->offset[segment * per], *q4 = q + 4 * step, *q8 = q4 + 4 * step;
        const uint8_t *q12 = q8 + 4 * step;
        for (int64_t g = 0; g < per; g++, w += 64 * vectors, q += 4, q4 += 4, q8 += 4, q12 += 4) {
            __m512i m[2];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) m[v] = _mm512_loadu_si512(w + 64 * v);
#pragma GCC unroll 16
            for (int i = 0; i < nn; i++) {
                const __m512i b = broadcast(FOURTH(i) + i % 4 * step);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++)
                    sum[v][i] = _mm512_dpbusd_epi32(sum[v][i], b, m[v]);
            }
        }
    }
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++)
#pragma GCC unroll 16
        for (int i = 0; i < nn; i++) _mm512_storeu_si512(acc + (i * vectors + v) * 16, sum[v][i]);
}

#define SMALL(vectors, n)                                                                          \
    __attribute__((noinline)) static void small##vectors##_##n(                                    \
        const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, int32_t *acc) {               \
        small_tile(s, w, x, acc, vectors, n);                                                      \
    }
SMALL(1, 16)
SMALL(1, 8)
SMALL(1, 4)
SMALL(1, 1)
SMALL(2, 8)
SMALL(2, 4)
SMALL(2, 1)

static void dot16(const trit_dot_shape *s, const uint8_t *packed, const uint8_t *x, int64_t width,
                  int64_t height, const int32_t *sums, int32_t *acc, void *scratch) {
    (void)sums;
    (void)scratch;
    for (int64_t row = 0; row < height; row++, x += s->row_step)
        for (int64_t p = 0, n; p < width; p += n, acc += n * 16) {
            const int64_t left = width - p;
            const uint8_t *q = x + p * s->step;
            n = left >= 16 ? 16 : left >= 8 ? 8 : left >= 4 ? 4 : 1;
            (n == 16  ? small1_16
             : n == 8 ? small1_8
             : n == 4 ? small1_4
                      : small1_1)(s, packed, q, acc);
        }
}

static void dot32(const trit_dot_shape *s, const uint8_t *packed, const uint8_t *x, int64_t width,
                  int64_t height, const int32_t *sums, int32_t *acc, void *scratch) {
    (void)sums;
    (void)scratch;
    for (int64_t row = 0; row < height; row++, x += s->row_step)
        for (int64_t p = 0, n; p < width; p += n, acc += n * 32) {
            const int64_t left = width - p;
            const uint8_t *q = x + p * s->step;
            n = left >= 8 ? 8 : left >= 4 ? 4 : 1;
            (n == 8 ? small2_8 : n == 4 ? small2_4 : small2_1)(s, packed, q, acc);
        }
}

/* 6 pixels x 64 rows of expanded weights: as tile64, without codes to correct. */
INLINE void wide_tile(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, int32_t *acc,
                      const int nn) {
    __m512i A[TILE], B[TILE], C[TILE], D[TILE];
    const int64_t step = s->step;
    EACH_PIXEL A[i] = B[i] = C[i] = D[i] = _mm512_setzero_si512();
    for (int64_t g = 0; g < s->groups; g++, w += 256) { /* runs are too short for a loop each */
        const uint8_t *q = x + s->offset[g], *q3 = q + 3 * step;
        const four_fields fields = {{_mm512_loadu_si512(w), _mm512_loadu_si512(w + 64),
                                     _mm512_loadu_si512(w + 128), _mm512_loadu_si512(w + 192)}};
        PASS(&fields)
    }
    EACH_PIXEL {
        int32_t *to = acc + i * ROWS;
        _mm512_storeu_si512(to, A[i]);
        _mm512_storeu_si512(to + 16, B[i]);
        _mm512_storeu_si512(to + 32, C[i]);
        _mm512_storeu_si512(to + 48, D[i]);
    }
}

#define WIDE(n)                                                                                    \
    __attribute__((noinline)) static void wide_##n(const trit_dot_shape *s, const uint8_t *w,      \
                                                   const uint8_t *x, int32_t *acc) {               \
        wide_tile(s, w, x, acc, n);                                                                \
    }
WIDE(1)
WIDE(2)
WIDE(3)
WIDE(4)
WIDE(5)
WIDE(6)

static void dot_wide(const trit_dot_shape *s, const uint8_t *packed, const uint8_t *x,
                     int64_t width, int64_t height, const int32_t *sums, int32_t *acc,
                     void *scratch) {
    static void (*const tiles[])(const trit_dot_shape *, const uint8_t *, const uint8_t *,
                                 int32_t *) = {NULL,   wide_1, wide_2, wide_3,
                                               wide_4, wide_5, wide_6};
    (void)sums;
    (void)scratch;
    const int64_t n_tiles = tiles_of(width);
    for (int64_t row = 0; row < height; row++, x += s->row_step)
        for (int64_t t = 0, p = 0, n; t < n_tiles; t++, p += n) {
            n = share(width - p, n_tiles, t);
            tiles[n](s, packed, x + p * s->step, acc);
            acc += n * ROWS;
        }
}

static void pack64(const trit_dot_shape *s, const int8_t *w, int64_t rows, uint8_t *packed) {
    trit_dot_pack_s16(s, w, rows, 64, packed);
}

const trit_dot_set trit_dot_vnni64 = {.name = "vnni64",
                                      .block = ROWS,
                                      .pixels = 49,
                                      .max_k = K_MAX,
                                      .sums = true,
                                      .supported = supported,
                                      .block_bytes = ROWS,
                                      .pack = pack_v16,
                                      .dot = dot64};
const trit_dot_set trit_dot_vnni64x = {.name = "vnni64x",
                                       .block = ROWS,
                                       .pixels = 49,
                                       .for_conv = true,
                                       .max_k = SHORT,
                                       .supported = supported,
                                       .block_bytes = 256,
                                       .pack = pack64,
                                       .dot = dot_wide};
const trit_dot_set trit_dot_vnni32 = {.name = "vnni32",
                                      .max_rows = 32,
                                      .block = 32,
                                      .pixels = 64,
                                      .max_k = K_MAX,
                                      .supported = supported,
                                      .block_bytes = 128,
                                      .pack = pack32,
                                      .dot = dot32};
const trit_dot_set trit_dot_vnni16 = {.name = "vnni16",
                                      .max_rows = 16,
                                      .block = 16,
                                      .pixels = 128,
                                      .max_k = K_MAX,
                                      .supported = supported,
                                      .block_bytes = 64,
                                      .pack = pack16,
                                      .dot = dot16};
