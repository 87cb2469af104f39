/*
 * peak.c - the measured peak of float multiply-adds, all threads at once.
 */
#include <time.h>

#include "kernels/kernels.h"

#define CHAINS       12 /* isa/peak.c */
#define STEPS        20000
#define LANES(level) ((level) == TRIT_ISA_AVX512 ? 16 : (level) == TRIT_ISA_AVX2 ? 8 : 4)

static void unit(void *context, int64_t u, int worker) {
    (void)context, (void)u, (void)worker;
    float sink = 0.0f;
    trit_kernels()->peak(STEPS, &sink);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double trit_peak_gflops(double seconds) {
    const double each = 2.0 * CHAINS * STEPS * LANES(trit_isa_level());
    const int64_t units = 8 * trit_threads();
    double best = 0;
    for (double end = now() + seconds; now() < end;) {
        const double began = now();
        trit_parallel(units, unit, NULL);
        const double rate = each * (double)units / (now() - began) * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}
