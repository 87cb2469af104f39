/*
 * tables.h - float convolutions of ternary weights by tables of sums (infer layer only).
 *
 * Three numbers a, b, c with weights of -1, 0, 1 have 27 possible sums.  For a tile of 16 pixels
 * all 27 are computed once, as vectors over the pixels; every output channel then needs one
 * addition for three of its weights: sum += table[code].  No product is left but the scale at the
 * end.
 *
 * A convolution's image lies as planes, one per channel and phase of the stride, with its padding
 * around: so that every number under a pixel is at a constant distance from the pixel's.  Pixels
 * are numbered without gaps; at the end of a row their addresses jump by `gap`.
 *
 * Packed weights, layout T3: one byte per row and three k, entry * unit of the kernels, rows in
 * portions of 8 (or 4), blocks of at most TABLE_GROUPS groups of three:
 *   [block][portion][group of the block][row of the portion]
 */
#ifndef TRIT_INFER_TABLES_H
#define TRIT_INFER_TABLES_H

#include "infer/runner.h"

#define TABLE_PIXELS  16 /* of a tile */
#define TABLE_GROUPS  12 /* of a block: their tables take 20 KiB of the first-level cache */
#define TABLE_ENTRIES 27
#define TABLE_ROWS    8 /* rows come in such portions, for all terms of 8 channels */

/* Where the pixels of a tile are: lane l stands `breaks` gaps further when mask[breaks - 1][l]. */
typedef struct {
    int64_t pixels; /* of the 16 that there are */
    int64_t breaks, gap;
    int32_t mask[TABLE_PIXELS][TABLE_PIXELS];
} trit_table_tile;

/* From sums to results: y = clamp(sum over terms of sum factor + bias + add). */
typedef struct {
    int64_t channels, terms, ld; /* ld: numbers from pixel to pixel of add and y */
    const float *factor, *bias;  /* factor by row, bias by channel */
    float lo, hi;
} trit_table_finish;

/* Packed weights, and where the numbers under a pixel are. */
typedef struct {
    int64_t rows, groups;  /* rows of all terms, filled up */
    const uint8_t *codes;  /* [rows groups] */
    const int32_t *offset; /* [3 groups] */
} trit_table_codes;

/* Row of the sums and factors that belongs to a channel's term. */
static inline int64_t trit_table_row(int64_t terms, int64_t term, int64_t channel) {
    return (channel / TABLE_ROWS * terms + term) * TABLE_ROWS + channel % TABLE_ROWS;
}

typedef struct {
    int64_t portion, unit; /* rows of a portion; bytes of a code are entry * unit */
    /* to[c plane + i] = x[i step + c], n pixels of C channels. */
    void (*planes)(int64_t n, int64_t C, const float *x, int64_t step, int64_t plane, float *to);
    /* tables [groups][27 entries of 16 pixels] from the numbers at x + offset[3 g + 0, 1, 2]. */
    void (*build)(int64_t groups, const float *x, const int32_t *offset, const trit_table_tile *t,
                  float *tables);
    /* sums [rows][16] (+)= entries named by the codes of one block; rows % TABLE_ROWS == 0. */
    void (*add)(int64_t pixels, int64_t rows, int64_t groups, const uint8_t *codes,
                const float *tables, bool first, float *sums);
    /* All blocks for rows from `first` on of one pixel, sums [rows]; NULL: a tile does as well. */
    void (*single)(int64_t first, int64_t rows, const trit_table_codes *w, const float *x,
                   float *sums);
    /* n <= 16 pixels; sums [rows][16], or [rows] of one pixel.  add may be NULL. */
    void (*finish)(const trit_table_finish *f, int64_t n, const float *sums, const float *add,
                   float *y);
    void (*finish_single)(const trit_table_finish *f, const float *sums, const float *add,
                          float *y);
} trit_table_kernels;

extern const trit_table_kernels trit_tables_generic, trit_tables_avx2, trit_tables_avx512;

/* What a conv node by tables needs beyond the graph.  The arrays are the engine's. */
typedef struct {
    const trit_table_kernels *kernels;
    int64_t terms;                /* planes; two-sided ones count double */
    int64_t rows, groups;         /* as in trit_table_codes */
    int64_t height, pitch, plane; /* of a frame: rows, numbers from row to row, plane to plane */
    int64_t frame;                /* numbers */
    uint8_t *codes;
    int32_t *offset;
    float *factor, *bias; /* [rows], [channels, filled up] */
} trit_table_conv;

/* Can this node be summed by tables? */
bool trit_table_fits(const trit_node *d);
/* Everything but the arrays. */
void trit_table_plan(const trit_node *d, trit_table_conv *c);
/* Bytes of the codes; 32-bit numbers of the other arrays; bytes of scratch a worker needs. */
size_t trit_table_code_bytes(const trit_table_conv *c);
size_t trit_table_numbers(const trit_table_conv *c);
size_t trit_table_scratch(const trit_table_conv *c);
/* Fill the arrays, which lie in `codes` and `numbers`. */
trit_status trit_table_pack(const trit_node *d, trit_table_conv *c, uint8_t *codes, float *numbers);
/* One image: x [H][W][C], frame of c->frame numbers, add and y [P][Q][K]; add may be NULL. */
void trit_table_run(const trit_node *d, const trit_table_conv *c, const float *x, float *frame,
                    const float *add, float *y);

#endif
