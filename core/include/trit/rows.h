/*
 * rows.h - element-wise work on rows of channels, described so that it can be done elsewhere.
 *
 * A training step is half memory traffic: normalise, rectify, add, and back.  Described as a
 * `trit_make` or a `trit_take`, such work rides along where the rows are in cache anyway: a
 * convolution makes the rows it reads and takes the rows it has written (conv.h).  Everything
 * here is [pixels][C], channels consecutive and gapless: a batch of images, channels-last.
 */
#ifndef TRIT_ROWS_H
#define TRIT_ROWS_H

#include "trit/base.h"

/*
 * An array of every `stride`-th pixel of every `stride`-th line of H x W images, of `channels`
 * numbers each, read as rows of the whole images: pixels between have 0, channels beyond C are
 * left out.
 */
typedef struct {
    int64_t stride, H, W, channels; /* stride 0: an array [pixels][C] like any other */
} trit_sparse;

/*
 * What a row is made from:
 *
 *   v = P [+ Q] [then max(v, 0)] [then the nearest of some levels]
 *   P = (p - pm) pa + pb        or  pa p           where pm is NULL,  p where pa is, too
 *   Q = (q - qm) qa + qb        or  q              where qm is NULL;  none where q is NULL
 *
 * Batch normalisation is the first form alone, a residual block's output has both parts and the
 * maximum, and batch normalisation's gradient is pa p + ((q - qm) qa + qb).
 */
typedef struct {
    float scale, step, low, top; /* round(scale min(max(v, low), top)) step; scale 0: as it is */
} trit_levels;

typedef struct {
    int64_t C;
    const float *p, *q;                       /* [pixels][C]             */
    const float *pm, *pa, *pb, *qm, *qa, *qb; /* [C]                     */
    bool relu;
    trit_levels levels;
    trit_sparse sparse; /* of p, which is then all there is */
} trit_make;

/*
 * What happens to a finished row, in place, and what is summed of it, per channel:
 *
 *   v = 0  where u > top                  where `capped`
 *   v += add                              where given
 *   v = 0  unless u > 0
 *       u = z                   where z is given
 *       u = (y - ym) ya + yb    else, where ya is given; neither: all stay
 *   sums: v and v (y - ym) where y is given, else v and v^2
 */
typedef struct {
    int64_t C;
    const float *add, *z, *y;  /* [pixels][C] */
    const float *ym, *ya, *yb; /* [C]         */
    bool capped;
    float top;
    trit_sparse sparse; /* of add; not where `capped` */
} trit_take;

/* dst[i] = row first + i of what `r` describes, i < count. */
void trit_rows_make(const trit_make *r, int64_t first, int64_t count, float *dst);
/* All `pixels` rows, in parallel. */
void trit_rows_make_all(const trit_make *r, int64_t pixels, float *dst);

/* Channels [c0, c1) of rows first .. first+count-1 of v [pixels][C]; sums [2][C] are added to. */
void trit_rows_take(const trit_take *t, int64_t first, int64_t count, int64_t c0, int64_t c1,
                    float *v, double *sums);
/* All `pixels` rows, in parallel; sums [2][C] are overwritten.  Fails only for lack of memory. */
trit_status trit_rows_take_all(const trit_take *t, int64_t pixels, float *v, double *sums);

/* out[i] = sum over slots of slot[s * width + i], in order. */
void trit_add_slots(const double *slot, int64_t slots, int64_t width, double *out);

/* Float multiply-adds per second, two operations each, of all threads at the instruction set in
 * use: the best of what `seconds` of trying gave, in GFLOP/s. */
double trit_peak_gflops(double seconds);

#endif
