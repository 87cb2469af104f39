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

INLINE void add_portion(int64_t groups, const uint8_t *codes, const float *tables, bool first,
                        float *sums) {
    vec s[PORTION][2];
    UNROLL for (int r = 0; r < PORTION; r++) UNROLL for (int v = 0; v < 2; v++) s[r][v] =
        first ? (vec){0} : load(sums + r * TABLE_PIXELS + v * LANES);
#pragma GCC unroll 4
    for (int64_t g = 0; g < groups; g++)
        add_group(s, codes + g * PORTION, tables + g * (2 * TABLE / 4));
    UNROLL for (int r = 0; r < PORTION; r++) UNROLL for (int v = 0; v < 2; v++)
        store(sums + r * TABLE_PIXELS + v * LANES, s[r][v]);
}
