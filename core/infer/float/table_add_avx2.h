/*
 * table_add_avx2.h - entries added to the sums of four rows, two vectors of 8 pixels each.
 *
 * Four codes come with one load and are taken apart in general registers.  Written as instructions:
 * gcc 12 otherwise loads all codes of a block ahead of their use and spills the sums.
 */
#define PORTION 4
#define SINGLE  NULL
#define TABLE   (TABLE_ENTRIES * LANES * 4) /* bytes of one vector's table */

typedef uint32_t four_codes __attribute__((may_alias, aligned(1)));

#define TAKE(low, high, index)                                                                     \
    "vaddps (%[t],%q[" index "],8), %[" low "], %[" low "]\n\t"                                    \
    "vaddps %c[next](%[t],%q[" index "],8), %[" high "], %[" high "]\n\t"

INLINE void add_group(vec s[PORTION][2], const uint8_t *codes, const float *tables) {
    uint64_t w = *(const four_codes *)codes, i, j;
    __asm__("movzbl %b[w], %k[i]\n\t" TAKE("a0", "a1", "i") /**/
            "movzbl %h[w], %k[j]\n\t"
            "shr $16, %k[w]\n\t" TAKE("b0", "b1", "j")      /**/
            "movzbl %b[w], %k[i]\n\t" TAKE("c0", "c1", "i") /**/
            "movzbl %h[w], %k[j]\n\t" TAKE("d0", "d1", "j")
            : [a0] "+x"(s[0][0]), [a1] "+x"(s[0][1]), [b0] "+x"(s[1][0]), [b1] "+x"(s[1][1]),
              [c0] "+x"(s[2][0]), [c1] "+x"(s[2][1]), [d0] "+x"(s[3][0]), [d1] "+x"(s[3][1]),
              [w] "+Q"(w), [i] "=&Q"(i), [j] "=&Q"(j)
            : [t] "r"(tables), [next] "i"(TABLE), "m"(*(const float(*)[2 * TABLE / 4]) tables)
            : "cc");
}

#define TAKE_ONE(sum, index) "vaddps (%[t],%q[" index "],8), %[" sum "], %[" sum "]\n\t"

/* The first 8 pixels alone. */
INLINE void add_half_group(vec s[PORTION][2], const uint8_t *codes, const float *tables) {
    uint64_t w = *(const four_codes *)codes, i, j;
    __asm__("movzbl %b[w], %k[i]\n\t" TAKE_ONE("a", "i") /**/
            "movzbl %h[w], %k[j]\n\t"
            "shr $16, %k[w]\n\t" TAKE_ONE("b", "j")      /**/
            "movzbl %b[w], %k[i]\n\t" TAKE_ONE("c", "i") /**/
            "movzbl %h[w], %k[j]\n\t" TAKE_ONE("d", "j")
            : [a] "+x"(s[0][0]), [b] "+x"(s[1][0]), [c] "+x"(s[2][0]), [d] "+x"(s[3][0]),
              [w] "+Q"(w), [i] "=&Q"(i), [j] "=&Q"(j)
            : [t] "r"(tables), "m"(*(const float(*)[TABLE / 4]) tables)
            : "cc");
}

INLINE void load_sums(vec s[PORTION][2], const float *sums, bool first, const int vectors) {
    UNROLL for (int r = 0; r < PORTION; r++) UNROLL for (int v = 0; v < vectors; v++) s[r][v] =
        first ? (vec){0} : load(sums + r * TABLE_PIXELS + v * LANES);
}

INLINE void store_sums(float *sums, vec s[PORTION][2], const int vectors) {
    UNROLL for (int r = 0; r < PORTION; r++) UNROLL for (int v = 0; v < vectors; v++)
        store(sums + r * TABLE_PIXELS + v * LANES, s[r][v]);
}

/* Both portions of 8 rows; with half a tile side by side, for four sums would wait for each other.
 * */
INLINE void add_rows(int64_t groups, const uint8_t *codes, const float *tables, bool first,
                     float *sums, const int vectors) {
    const uint8_t *second = codes + groups * PORTION;
    float *second_sums = sums + PORTION * TABLE_PIXELS;
    vec s[PORTION][2], t[PORTION][2];
    load_sums(s, sums, first, vectors);
    if (vectors == 2) {
#pragma GCC unroll 4
        for (int64_t g = 0; g < groups; g++)
            add_group(s, codes + g * PORTION, tables + g * (2 * TABLE / 4));
        store_sums(sums, s, 2);
        load_sums(t, second_sums, first, 2);
#pragma GCC unroll 4
        for (int64_t g = 0; g < groups; g++)
            add_group(t, second + g * PORTION, tables + g * (2 * TABLE / 4));
        store_sums(second_sums, t, 2);
        return;
    }
    load_sums(t, second_sums, first, 1);
#pragma GCC unroll 4
    for (int64_t g = 0; g < groups; g++) {
        add_half_group(s, codes + g * PORTION, tables + g * (2 * TABLE / 4));
        add_half_group(t, second + g * PORTION, tables + g * (2 * TABLE / 4));
    }
    store_sums(sums, s, 1);
    store_sums(second_sums, t, 1);
}
