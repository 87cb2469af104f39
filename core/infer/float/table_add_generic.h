/*
 * table_add_generic.h - entries added to the sums of four rows, plainly; what the others must
 * equal.
 */
#define PORTION 4
#define SINGLE  NULL

INLINE void add_portion(int64_t groups, const uint8_t *codes, const float *tables, bool first,
                        float *sums) {
    const int64_t vectors = TABLE_PIXELS / LANES, entry_bytes = LANES * 4;
    if (first)
        for (int64_t i = 0; i < PORTION * TABLE_PIXELS; i++) sums[i] = 0;
    for (int64_t g = 0; g < groups; g++)
        for (int64_t r = 0; r < PORTION; r++, codes++)
            for (int64_t v = 0; v < vectors; v++) {
                const float *table = tables + (g * vectors + v) * TABLE_ENTRIES * LANES;
                const float *entry = table + *codes * 8 / entry_bytes * LANES;
                float *to = sums + r * TABLE_PIXELS + v * LANES;
                store(to, load(to) + load(entry));
            }
}
