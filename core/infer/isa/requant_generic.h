/*
 * requant_generic.h - 16 channels from integer sums to bytes, sums and maxima of bytes, plainly:
 * what the others must equal.
 */
#include <string.h>

static inline __attribute__((always_inline)) void requant16(const int32_t *acc, const float *part,
                                                            const uint8_t *add,
                                                            const trit_requant *t, int64_t r,
                                                            uint8_t *y) {
    for (int64_t i = 0; i < 16; i++) {
        float v = (float)acc[i] * t->scale[r + i];
        if (part) v = part[i] + v;
        v = v + t->bias[r + i];
        if (add) v = v + (float)add[i] * t->add_scale;
        v = v > t->lo ? v : t->lo; /* NaN becomes lo */
        v = (v < t->hi ? v : t->hi) + 8388608.0f;
        int32_t bits;
        memcpy(&bits, &v, sizeof bits);
        y[i] = (uint8_t)bits;
    }
}

static inline __attribute__((always_inline)) int32_t sum_of(int64_t n, const uint8_t *x) {
    int32_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

/* Maxima of 64 bytes over the taps. */
static inline __attribute__((always_inline)) void max_wide(int64_t taps, const int64_t *offset,
                                                           const uint8_t *x, uint8_t *y) {
    memset(y, 0, 64);
    for (int64_t k = 0; k < taps; k++)
        for (int64_t i = 0; i < 64; i++) y[i] = x[offset[k] + i] > y[i] ? x[offset[k] + i] : y[i];
}
