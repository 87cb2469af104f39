/*
 * plan.c - one block of memory for all values of a graph.
 *
 * Largest first, each at the lowest place where it overlaps nobody it lives with: for the graphs
 * of convolutional networks that comes out at the size of the fullest moment.
 */
#include <stdlib.h>

#include "infer/runner.h"

void trit_plan_lives(const trit_graph *g, trit_span *spans) {
    for (int64_t v = 0; v <= g->n; v++) {
        spans[v].first = v - 1;
        spans[v].last = v - 1;
    }
    for (int64_t i = 0; i < g->n; i++) {
        const trit_node *d = &g->nodes[i];
        spans[d->a].last = i;
        if (d->b >= 0) spans[d->b].last = i;
    }
}

static bool live_together(const trit_span *a, const trit_span *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* Lowest offset for s among the `n` placed spans. */
static size_t place(const trit_span *s, trit_span *const *placed, int64_t n) {
    size_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int64_t i = 0; i < n; i++) {
            const trit_span *p = placed[i];
            if (!live_together(s, p) || p->offset >= at + whole_lines(s->bytes) ||
                at >= p->offset + whole_lines(p->bytes))
                continue;
            at = p->offset + whole_lines(p->bytes);
            moved = true;
        }
    }
    return at;
}

static int larger_first(const void *a, const void *b) {
    const trit_span *x = *(trit_span *const *)a, *y = *(trit_span *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return (x->first > y->first) - (x->first < y->first);
}

size_t trit_plan_spans(trit_span *spans, int64_t n) {
    size_t total = 0;
    trit_span **order = malloc((size_t)n * sizeof *order);
    if (!order) { /* still right: one after the other */
        for (int64_t i = 0; i < n; i++) {
            spans[i].offset = total;
            total += whole_lines(spans[i].bytes);
        }
        return total;
    }
    for (int64_t i = 0; i < n; i++) order[i] = &spans[i];
    qsort(order, (size_t)n, sizeof *order, larger_first);
    for (int64_t i = 0; i < n; i++) {
        order[i]->offset = place(order[i], order, i);
        const size_t end = order[i]->offset + whole_lines(order[i]->bytes);
        total = end > total ? end : total;
    }
    free(order);
    return total;
}
