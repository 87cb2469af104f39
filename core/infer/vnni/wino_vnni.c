/*
 * wino_vnni.c - Winograd F(2,3) by vpdpbusd: tiles of 6 pairs of pixels x 64 rows, position after
 * position; see wino.h and dot_vnni.c, whose masks separate the fields.
 *
 * Nibbles: with v = packed bytes as signed numbers, A = dp(x, v) and B = dp(x, v & 15) give two
 * rows' sums B and (A - B) / 16.  |A| <= 128 x 255 per number, so K <= 65 536 keeps 32 bits.
 */
#include "infer/vnni/fields.h"
#include "infer/wino.h"

#define ROWS  64
#define GROUP 384 /* bytes: 128 + 128 + 64 + 64 */

static bool supported(void) { return trit_isa_level() >= TRIT_ISA_AVX512 && trit_cpu_has_vnni(); }

static size_t bytes(const trit_wino_shape *s) {
    return (size_t)s->dot.groups * GROUP + 2 * ROWS * sizeof(int32_t);
}

static void pack(const trit_wino_shape *s, const int8_t *w, int64_t rows, uint8_t *packed) {
    trit_wino_pack(s, w, rows, ROWS / 4, true, packed);
}

/* Sums of one position -> results of the tile's pairs, in the order 1, 2, 0, 3; y [2 nn][ROWS]. */
typedef struct {
    const int32_t *c;    /* constants of both results, [2][ROWS] */
    const int32_t *sums; /* of both pixels of every pair */
    int32_t *y;
} target;

INLINE __m512i load(const int32_t *v) { return _mm512_loadu_si512(v); }

INLINE void add_first(const target *to, int i, int f, __m512i m) {
    _mm512_storeu_si512(to->y + 2 * i * ROWS + 16 * f, m);
}

INLINE void add_second(const target *to, int i, int f, __m512i m) {
    int32_t *y = to->y + 2 * i * ROWS + 16 * f;
    const __m512i m1 = load(y);
    _mm512_storeu_si512(y, _mm512_srai_epi32(_mm512_add_epi32(m1, m), 1));
    _mm512_storeu_si512(y + ROWS, _mm512_srai_epi32(_mm512_sub_epi32(m1, m), 1));
}

/* The last step of result e: positions 0 and 3. */
INLINE void add_last(const target *to, int i, int f, __m512i m, const int e) {
    int32_t *y = to->y + (2 * i + e) * ROWS + 16 * f;
    __m512i v = _mm512_add_epi32(load(y), load(to->c + e * ROWS + 16 * f));
    v = e ? _mm512_sub_epi32(v, m) : _mm512_add_epi32(v, m);
    if (f < 3) v = _mm512_sub_epi32(v, _mm512_set1_epi32(to->sums[2 * i + e]));
    _mm512_storeu_si512(y, v);
}

INLINE void add(const target *to, int i, int f, __m512i m, const int t) {
    if (t == 1) add_first(to, i, f, m);
    if (t == 2) add_second(to, i, f, m);
    if (t == 0) add_last(to, i, f, m, 0);
    if (t == 3) add_last(to, i, f, m, 1);
}

INLINE __m512i difference(__m512i a, __m512i b, const int bits) {
    return _mm512_srai_epi32(_mm512_sub_epi32(a, b), bits);
}

INLINE four_fields nibbles_of(const masks *m, __m512i v, __m512i u) {
    return (four_fields){{v, _mm512_and_si512(v, m->m15), u, _mm512_and_si512(u, m->m15)}};
}

