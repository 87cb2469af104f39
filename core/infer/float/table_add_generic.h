/*
 * table_add_generic.h - entries added to the sums of eight rows, plainly; what the others must
 * equal.
 */
#define PORTION 4
#define SINGLE  NULL

INLINE void add_rows(int64_t groups, const uint8_t *codes, const float *tables, bool first,
                     float *sums, const int vectors) {
    const int64_t entry_bytes = LANES * 4, table_floats = TABLE_ENTRIES * LANES;
    if (first)
        for (int64_t i = 0; i < TABLE_ROWS * TABLE_PIXELS; i++) sums[i] = 0;
    for (int64_t r = 0; r < TABLE_ROWS; r++)
        for (int64_t g = 0; g < groups; g++) {
            const int64_t code = codes[(r / PORTION * groups + g) * PORTION + r % PORTION];
            for (int64_t v = 0; v < vectors; v++) {
                const float *table = tables + g * TABLE_ENTRIES * TABLE_PIXELS + v * table_floats;
                float *to = sums + r * TABLE_PIXELS + v * LANES;
                store(to, load(to) + load(table + code * 8 / entry_bytes * LANES));
            }
        }
}
