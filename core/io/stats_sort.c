/*
 * stats_sort.c - ascending order of float32 by least-significant-digit radix.
 *
 * A float's bits compare like an integer once negative ones are inverted and positive ones get
 * their top bit set.  Three passes of 11, 11 and 10 bits; in each, blocks count their digits, the
 * counts become target positions, and blocks scatter: linear time, stable, parallel over blocks.
 */
#include <string.h>

#include "io/stats.h"

enum {
    DIGIT = 11,
    BUCKETS = 1 << DIGIT,
    PASSES = 3,
    UNIT = 1 << 16, /* elements of one block; its counts (8 KiB) are small beside it */
};

typedef struct {
    const uint32_t *from;
    uint32_t *to;
    uint32_t *count; /* [units, BUCKETS]: counts, then positions */
    int64_t n;
    int shift;
} job;

static uint32_t key_of(float v) {
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u ^ ((uint32_t) - (int32_t)(u >> 31) | 0x80000000u);
}

static float value_of(uint32_t u) {
    float v;
    u ^= (u >> 31) ? 0x80000000u : 0xffffffffu;
    memcpy(&v, &u, sizeof v);
    return v;
}

static int64_t unit_end(const job *j, int64_t unit) {
    return (unit + 1) * UNIT < j->n ? (unit + 1) * UNIT : j->n;
}

static void count_digits(void *context, int64_t unit, int worker) {
    (void)worker;
    const job *j = context;
    uint32_t *count = j->count + unit * BUCKETS;
    memset(count, 0, BUCKETS * sizeof *count);
    for (int64_t i = unit * UNIT, end = unit_end(j, unit); i < end; i++)
        count[(j->from[i] >> j->shift) & (BUCKETS - 1)]++;
}

static void scatter(void *context, int64_t unit, int worker) {
    (void)worker;
    const job *j = context;
    uint32_t *position = j->count + unit * BUCKETS;
    for (int64_t i = unit * UNIT, end = unit_end(j, unit); i < end; i++)
        j->to[position[(j->from[i] >> j->shift) & (BUCKETS - 1)]++] = j->from[i];
}

/* keys -> spare -> keys -> spare: an odd number of passes ends in `spare`. */
static void radix(uint32_t *keys, uint32_t *spare, uint32_t *count, int64_t n) {
    const int64_t units = (n + UNIT - 1) / UNIT;
    for (int pass = 0; pass < PASSES; pass++) {
        job j = {pass % 2 ? spare : keys, pass % 2 ? keys : spare, count, n, pass * DIGIT};
        trit_parallel(units, count_digits, &j);
        uint32_t sum = 0;
        for (int b = 0; b < BUCKETS; b++)
            for (int64_t u = 0; u < units; u++) {
                const uint32_t c = count[u * BUCKETS + b];
                count[u * BUCKETS + b] = sum;
                sum += c;
            }
        trit_parallel(units, scatter, &j);
    }
}

size_t trit_sort_scratch(int64_t n) {
    const int64_t units = (n + UNIT - 1) / UNIT;
    return (size_t)(n + units * BUCKETS) * sizeof(uint32_t);
}

void trit_sort_within(const float *x, int64_t n, float *out, void *scratch) {
    uint32_t *keys = scratch, *count = keys + n;
    for (int64_t i = 0; i < n; i++) keys[i] = key_of(x[i]);
    radix(keys, (uint32_t *)out, count, n);
    for (int64_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &out[i], sizeof u);
        out[i] = value_of(u);
    }
}

trit_status trit_sort_f32(const float *x, int64_t n, float *out) {
    if (n > (int64_t)UINT32_MAX)
        return trit_fail(TRIT_ERR_UNSUPPORTED, "sort: %lld elements, at most 2^32 - 1",
                         (long long)n);
    if (n < 1) return TRIT_OK;
    const size_t bytes = trit_sort_scratch(n);
    void *scratch = trit_alloc(bytes);
    if (!scratch) return trit_fail_within(TRIT_ERR_MEM, "sort");
    trit_sort_within(x, n, out, scratch);
    trit_free(scratch, bytes);
    return TRIT_OK;
}
