/*
 * peak.c - as many multiply-adds as the registers hold, nothing else: what the processor can do.
 */
#include "kernels/isa/isa.h"

#define UNROLL _Pragma("GCC unroll 12")
#define CHAINS 12 /* independent sums: latency times throughput of a fused multiply-add */

void KERNEL(peak)(int64_t n, float *sink) {
    vf sum[CHAINS], x = {0};
    x += 0.999f;
    UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = x * (float)(i + 1); /* all different */
    for (int64_t k = 0; k < n; k++) UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = sum[i] * x + x;
    UNROLL for (int i = 1; i < CHAINS; i++) sum[0] += sum[i];
    for (int l = 0; l < LANES; l++) *sink += sum[0][l];
}
