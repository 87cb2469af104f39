/*
 * winograd.h - between the Winograd convolution and its kernels, one set per instruction set.
 *
 * F(4x4, 3x3): the image is cut into tiles of 4x4 outputs; with the 6x6 input under a tile,
 *
 *   Y = A^T [ (G g G^T) * (B^T d B) ] A
 *
 * where * is elementwise.  Summed over channels this is 36 matrix products, one per position of
 * the 6x6 square, [tiles x C] by [C x K]: 36 multiplications for 16 outputs instead of 144.
 *
 *   U  weights     [output block][position][input channel][cv * lanes]
 *   V  inputs      [position][input block][tile][lanes]
 *   M  outputs     [position][tile][cv * lanes], one output block at a time
 *
 * "in" and "out" are C and K in forward, K and C in backward data (where weights are also turned
 * by 180 degrees).  Backward weight runs the other way: dU = V^T (A dy A^T) per position, then
 * dw = G^T dU G.
 *
 * Tiles are counted over the whole batch: tile row r is row r % tile_rows of image r / tile_rows.
 *
 * Where an image's height or width is no multiple of 4, its last tiles hang over.  With few tiles
 * to an image these are cut smaller instead: F(2, 3) or F(3, 3) along that side, which need only
 * the points that winograd_keeps names, so at some positions edge tiles take no part.  Whole
 * images then stand side by side in V and M, ordered so that those that do take part are
 * consecutive:
 *
 *   last column only | inner tiles | last row only | corner
 */
#ifndef TRIT_CONV_WINOGRAD_H
#define TRIT_CONV_WINOGRAD_H

#include "conv/conv_algo.h"

#define WINOGRAD_POSITIONS 36
/* Floats between positions beyond what they hold: power-of-two distances would put all 36 into the
 * same few cache sets (twice the time for the weight transform). */
#define WINOGRAD_PAD 80
/* Input channels whose weight gradient one unit transforms. */
#define WINOGRAD_CHANNELS 4

typedef struct {
    int64_t images, height, width;
    int64_t in, out;              /* channels summed over, channels produced            */
    int64_t tile_rows, tile_cols; /* of one image                                      */
    int64_t lanes, in_blocks;
    int64_t cv, out_blocks; /* vectors of an output block, output blocks          */
    bool turned;            /* backward data: weights turned and transposed       */

    int64_t all_rows; /* tile rows of the batch                              */
    int64_t rows;     /* tile rows of one unit                               */
    /* Tiles of 4 along each side, outputs of the last tile where it is cut smaller (else 4), and
     * where the kinds of tiles begin. */
    int64_t full_rows, full_cols, edge_h, edge_w;
    int64_t inner, last_row, corner;

    int64_t v_block, v_position; /* floats from block to block, position to position    */
    int64_t m_block, m_position; /* m_block: from panel to panel, backward weight only  */
    int64_t u_position, u_block;

    /* Shared V: what a unit takes at a time of output blocks (wide) and input blocks (deep). */
    int64_t wide, deep, m_panel; /* m_panel: floats from output block to block of M       */

    const float *source;  /* [images,height,width,in]: x, or dy in backward data        */
    const float *weights; /* w: [3,3,in,out], in backward data [3,3,out,in]             */
    const float *dy;      /* [images,height,width,out], backward weight only            */
    float *result;        /* y or dx, or dw                                             */
    bool correlates;      /* backward weight                                            */

    /* Rows made and taken on the way (trit/rows.h), or NULL. */
    const trit_make *source_rows, *dy_rows;
    const trit_take *take;
    double *sums;  /* [units][2][out]                                            */
    int64_t strip; /* floats of made rows of one unit; 0 = none are made          */

    int64_t input_rows; /* tile rows of V (and M) that one unit transforms             */

    float *u;     /* all of U, or NULL when units transform weights themselves  */
    float *v, *m; /* V and M of tile rows [first_row, end_row), shared by units */
    int64_t first_row, end_row;
    float *du; /* backward weight: [slots] of the shape of U                            */
    int64_t slots;
} winograd_plan;

/* Both backward passes in one sweep: rows of dy are made once.  Both plans cut the tile rows
 * alike. */
typedef struct {
    winograd_plan data, weight;
} winograd_both;

typedef struct {
    int64_t lanes;
    int64_t (*lines)(const winograd_plan *p); /* floats of scratch for transforms       */
    trit_work weights;         /* unit = (output block, input block): U                 */
    trit_work rows;            /* unit = group of tile rows: input, products, output    */
    trit_work shared_input;    /* unit = input_rows: shared V, and M when there is a dy */
    trit_work shared_products; /* unit = output blocks: weights, products with shared V,
                                  output                                                */
    trit_work slot;            /* unit = slot: input, dy, products into du              */
    trit_work both;            /* context winograd_both; unit = slot: both backward passes */
    trit_work shared_position; /* unit = position: products of shared V and M into du   */
    trit_work shared_square;   /* unit = (input blocks, output blocks): the same, and dw */
    trit_work gradient;        /* unit = (output block, WINOGRAD_CHANNELS inputs): dw from du */
} winograd_kernels;

/* Does a tile of n outputs along a side have point i there? */
static inline bool winograd_keeps(int64_t n, int64_t i) { return n == 4 || i == 5 || i <= n; }

/* Place of the first tile of row r among tiles from row `first` on, and of an edge tile at its
 * end. */
static inline int64_t winograd_place(const winograd_plan *p, int64_t first, int64_t r) {
    int64_t image = (r - first) / p->tile_rows, row = (r - first) % p->tile_rows;
    return row < p->full_rows ? p->inner + (image * p->full_rows + row) * p->full_cols
                              : p->last_row + image * p->full_cols;
}

static inline int64_t winograd_edge_place(const winograd_plan *p, int64_t first, int64_t r) {
    int64_t image = (r - first) / p->tile_rows, row = (r - first) % p->tile_rows;
    return row < p->full_rows ? image * p->full_rows + row : p->corner + image;
}

extern const winograd_kernels trit_winograd_generic, trit_winograd_avx2, trit_winograd_avx512;

#endif
