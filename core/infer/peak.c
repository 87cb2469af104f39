/*
 * peak.c - measured limits of this processor, all threads at once; and the plain set of loops.
 */
#include "infer/peak.h"

#include <string.h>

#include "infer/runner.h"

#define STEPS  20000
#define CHAINS 16

static const trit_peak_set *const sets[] = {&trit_peak_vnni, &trit_peak_avx2, &trit_peak_generic};

static const trit_peak_set *chosen(void) {
    int i = 0;
    while (!sets[i]->supported()) i++;
    return sets[i];
}

static bool always(void) { return true; }

/* What a compiler makes of the sum of products without wider instructions. */
static int32_t multiply(int64_t steps, uint8_t x) {
    int32_t sum[CHAINS] = {0}, all = 0;
    int8_t w[CHAINS];
    for (int i = 0; i < CHAINS; i++) w[i] = (int8_t)(i - CHAINS / 2);
    for (int64_t k = 0; k < steps; k++) {
        const int32_t q = (int32_t)(x ^ (k & 1));
        for (int i = 0; i < CHAINS; i++) sum[i] += w[i] * q;
    }
    for (int i = 0; i < CHAINS; i++) all += sum[i];
    return all;
}

static uint64_t read(const uint8_t *bytes, size_t n) {
    uint64_t sum[4] = {0};
    for (size_t i = 0; i < n; i += sizeof sum) {
        uint64_t v[4];
        memcpy(v, bytes + i, sizeof v);
        for (int k = 0; k < 4; k++) sum[k] ^= v[k];
    }
    return sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
}

const trit_peak_set trit_peak_generic = {"generic", always, CHAINS, multiply, read};

typedef struct {
    const uint8_t *bytes;
    size_t share; /* of a unit */
    _Atomic uint64_t sink;
} job;

static void multiply_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    job *j = context;
    j->sink ^= (uint64_t)chosen()->multiply(STEPS, (uint8_t)unit);
}

static void read_unit(void *context, int64_t unit, int worker) {
    (void)worker;
    job *j = context;
    j->sink ^= chosen()->read(j->bytes + (size_t)unit * j->share, j->share);
}

/* Best rate of `amount` per run of `units` units, in 1e9 a second. */
static double best_rate(double seconds, double amount, int64_t units, trit_work work, job *j) {
    double best = 0;
    for (double end = trit_now() + seconds; trit_now() < end;) {
        const double began = trit_now();
        trit_parallel(units, work, j);
        const double rate = amount / (trit_now() - began) * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

double trit_peak_products(double seconds) {
    const int64_t units = 4 * trit_threads();
    job j = {.bytes = NULL};
    return best_rate(seconds, (double)(STEPS * chosen()->products * units), units, multiply_unit,
                     &j);
}

double trit_peak_reading(double seconds, size_t bytes) {
    const int64_t units = trit_threads();
    job j = {.share = (bytes / (size_t)units + 255) / 256 * 256};
    const size_t all = j.share * (size_t)units;
    uint8_t *block = trit_alloc(all);
    if (!block || !all) {
        trit_free(block, all);
        return 0;
    }
    memset(block, 1, all);
    j.bytes = block;
    const double rate = best_rate(seconds, (double)all, units, read_unit, &j);
    trit_free(block, all);
    return rate;
}
