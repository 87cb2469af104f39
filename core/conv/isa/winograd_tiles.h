/*
 * winograd_tiles.h - image rows to transformed tiles and back; winograd_tiles.c.
 *
 * These are the places where a Winograd convolution reads and writes images: an elementwise
 * operation on the rows (normalisation, activation, fake quantization) belongs around them.
 */
#ifndef TRIT_CONV_WINOGRAD_TILES_H
#define TRIT_CONV_WINOGRAD_TILES_H

#include "conv/isa/vec.h"
#include "conv/winograd.h"

/* Floats that the two functions below need as `lines`. */
int64_t SYMBOL(trit_winograd_lines)(const winograd_plan *p);

/* Tile rows [r0, r1) of p->source as V; the first tile goes to place `tile`. */
void SYMBOL(trit_winograd_input)(const winograd_plan *p, int64_t r0, int64_t r1, int64_t tile,
                                 float *lines, float *v);

/* Tile rows [r0, r1) of p->dy as M = A dy A^T, all panels; backward weight. */
void SYMBOL(trit_winograd_gradient)(const winograd_plan *p, int64_t r0, int64_t r1, int64_t tile,
                                    float *lines, float *m);

/* M of output block `block` as rows of p->result, tile rows [r0, r1). */
void SYMBOL(trit_winograd_output)(const winograd_plan *p, int64_t r0, int64_t r1, int64_t block,
                                  const float *m);

#endif
