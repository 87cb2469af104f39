/*
 * passes.h - what rows.c does to one segment of the weights, one table per instruction set;
 * isa/passes.def is the list.  Only rows.c and the passes include this.
 */
#ifndef TRIT_QUANT_PASSES_H
#define TRIT_QUANT_PASSES_H

#include "quant/rows.h"

/* Partial sums: [part][field] along, [part][field][row] across. */
typedef struct {
    double *at;
    size_t bytes;
    int fields;
} trit_partials;

static inline double *trit_part_of(const trit_partials *s, const trit_segment *g) {
    return s->at + g->part * s->fields * (g->across ? g->n : 1);
}

/* Contexts of the passes. */
typedef struct {
    const float *w;
    const trit_rows *r;
    trit_partials sums; /* of distance from the row's first weight, its square, |w|; max |w| */
} trit_scan_pass;

typedef struct {
    const float *w, *lo, *hi;
    trit_partials sums; /* of |w|, number */
} trit_keep_pass;

typedef struct {
    const float *w;
    trit_row_cuts by;
    int8_t *codes;
    float *wq;
    bool add;
} trit_cut_pass;

typedef struct {
    const float *g;
    const int8_t *codes;
    trit_partials sums; /* over +1, over -1 */
} trit_gather_pass;

typedef struct {
    const float *w, *g;
    trit_row_affine by;
    float *dw;
} trit_affine_pass;

typedef struct {
    const float *g, *pos, *zero, *neg;
    const int8_t *codes;
    float *dw;
} trit_by_code_pass;

typedef struct {
#define P(name) void (*name)(void *context, const trit_segment *s);
#include "quant/isa/passes.def"
#undef P
} trit_pass_table;

/* The table of the level in force. */
const trit_pass_table *trit_passes(void);

#endif
