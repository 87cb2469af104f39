/*
 * fetch.h - memory that will be wanted soon, fetched line by line while register tiles compute.
 *
 * Products leave the memory bus idle; transforms, and rows made and taken, wait for it.  A list
 * names rows of cache lines, which are fetched a few at a time between tiles.  Nothing depends on
 * it but time.
 */
#ifndef TRIT_CONV_FETCH_H
#define TRIT_CONV_FETCH_H

#include <stdint.h>

#include "conv/isa/vec.h"

#define FETCH_LINE 16 /* floats of a cache line */

/* `slabs` times `rows` rows of `lines` cache lines; steps in floats.  Empty: slabs = 0. */
typedef struct {
    const float *at; /* where the present row begins */
    int64_t lines, rows, row_step, slabs, slab_step;
    int64_t line, row; /* how far it has come */
} fetch_list;

/* `n` floats on end. */
static inline fetch_list fetch_range(const float *at, int64_t n) {
    return (fetch_list){
        .at = at, .lines = (n + FETCH_LINE - 1) / FETCH_LINE, .rows = 1, .slabs = n > 0};
}

INLINE void fetch_some(fetch_list *f, int64_t n) {
    for (; n > 0 && f->slabs > 0; n--) {
        __builtin_prefetch(f->at + f->line * FETCH_LINE, 0, 2);
        if (++f->line < f->lines) continue;
        f->line = 0;
        f->at += f->row_step;
        if (++f->row < f->rows) continue;
        f->row = 0;
        f->at += f->slab_step - f->rows * f->row_step;
        f->slabs--;
    }
}

#endif
