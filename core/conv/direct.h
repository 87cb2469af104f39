/*
 * direct.h - between the direct convolution and its kernels, one set per instruction set.
 *
 * Forward and backward data are the same work: a source image is copied, a few rows at a time,
 * into a zero-padded strip, and every output pixel is a sum over taps of strip pixels times packed
 * weights.  They differ in where taps point and which outputs are produced:
 *
 *   forward         source x, one class of outputs, all taps
 *   backward data   source dy; input pixels fall into stride_h * stride_w classes by position
 *                   modulo the stride, each reached by its own subset of taps
 *
 * The strip is   S[block][row][phase][column][lanes]
 * with `lanes` channels side by side.  Columns are split by their position modulo the stride, so
 * that neighbouring outputs read neighbouring strip pixels at any stride and the register tile has
 * compile-time offsets.  When there are few channels (a stem), the S taps of a kernel row are
 * folded into the channels: pixel q of the strip then holds the S*C values under output q.
 *
 * Rows of the source may be made on the way into the strip, finished rows of the result are taken
 * by the unit that wrote them (trit/rows.h).
 *
 * Backward weight reads the same strip of x: dw[tap, d, k] = sum over pixels of strip * dy.
 */
#ifndef TRIT_CONV_DIRECT_H
#define TRIT_CONV_DIRECT_H

#include "conv/conv_algo.h"

#define DIRECT_MAX_TAPS    128
#define DIRECT_MAX_CLASSES 16

/* Outputs at (row + i*step_h, column + j*step_w); summed over taps [first_tap, +taps). */
typedef struct {
    int64_t row, column;
    int64_t first_tap, taps;
} direct_class;

typedef struct {
    /* source images, of one group */
    int64_t src_h, src_w, src_c; /* src_c: floats from pixel to pixel                  */
    int64_t depth;               /* values of a strip pixel that are summed over       */
    int64_t fold;                /* taps folded into the channels, 1 = none            */
    int64_t src_group;           /* channels from group to group                       */

    /* strip: strip row i holds source row  a*row_step*row_pitch + first_row + i*row_pitch  for
     * the unit's first output row a; column j of phase f holds source column
     * j*col_step + f + first_col */
    int64_t lanes, blocks, width, last_width; /* width: values used of a block's lanes  */
    int64_t strip_rows, row_pitch, row_step;
    int64_t phases, cols, col_step;
    int64_t first_row, first_col;
    int64_t row_floats, block_floats; /* from strip row to row, block to block          */

    /* outputs */
    int64_t images, groups;
    int64_t out_h, out_w, out_c, step_h, step_w;
    int64_t channels, vectors; /* of a group; vectors = channels / lanes, rounded up    */
    int64_t tile_vectors;      /* vectors of a register tile, see direct_tile_vectors   */
    int64_t all_rows;          /* output rows of the largest class                      */
    int64_t rows, row_blocks;  /* rows of one unit, units down an image                 */
    int64_t parts;             /* units that share the output channels                  */
    int64_t classes;
    direct_class class[DIRECT_MAX_CLASSES];
    int64_t tap_offset[DIRECT_MAX_TAPS]; /* floats from output pixel to strip pixel      */
    int64_t tap_index[DIRECT_MAX_TAPS];  /* r*S + s (r when folded)                      */
    int64_t taps;

    const float *source, *source_end; /* x or dy, and one past its last float            */
    const trit_make *source_rows;     /* how source rows are made; NULL: read            */
    const trit_make *dy_rows;         /* rows of dy, backward weight only                */
    const trit_take *take;            /* what becomes of finished rows, or NULL ...      */
    double *sums;                     /* ... and their sums [image, row block][2][out_c] */
    const float *packed;              /* [group][class][vectors][block][tap][l][lanes]   */
    float *out;
    const float *dy;         /* backward weight only */
    const conv_slots *slots; /* backward weight only: an item is a unit's rows */
} direct_plan;

typedef struct {
    int64_t lanes;
    int64_t wide_tile;     /* widest register tile, in vectors                          */
    int64_t wide_pixels;   /* pixels it holds: for rows that short it is taken          */
    trit_work rows_unit;   /* unit = ((n*groups + g)*row_blocks + b)*parts + part       */
    trit_work weight_unit; /* unit = (slot*groups + g)*parts + part; parts share blocks */
} direct_kernels;

extern const direct_kernels trit_direct_generic, trit_direct_avx2, trit_direct_avx512;

/* Vectors of the register tile that starts at vector v. */
static inline int64_t direct_tile_vectors(const direct_plan *p, int64_t v) {
    int64_t left = p->vectors - v;
    return left >= p->tile_vectors ? p->tile_vectors : left >= 2 ? 2 : 1;
}

#endif
