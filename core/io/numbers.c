/*
 * numbers.c - number formats of files against float, little-endian.
 *
 * Half to float is exact.  Float to half and to bfloat16 rounds to nearest, ties to even; what is
 * too large becomes infinity, NaN stays NaN.  Integers of 32 and 64 bits and doubles are rounded to
 * float.
 */
#include <math.h>
#include <string.h>

#include "trit/io.h"

static const struct {
    const char *name;
    size_t size;
} kinds[] = {
    [TRIT_NUM_F32] = {"f32", 4},   [TRIT_NUM_F64] = {"f64", 8}, [TRIT_NUM_F16] = {"f16", 2},
    [TRIT_NUM_BF16] = {"bf16", 2}, [TRIT_NUM_I8] = {"i8", 1},   [TRIT_NUM_U8] = {"u8", 1},
    [TRIT_NUM_I16] = {"i16", 2},   [TRIT_NUM_U16] = {"u16", 2}, [TRIT_NUM_I32] = {"i32", 4},
    [TRIT_NUM_U32] = {"u32", 4},   [TRIT_NUM_I64] = {"i64", 8}, [TRIT_NUM_U64] = {"u64", 8},
    [TRIT_NUM_BOOL] = {"bool", 1},
};

size_t trit_num_size(trit_num kind) { return kinds[kind].size; }

bool trit_num_find(const char *name, trit_num *kind) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strcmp(kinds[i].name, name)) {
            *kind = (trit_num)i;
            return true;
        }
    return false;
}

static uint64_t load(const uint8_t *p, size_t size) {
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static void store(uint8_t *p, size_t size, uint64_t v) {
    for (size_t i = 0; i < size; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Sign 1, exponent 5 (bias 15), fraction 10. */
static float from_half(uint32_t h) {
    const uint32_t sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
    if (exponent == 31) return float_of(sign | 0x7f800000u | fraction << 13);
    if (exponent) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
    const float small = (float)fraction * 0x1p-24f; /* a subnormal half is a normal float */
    return sign ? -small : small;
}

static uint32_t to_half(float f) {
    const uint32_t bits = bits_of(f), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return sign | 0x7e00u;  /* NaN */
    if (magnitude >= 0x477ff000u) return sign | 0x7c00u; /* from 65520 on: infinity */
    if (magnitude < 0x38800000u)                         /* below 2^-14: steps of 2^-24 */
        return sign | (uint32_t)nearbyint(fabs((double)f) * 0x1p24);
    const uint32_t up = 0xfffu + (magnitude >> 13 & 1); /* half a step, ties to even */
    return sign | (magnitude - 0x38000000u + up) >> 13;
}

static uint32_t to_bfloat(float f) {
    const uint32_t bits = bits_of(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u; /* NaN, quiet */
    return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}

static float decode(trit_num kind, const uint8_t *p) {
    const uint64_t v = load(p, kinds[kind].size);
    double d;
    switch (kind) {
    case TRIT_NUM_F32: return float_of((uint32_t)v);
    case TRIT_NUM_F64: memcpy(&d, &v, sizeof d); return (float)d;
    case TRIT_NUM_F16: return from_half((uint32_t)v);
    case TRIT_NUM_BF16: return float_of((uint32_t)v << 16);
    case TRIT_NUM_I8: return (float)(int8_t)v;
    case TRIT_NUM_I16: return (float)(int16_t)v;
    case TRIT_NUM_I32: return (float)(int32_t)v;
    case TRIT_NUM_I64: return (float)(int64_t)v;
    case TRIT_NUM_BOOL: return v ? 1.0f : 0.0f;
    default: return (float)v;
    }
}

void trit_num_decode(trit_num kind, const void *from, int64_t n, float *to) {
    const uint8_t *p = from;
    for (int64_t i = 0; i < n; i++, p += kinds[kind].size) to[i] = decode(kind, p);
}

int64_t trit_num_pack2_size(int64_t n) { return (n + 3) / 4; }

trit_status trit_num_pack2(const float *from, int64_t n, void *to) {
    uint8_t *p = to;
    memset(p, 0, (size_t)trit_num_pack2_size(n));
    for (int64_t i = 0; i < n; i++) {
        const int code = (int)from[i];
        if ((float)code != from[i] || code < -2 || code > 1)
            return trit_fail(TRIT_ERR_ARG, "number %lld is %g, not one of -2, -1, 0, 1",
                             (long long)i, (double)from[i]);
        p[i / 4] |= (uint8_t)((code & 3) << (2 * (i % 4)));
    }
    return TRIT_OK;
}

/* Rounded and cut to -128..127; NaN is 0. */
static uint64_t to_byte(float f) {
    return (uint8_t)(int8_t)fmaxf(-128, fminf(127, nearbyintf(isnan(f) ? 0 : f)));
}

trit_status trit_num_encode(trit_num kind, const float *from, int64_t n, void *to) {
    uint8_t *p = to;
    if (kind != TRIT_NUM_F32 && kind != TRIT_NUM_F16 && kind != TRIT_NUM_BF16 &&
        kind != TRIT_NUM_I8)
        return trit_fail(TRIT_ERR_UNSUPPORTED,
                         "numbers are written as f32, f16, bf16 or i8, not %s", kinds[kind].name);
    for (int64_t i = 0; i < n; i++, p += kinds[kind].size)
        store(p, kinds[kind].size,
              kind == TRIT_NUM_F32   ? bits_of(from[i])
              : kind == TRIT_NUM_F16 ? to_half(from[i])
              : kind == TRIT_NUM_I8  ? to_byte(from[i])
                                     : to_bfloat(from[i]));
    return TRIT_OK;
}
