/*
 * pack_columns.c - codes of a node packed by columns, and their numbers; see columns.h.
 */
#include "infer/columns.h"

size_t trit_columns_code_bytes(const trit_node *d) {
    return (size_t)(d->planes * trit_t2_bytes(row_length(d)) * d->K);
}

size_t trit_columns_numbers(const trit_node *d) { return (size_t)((2 * d->planes + 1) * d->K); }

void trit_columns_pack(const trit_node *d, trit_columns *c, uint8_t *codes, float *numbers) {
    const int64_t bytes = trit_t2_bytes(row_length(d));
    *c = (trit_columns){.planes = d->planes,
                        .len = row_length(d),
                        .K = d->K,
                        .codes = codes,
                        .pos = numbers,
                        .neg = numbers + d->planes * d->K,
                        .gain = numbers + 2 * d->planes * d->K};
    for (int64_t p = 0; p < d->planes; p++)
        for (int64_t k = 0; k < d->K; k++) {
            const int64_t s = p * d->scales + (d->scales > 1 ? k : 0);
            c->pos[p * d->K + k] = d->scale[s];
            c->neg[p * d->K + k] = d->two_sided ? d->scale_neg[s] : d->scale[s];
            for (int64_t i = 0; i < bytes; i++)
                codes[(p * bytes + i) * d->K + k] = d->codes[(p * d->K + k) * bytes + i];
        }
    for (int64_t k = 0; k < d->K; k++) c->gain[k] = d->gain ? d->gain[k] : 1;
}

void trit_columns_unpack(const trit_columns *c, float *w) {
    static const trit_work units[] = {trit_columns_unpack_generic, trit_columns_unpack_avx2,
                                      trit_columns_unpack_avx512};
    trit_parallel(trit_t2_bytes(c->len), units[trit_isa_level()],
                  &(trit_columns_job){.columns = c, .w = w});
}
