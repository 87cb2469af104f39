/*
 * finish_kernels.c - integer sums to bytes, and small byte work; see finish.def.
 *
 * Plain loops for the compiler's vectors, but for the one step that decides (requant_*.h).
 * Rounding: v in 0 .. 255 plus 2^23 leaves round(v), ties to even, in the low bits of the float, on
 * every instruction set.  This file is compiled without contraction: a product and a sum are never
 * fused, so that all levels give the same bits.
 */
#include <string.h>

#include "infer/finish.h"
#include TRIT_REQUANT

#define PASTE_(name, suffix) trit_f_##name##_##suffix
#define PASTE(name, suffix)  PASTE_(name, suffix)
#define FINISH(name)         PASTE(name, TRIT_ISA_SUFFIX)
#define INLINE               static inline __attribute__((always_inline))

#define F(name, parameters) void FINISH(name) parameters;
#include "infer/isa/finish.def"
#undef F

#define PIECE       16         /* channels: all blocks of rows are multiples */
#define WIDE        64         /* bytes of max_wide: one AVX-512 vector, two of AVX2 */
#define TO_LOW_BITS 8388608.0f /* 2^23 */

INLINE uint8_t round_byte(float v) {
    const float shifted = v + TO_LOW_BITS;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return (uint8_t)bits;
}

INLINE float bounded(float v, float lo, float hi) {
    v = v > lo ? v : lo; /* NaN becomes lo: there is no byte for it */
    return v < hi ? v : hi;
}

void FINISH(quantize)(int64_t n, const float *x, float inv, float zero, float top, uint8_t *q) {
    for (int64_t i = 0; i < n; i++) q[i] = round_byte(bounded(x[i] * inv + zero, 0.0f, top));
}

void FINISH(restore)(int64_t n, const uint8_t *q, float step, float zero, float *x) {
    for (int64_t i = 0; i < n; i++) x[i] = ((float)q[i] - zero) * step;
}

void FINISH(partial)(int64_t pixels, int64_t rows, int64_t ld, bool first, const int32_t *acc,
                     const float *scale, float *part) {
    for (int64_t p = 0; p < pixels; p++, acc += ld, part += ld)
        for (int64_t r = 0; r < rows; r++)
            part[r] = (first ? 0.0f : part[r]) + (float)acc[r] * scale[r];
}

INLINE float value(const trit_requant *t, int64_t r, const int32_t *acc, const float *part,
                   const uint8_t *add) {
    float v = (float)acc[r] * t->scale[r];
    if (part) v = part[r] + v;
    v = v + t->bias[r];
    if (add) v = v + (float)add[r] * t->add_scale;
    return bounded(v, t->lo, t->hi);
}

INLINE void requant(const trit_requant *t, int64_t pixels, const int32_t *acc, const float *part,
                    const uint8_t *add, uint8_t *restrict y) {
    for (int64_t p = 0; p < pixels; p++) {
        int64_t r = 0;
        for (; r + PIECE <= t->rows; r += PIECE)
            requant16(acc + r, part ? part + r : part, add ? add + r : add, t, r, y + r);
        for (; r < t->rows; r++) y[r] = round_byte(value(t, r, acc, part, add));
        acc += t->ld;
        if (part) part += t->ld;
        if (add) add += t->add_step;
        y += t->y_step;
    }
}

void FINISH(requant)(const trit_requant *t, int64_t pixels, const int32_t *acc, const float *part,
                     const uint8_t *add, uint8_t *y) {
    const trit_requant own = *t; /* so that stores to y cannot change it */
    if (part && add)
        requant(&own, pixels, acc, part, add, y);
    else if (part)
        requant(&own, pixels, acc, part, NULL, y);
    else if (add)
        requant(&own, pixels, acc, NULL, add, y);
    else
        requant(&own, pixels, acc, NULL, NULL, y);
}

void FINISH(floats)(const trit_requant *t, int64_t pixels, const int32_t *acc, const float *part,
                    const uint8_t *add, float *y) {
    for (int64_t p = 0; p < pixels; p++) {
        for (int64_t r = 0; r < t->rows; r++) y[r] = value(t, r, acc, part, add);
        acc += t->ld;
        if (part) part += t->ld;
        if (add) add += t->add_step;
        y += t->y_step;
    }
}

void FINISH(max_bytes)(int64_t taps, const int64_t *offset, int64_t C, const uint8_t *x,
                       uint8_t *y) {
    int64_t c = 0;
    for (; c + WIDE <= C; c += WIDE) max_wide(taps, offset, x + c, y + c);
    for (; c < C; c++) {
        uint8_t most = 0;
        for (int64_t k = 0; k < taps; k++) most = x[offset[k] + c] > most ? x[offset[k] + c] : most;
        y[c] = most;
    }
}

void FINISH(sum_bytes)(int64_t taps, const int64_t *offset, int64_t C, const uint8_t *x,
                       int32_t *sum) {
    memset(sum, 0, (size_t)C * sizeof *sum);
    for (int64_t k = 0; k < taps; k++) {
        const uint8_t *from = x + offset[k];
        for (int64_t c = 0; c < C; c++) sum[c] += from[c];
    }
}

void FINISH(pixel_sums)(int64_t pixels, int64_t step, int64_t n, const uint8_t *x, int32_t *sum) {
    if (n == 3) /* pictures: too short for vectors along a pixel */
        for (int64_t p = 0; p < pixels; p++)
            sum[p] = x[p * step] + x[p * step + 1] + x[p * step + 2];
    for (int64_t p = 0; n != 3 && p < pixels; p++, x += step) sum[p] = sum_of(n, x);
}

/* Vectors of bytes, as wide as the widest register and as narrow layers are. */
typedef uint8_t wide_bytes __attribute__((vector_size(WIDE), aligned(1), may_alias));
typedef uint8_t some_bytes __attribute__((vector_size(PIECE), aligned(1), may_alias));

#define PLANES(type, c)                                                                            \
    do {                                                                                           \
        const type a0 = *(const type *)(d0 + (c)), a1 = *(const type *)(d1 + (c));                 \
        const type a2 = *(const type *)(d2 + (c)), a3 = *(const type *)(d3 + (c));                 \
        *(type *)(v + (c)) = a0 - a2 + 128;                                                        \
        *(type *)(v + plane + (c)) = a1 + a2;                                                      \
        *(type *)(v + 2 * plane + (c)) = a2 - a1 + 128;                                            \
        *(type *)(v + 3 * plane + (c)) = a1 - a3 + 128;                                            \
    } while (0)

void FINISH(wino_planes)(int64_t pairs, int64_t C, int64_t columns, int64_t plane, const uint8_t *x,
                         uint8_t *v) {
    for (int64_t p = 0; p < pairs; p++, x += 2 * C, v += C) {
        const uint8_t *d0 = x, *d1 = x + C, *d2 = d1 + C, *d3 = 2 * p + 3 < columns ? d2 + C : d2;
        int64_t c = 0;
        for (; c + WIDE <= C; c += WIDE) PLANES(wide_bytes, c);
        for (; c + PIECE <= C; c += PIECE) PLANES(some_bytes, c);
        for (; c < C; c++) PLANES(uint8_t, c);
    }
}

void FINISH(depthwise)(int64_t taps, const int32_t *offset, int64_t C, const int8_t *w,
                       const uint8_t *x, int32_t *acc) {
    memset(acc, 0, (size_t)C * sizeof *acc);
    for (int64_t k = 0; k < taps; k++, w += C) {
        const uint8_t *from = x + offset[k];
        for (int64_t c = 0; c < C; c++) acc[c] += w[c] * from[c];
    }
}
