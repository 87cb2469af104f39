/*
 * columns_kernels.c - ternary weights from packed columns to the numbers that a convolution reads;
 * see columns.h.
 */
#include "infer/columns.h"

#include "conv/isa/vec.h"

/* Four rows of the matrix, one plane: w (+)= scale of each code. */
INLINE void add_plane(const trit_columns *c, int64_t plane, const uint8_t *codes, int64_t four,
                      float *w) {
    const float *pos = c->pos + plane * c->K, *neg = c->neg + plane * c->K;
    for (int64_t j = 0; j < four; j++, w += c->K)
        for (int64_t k = 0; k < c->K; k++) {
            const int code = codes[k] >> (2 * j) & 3;
            const float v = code == 2 ? pos[k] : code == 0 ? -neg[k] : 0.0f;
            w[k] = plane ? w[k] + v : v;
        }
}

void SYMBOL(trit_columns_unpack)(void *context, int64_t unit, int worker) {
    (void)worker;
    const trit_columns_job *j = context;
    const trit_columns *c = j->columns;
    const int64_t first = 4 * unit, four = c->len - first < 4 ? c->len - first : 4;
    float *w = j->w + first * c->K;
    for (int64_t p = 0; p < c->planes; p++)
        add_plane(c, p, c->codes + (p * trit_t2_bytes(c->len) + unit) * c->K, four, w);
    for (int64_t i = 0; i < four; i++)
        for (int64_t k = 0; k < c->K; k++) w[i * c->K + k] *= c->gain[k];
}
