/*
 * peak.h - what the processor can do at most, per instruction set: products of u8 x s8 bytes added
 * up in registers, and reading memory.  The yardsticks of benchmarks.
 */
#ifndef TRIT_INFER_PEAK_H
#define TRIT_INFER_PEAK_H

#include "trit/base.h"

typedef struct {
    const char *name;
    bool (*supported)(void);
    int64_t products; /* of one step */
    /* `steps` times as many independent products as registers hold; the result keeps them. */
    int32_t (*multiply)(int64_t steps, uint8_t x);
    /* All of n bytes, a multiple of 256 at a 64-byte boundary; zeros give 0. */
    uint64_t (*read)(const uint8_t *bytes, size_t n);
} trit_peak_set;

extern const trit_peak_set trit_peak_generic, trit_peak_avx2, trit_peak_vnni;

#endif
