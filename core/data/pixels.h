/*
 * pixels.h - kernels over 8-bit pixels, one table per instruction set; isa/pixels.def is the list.
 */
#ifndef TRIT_DATA_PIXELS_H
#define TRIT_DATA_PIXELS_H

#include "trit/base.h"

#define TRIT_PIXEL_PERIOD 48 /* numbers after which channel constants repeat: 3 and 16 divide it */

/* What one output pixel takes: weights of n pixels from `first` on. */
typedef struct {
    int first, n;
    float *weight; /* [n] */
} trit_taps;

typedef struct {
#define P(name, parameters) void(*name) parameters;
#include "data/isa/pixels.def"
#undef P
} trit_pixel_table;

/* The table of the level in force. */
const trit_pixel_table *trit_pixels(void);

#endif