/* Position t of nn pairs; `ahead` are weights that will be needed, as many as are read here. */
INLINE void tile(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, const uint8_t *ahead,
                 const target *to, const int t, const int nn) {
    __m512i A[TILE], B[TILE], C[TILE], D[TILE];
    const int64_t step = s->step, per = s->groups / s->segments;
    const bool wide = t == 1 || t == 2;
    const masks m = make_masks();
    EACH_PIXEL A[i] = B[i] = C[i] = D[i] = _mm512_setzero_si512();
    for (int64_t segment = 0; segment < s->segments; segment++) {
        const uint8_t *q = x + s->offset[segment * per], *q3 = q + 3 * step;
        for (int64_t g = 0; g < per; g++, q += 4, q3 += 4) {
            const __m512i v = _mm512_loadu_si512(w);
            _mm_prefetch((const char *)ahead, _MM_HINT_T0);
            const four_fields fields =
                wide ? nibbles_of(&m, v, _mm512_loadu_si512(w + ROWS)) : masks_of(&m, v);
            PASS(&fields)
            w += wide ? 2 * ROWS : ROWS;
            ahead += 64;
        }
    }
    EACH_PIXEL {
        add(to, i, 0, wide ? B[i] : D[i], t);
        add(to, i, 1, wide ? difference(A[i], B[i], 4) : difference(C[i], D[i], 2), t);
        add(to, i, 2, wide ? D[i] : difference(B[i], C[i], 4), t);
        add(to, i, 3, wide ? difference(C[i], D[i], 4) : difference(A[i], B[i], 6), t);
    }
}

typedef void (*tile_fn)(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x,
                        const uint8_t *ahead, const target *to);

#define SIZED(t, n)                                                                                \
    __attribute__((noinline)) static void tile##t##_##n(const trit_dot_shape *s, const uint8_t *w, \
                                                        const uint8_t *x, const uint8_t *ahead,    \
                                                        const target *to) {                        \
        tile(s, w, x, ahead, to, t, n);                                                            \
    }
#define POSITION(t)                                                                                \
    SIZED(t, 1)                                                                                    \
    SIZED(t, 2)                                                                                    \
    SIZED(t, 3)                                                                                    \
    SIZED(t, 4)                                                                                    \
    SIZED(t, 5)                                                                                    \
    SIZED(t, 6)                                                                                    \
    static const tile_fn tiles##t[] = {NULL,        tile##t##_1, tile##t##_2, tile##t##_3,         \
                                       tile##t##_4, tile##t##_5, tile##t##_6};
POSITION(0)
POSITION(1)
POSITION(2)
POSITION(3)

/* Position by position, so that its weights stay in the first-level cache for all tiles; what the
 * next one needs is fetched meanwhile. */
static void dot(const trit_wino_shape *s, const uint8_t *packed, const uint8_t *v, int64_t pairs,
                const int32_t *sums, int32_t *acc, void *scratch) {
    static const tile_fn *const all[WINO_PLANES] = {tiles0, tiles1, tiles2, tiles3};
    const int64_t tiles = (pairs + TILE - 1) / TILE, lines = s->dot.groups * ROWS;
    const int32_t *c = (const int32_t *)(const void *)(packed + 6 * lines);
    const uint8_t *w = packed;
    (void)scratch;
    for (int k = 0; k < WINO_PLANES; k++) {
        const int t = trit_wino_order[k];
        const uint8_t *next = w + (t == 1 || t == 2 ? 2 : 1) * lines;
        for (int64_t i = 0, p = 0; i < tiles; i++) { /* as even as possible */
            const int64_t n = (pairs - p + tiles - i - 1) / (tiles - i);
            const target to = {c, sums + 2 * p, acc + 2 * p * ROWS};
            const uint8_t *ahead = i < 2 && k < 3 ? next + i * lines : w;
            all[t][n](&s->dot, w, v + t * s->plane + p * s->dot.step, ahead, &to);
            p += n;
        }
        w = next;
    }
}

const trit_wino_set trit_wino_vnni64 = {.name = "vnni64",
                                        .block = ROWS,
                                        .pairs = 28,
                                        .least_rows = 33,
                                        .sums = true,
                                        .supported = supported,
                                        .bytes = bytes,
                                        .pack = pack,
                                        .dot = dot};
