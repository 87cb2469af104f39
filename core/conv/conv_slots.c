/*
 * conv_slots.c - a fixed number of partial sums for weight gradients; see conv_algo.h.
 */
#include "conv/conv_algo.h"

#include <string.h>

#define MAX_SLOTS 16   /* enough to share among 16 threads, few enough to add up */
#define PORTION   4096 /* floats cleared or added by one unit                          */

typedef struct {
    const conv_slots *slots;
    float *dw;
} portion_job;

static int64_t portions(const conv_slots *s) { return (s->length + PORTION - 1) / PORTION; }

static void clear_portion(void *context, int64_t unit, int worker) {
    (void)worker;
    const conv_slots *s = context;
    int64_t total = s->slots * s->length, first = unit * PORTION;
    int64_t n = total - first < PORTION ? total - first : PORTION;
    memset(s->sums + first, 0, (size_t)n * sizeof(float));
}

trit_status trit_conv_slots_new(conv_slots *s, int64_t length, int64_t bytes, int64_t items,
                                float *dw) {
    int64_t most = bytes / (length * (int64_t)sizeof(float) + 1);
    if (most > MAX_SLOTS) most = MAX_SLOTS;
    if (most > items) most = items;
    *s = (conv_slots){.length = length, .slots = most < 1 ? 1 : most, .items = items};
    s->borrowed = s->slots == 1;
    s->sums = s->borrowed ? dw : trit_alloc((size_t)(s->slots * length) * sizeof(float));
    if (!s->sums) return TRIT_ERR_MEM;
    trit_parallel((s->slots * length + PORTION - 1) / PORTION, clear_portion, s);
    return TRIT_OK;
}

void trit_conv_slots_free(conv_slots *s) {
    if (!s->borrowed) trit_free(s->sums, (size_t)(s->slots * s->length) * sizeof(float));
    s->sums = NULL;
}

int64_t trit_conv_slot_first(const conv_slots *s, int64_t slot) {
    return s->items * slot / s->slots;
}

static void add_portion(void *context, int64_t unit, int worker) {
    (void)worker;
    const portion_job *job = context;
    const conv_slots *s = job->slots;
    int64_t first = unit * PORTION;
    int64_t n = s->length - first < PORTION ? s->length - first : PORTION;
    float *dw = job->dw + first;
    memcpy(dw, s->sums + first, (size_t)n * sizeof(float));
    for (int64_t slot = 1; slot < s->slots; slot++) {
        const float *part = s->sums + slot * s->length + first;
        for (int64_t i = 0; i < n; i++) dw[i] += part[i];
    }
}

void trit_conv_slots_add(const conv_slots *s, float *dw) {
    if (s->borrowed) return;
    portion_job job = {s, dw};
    trit_parallel(portions(s), add_portion, &job);
}
