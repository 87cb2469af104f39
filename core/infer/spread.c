/*
 * spread.c - a part of the units for every worker, taken from by one ticket each.
 */
#include "infer/spread.h"

#include <stdatomic.h>

#define MOST 64 /* workers with a part of their own */

typedef struct {
    trit_work work;
    void *context;
    int64_t units;
    int parts;
    struct {
        atomic_llong next;
        char apart[64 - sizeof(atomic_llong)]; /* from the neighbour's cache line */
    } part[MOST];
} spread;

static int64_t begin(const spread *s, int part) { return s->units * part / s->parts; }

static void take_parts(void *context, int64_t unit, int worker) {
    spread *s = context;
    (void)unit;
    for (int k = 0; k < s->parts; k++) {
        const int part = (worker + k) % s->parts;
        const int64_t end = begin(s, part + 1);
        for (;;) {
            const int64_t u =
                atomic_fetch_add_explicit(&s->part[part].next, 1, memory_order_relaxed);
            if (u >= end) break;
            s->work(s->context, u, worker);
        }
    }
}

void trit_spread(int64_t units, trit_work work, void *context) {
    const int threads = trit_threads();
    if (threads == 1 || units < 2) {
        trit_parallel(units, work, context);
        return;
    }
    spread s = {.work = work, .context = context, .units = units};
    s.parts = threads < MOST ? threads : MOST;
    for (int p = 0; p < s.parts; p++) atomic_init(&s.part[p].next, begin(&s, p));
    trit_parallel(s.parts, take_parts, &s);
}
