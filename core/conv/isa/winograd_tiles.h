/*
 * winograd_tiles.h - image rows to transformed tiles and back, winograd_tiles.c; weights and their
 * gradient, winograd_weights.c.
 *
 * These are the places where a Winograd convolution reads and writes images.  Rows to be made are
 * made just before they are read, rows to be taken are taken when all their channels are written
 * (trit/rows.h).
 */
#ifndef TRIT_CONV_WINOGRAD_TILES_H
#define TRIT_CONV_WINOGRAD_TILES_H

#include "conv/isa/vec.h"
#include "conv/winograd.h"

/* Floats that the two transforms below need as `lines`. */
int64_t SYMBOL(trit_winograd_lines)(const winograd_plan *p);

/* The image rows of tile rows [r0, r1), `halo` more on either side, made into `strip`. */
void SYMBOL(trit_winograd_make)(const winograd_plan *p, const trit_make *rows, int64_t halo,
                                int64_t r0, int64_t r1, float *strip);

/* Tile rows [r0, r1) of p->source as V, which begins with row `first`.  strip: the rows made with
 * halo 1, NULL = read them. */
void SYMBOL(trit_winograd_input)(const winograd_plan *p, const float *strip, int64_t first,
                                 int64_t r0, int64_t r1, float *lines, float *v);

/* Tile rows [r0, r1) of p->dy as M = A dy A^T, all panels; backward weight. */
void SYMBOL(trit_winograd_gradient)(const winograd_plan *p, const float *strip, int64_t halo,
                                    int64_t first, int64_t r0, int64_t r1, float *lines, float *m);

/* M of output block `block`, which begins with tile row r0, as rows of p->result. */
void SYMBOL(trit_winograd_output)(const winograd_plan *p, int64_t r0, int64_t r1, int64_t block,
                                  const float *m);

/* Channels [c0, c1) of finished tile rows [r0, r1) taken as p->take says; sums of `unit`. */
void SYMBOL(trit_winograd_take)(const winograd_plan *p, int64_t r0, int64_t r1, int64_t c0,
                                int64_t c1, int64_t unit);

/* Input channels [c0, c1) of output block `block` as U; u: where c0 of position 0 goes.  Backward
 * data takes whole vectors of input channels. */
void SYMBOL(trit_winograd_weights)(const winograd_plan *p, int64_t block, int64_t c0, int64_t c1,
                                   float *u);

/* dU of the same channels, summed over slots, as dw. */
void SYMBOL(trit_winograd_weight_gradient)(const winograd_plan *p, int64_t block, int64_t c0,
                                           int64_t c1, const float *du);

#endif
