/*
 * tiles.h - the two register tiles that all multiply-adds of direct and Winograd convolution go
 * through; tiles_rows.c and tiles_weight.c.
 */
#ifndef TRIT_CONV_TILES_H
#define TRIT_CONV_TILES_H

#include <stdbool.h>
#include <stdint.h>

#include "conv/isa/fetch.h"
#include "conv/isa/vec.h"

/* Part `i` of `parts` of n things: [tile_part(n, parts, i), tile_part(n, parts, i + 1)). */
static inline int64_t tile_part(int64_t n, int64_t parts, int64_t i) { return n * i / parts; }

/* What all tiles of a row share.  A strip is [block][...][pixel][LANES]. */
typedef struct {
    const int64_t *offset; /* floats from output pixel to strip pixel, of every tap */
    int64_t taps;
    int64_t blocks, block_floats; /* blocks, and floats from one to the next */
    int64_t width, last_width;    /* values of a block, of the last block    */
    int64_t ldy;                  /* floats from output pixel to pixel       */
    bool add;                     /* add to the output                       */
} rows_task;

/* y[i][j] (+)= sum over blocks b, taps t, values l of strip[b][i + offset t][l] w[b][t][l][j] for
 * `pixels` pixels i and cv = 1, 2 or (16 lanes only) 4 vectors j. */
void SYMBOL(trit_conv_rows_tiles)(int64_t pixels, int64_t cv, const rows_task *t,
                                  const float *strip, const float *w, float *y);
/* The same; strip values `ahead` floats on are fetched meanwhile, 0 = none. */
void SYMBOL(trit_conv_rows_tiles_ahead)(int64_t pixels, int64_t cv, const rows_task *t,
                                        int64_t ahead, const float *strip, const float *w,
                                        float *y);

typedef struct {
    int64_t rows, pixels;
    int64_t strip_row; /* floats from the strip row of an output row to the next's */
    int64_t dy_row;
    int64_t ldw; /* floats from dw row to row         */
    bool fresh;  /* dw is overwritten, not added to   */
} weight_task;

/* dw[i][j] += sum over rows and pixels of strip[pixel][i] dy[pixel][j] for `width` <= LANES
 * values i and cv = 1 or 2 vectors j; pixels of dy are cv * LANES floats apart. */
void SYMBOL(trit_conv_weight_tiles)(int64_t width, int64_t cv, const weight_task *t,
                                    const float *strip, const float *dy, float *dw);
/* The same for LANES values; `fetch` advances meanwhile. */
void SYMBOL(trit_conv_weight_tiles_fetch)(int64_t cv, const weight_task *t, fetch_list *fetch,
                                          const float *strip, const float *dy, float *dw);

#endif
