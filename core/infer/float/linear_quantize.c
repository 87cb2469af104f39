/*
 * linear_quantize.c - a vector to 8 bits of its own range, in two passes; see linear_set.h.
 *
 * x inv + 128 plus 2^23 leaves the rounded number, ties to even, in the low bits of the float.  The
 * product and the sums are rounded on their own (this file is compiled without contraction): the
 * same bits on every instruction set.
 */
#include "infer/linear_set.h"

#include "conv/isa/vec.h"

#define ZERO        128
#define STEPS       127.0f
#define TO_LOW_BITS 8388608.0f /* 2^23 */

typedef int32_t ints __attribute__((vector_size(LANES * 4)));
typedef uint8_t bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

INLINE vec larger(vec a, vec b) {
    const ints m = a > b;
    return (vec)((m & (ints)a) | (~m & (ints)b));
}

static float largest(int64_t K, const float *x) {
    vec side[4] = {{0}};
    float most = 0;
    int64_t k = 0;
    for (; k + 4 * LANES <= K; k += 4 * LANES) UNROLL for (int i = 0; i < 4; i++) {
            const vec v = load(x + k + i * LANES);
            side[i] = larger(larger(v, -v), side[i]);
        }
    for (; k < K; k++) most = __builtin_fabsf(x[k]) > most ? __builtin_fabsf(x[k]) : most;
    const vec all = larger(larger(side[0], side[1]), larger(side[2], side[3]));
    for (int l = 0; l < LANES; l++) most = all[l] > most ? all[l] : most;
    return most;
}

/* The low byte of v + 2^23 for v in 0 .. 255. */
INLINE int32_t low_byte(float v) {
    const float shifted = v + TO_LOW_BITS;
    int32_t bits;
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    return bits & 255;
}

void SYMBOL(trit_linear_quantize)(int64_t K, const float *x, int8_t *q, uint8_t *u, int32_t *sum,
                                  float *step) {
    const float most = largest(K, x), inv = most > 0 ? STEPS / most : 0.0f;
    const vec none = {0}, top = splat(255.0f);
    ints total = {0};
    int32_t all = 0;
    int64_t k = 0;
    for (; k + LANES <= K; k += LANES) {
        vec v = load(x + k) * splat(inv) + splat((float)ZERO);
        v = -larger(-larger(v, none), -top); /* NaN becomes 0: there is no byte for it */
        const ints w = (ints)(v + splat(TO_LOW_BITS)) & 255;
        total += w - ZERO;
        const bytes b = __builtin_convertvector(w, bytes);
        *(bytes *)(u + k) = b;
        *(bytes *)(q + k) = b ^ ZERO;
    }
    for (; k < K; k++) {
        float v = x[k] * inv + (float)ZERO;
        v = v > 0 ? v : 0.0f;
        const int32_t w = low_byte(v < 255.0f ? v : 255.0f);
        u[k] = (uint8_t)w;
        q[k] = (int8_t)(w - ZERO);
        all += w - ZERO;
    }
    for (int l = 0; l < LANES; l++) all += total[l];
    *sum = all;
    *step = most / STEPS;
}
