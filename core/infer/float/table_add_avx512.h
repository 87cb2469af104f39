/*
 * table_add_avx512.h - entries added to the sums of eight rows; and all of a single pixel.
 *
 * Four codes come with one load and are taken apart in general registers: the load ports are what
 * binds.  Written as instructions: gcc 12 otherwise loads all codes of a block ahead of their use
 * and spills the sums.
 *
 * A single pixel would leave 15 lanes of a tile idle.  Its tables are 27 numbers, two registers,
 * and 16 rows look theirs up at once.
 */
#include <immintrin.h>

#define PORTION 8
#define SINGLE  single
#define TABLE   (TABLE_ENTRIES * LANES * 4) /* bytes */

typedef uint32_t four_codes __attribute__((may_alias, aligned(1)));

#define TAKE(sum, index) "vaddps (%[t],%q[" index "],8), %[" sum "], %[" sum "]\n\t"

INLINE void add_four(vec *s, const uint8_t *codes, const float *tables) {
    uint64_t w = *(const four_codes *)codes, i, j;
    __asm__("movzbl %b[w], %k[i]\n\t" TAKE("a", "i") /**/
            "movzbl %h[w], %k[j]\n\t"
            "shr $16, %k[w]\n\t" TAKE("b", "j")      /**/
            "movzbl %b[w], %k[i]\n\t" TAKE("c", "i") /**/
            "movzbl %h[w], %k[j]\n\t" TAKE("d", "j")
            : [a] "+v"(s[0]), [b] "+v"(s[1]), [c] "+v"(s[2]), [d] "+v"(s[3]), [w] "+Q"(w),
              [i] "=&Q"(i), [j] "=&Q"(j)
            : [t] "r"(tables), "m"(*(const float(*)[TABLE / 4]) tables)
            : "cc");
}

INLINE void add_rows(int64_t groups, const uint8_t *codes, const float *tables, bool first,
                     float *sums, const int vectors) {
    (void)vectors; /* one is a tile */
    vec s[PORTION];
    UNROLL for (int r = 0; r < PORTION; r++) s[r] =
        first ? (vec){0} : load(sums + r * TABLE_PIXELS);
#pragma GCC unroll 4
    for (int64_t g = 0; g < groups; g++) {
        add_four(s, codes + g * PORTION, tables + g * (TABLE / 4));
        add_four(s + 4, codes + g * PORTION + 4, tables + g * (TABLE / 4));
    }
    UNROLL for (int r = 0; r < PORTION; r++) store(sums + r * TABLE_PIXELS, s[r]);
}

/* ------------------------------------------------------------------- a single pixel */

/* The 27 sums as the tiles have them: the same operations in the same order. */
INLINE void single_table(float a, float b, float c, __m512 *low, __m512 *high) {
    const float none = 0;
    float t[32] = {none - a - b, none - b, a - b, none - a, none, a, b - a, b, a + b};
    for (int i = 8; i >= 0; i--) {
        t[18 + i] = t[i] + c;
        t[9 + i] = t[i];
        t[i] = t[i] - c;
    }
    *low = _mm512_loadu_ps(t);
    *high = _mm512_loadu_ps(t + 16);
}

/* Codes of one group for two portions -> table indices of 16 rows. */
INLINE __m512i indices(const uint8_t *codes, int64_t portion) {
    const __m128i first = _mm_loadl_epi64((const __m128i *)(const void *)codes);
    const __m128i both = _mm_castps_si128(
        _mm_loadh_pi(_mm_castsi128_ps(first), (const __m64 *)(const void *)(codes + portion)));
    return _mm512_srli_epi32(_mm512_cvtepu8_epi32(both), 3);
}

INLINE void single_block(int64_t rows, const int n, const uint8_t *codes, const float *x,
                         const int32_t *offset, float *sums) {
    __m512 low[TABLE_GROUPS], high[TABLE_GROUPS];
    UNROLL for (int g = 0; g < n; g++) single_table(x[offset[3 * g]], x[offset[3 * g + 1]],
                                                    x[offset[3 * g + 2]], &low[g], &high[g]);
    const int64_t portion = n * PORTION;
    for (int64_t r = 0; r < rows; r += 2 * PORTION, codes += 2 * portion) {
        const int64_t second = r + PORTION < rows ? portion : 0; /* an odd one stands alone */
        const __mmask16 there = second ? 0xffff : 0xff;
        __m512 s = _mm512_maskz_loadu_ps(there, sums + r);
        UNROLL for (int g = 0; g < n; g++) s = _mm512_add_ps(
            s, _mm512_permutex2var_ps(low[g], indices(codes + g * PORTION, second), high[g]));
        _mm512_mask_storeu_ps(sums + r, there, s);
    }
}

/* A last block that is not full goes group by group. */
INLINE void single_rest(int64_t rows, int64_t n, const uint8_t *codes, const float *x,
                        const int32_t *offset, float *sums) {
    for (int64_t g = 0; g < n; g++, offset += 3) {
        __m512 low, high;
        float t[32];
        single_table(x[offset[0]], x[offset[1]], x[offset[2]], &low, &high);
        _mm512_storeu_ps(t, low);
        _mm512_storeu_ps(t + 16, high);
        for (int64_t r = 0; r < rows; r++)
            sums[r] += t[codes[(r / PORTION * n + g) * PORTION + r % PORTION] / 8];
    }
}

static void single(int64_t first, int64_t rows, const trit_table_codes *w, const float *x,
                   float *sums) {
    for (int64_t r = 0; r < rows; r++) sums[r] = 0;
    for (int64_t g = 0; g < w->groups; g += TABLE_GROUPS) {
        const int64_t n = w->groups - g < TABLE_GROUPS ? w->groups - g : TABLE_GROUPS;
        const uint8_t *codes = w->codes + g * w->rows + first * n;
        if (n == TABLE_GROUPS)
            single_block(rows, TABLE_GROUPS, codes, x, w->offset + 3 * g, sums);
        else
            single_rest(rows, n, codes, x, w->offset + 3 * g, sums);
    }
}
