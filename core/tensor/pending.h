/*
 * pending.h - tensors that are described, not computed yet (what ops and the tape need of them).
 *
 * A pending tensor says how its rows are made (trit/rows.h); it has a shape, a layout
 * (channels-last) and no memory.  An op that can make the rows itself takes it as it is;
 * trit_tensor_settle computes it for all others.  It is only ever one handle until then: views
 * settle first.  It holds its operands, and their memory: the tape does not drop what it pins.
 */
#ifndef TRIT_TENSOR_PENDING_H
#define TRIT_TENSOR_PENDING_H

#include "trit/rows.h"
#include "trit/tensor.h"

/* Vectors of a description, [VECTORS][C], in the order of trit_make' pm .. qb. */
enum { ROWS_PM, ROWS_PA, ROWS_PB, ROWS_QM, ROWS_QA, ROWS_QB, ROWS_VECTORS };

struct trit_pending {
    trit_make rows;               /* its vectors point into `vectors` */
    trit_tensor *p, *q, *vectors; /* q, vectors: NULL where there are none */
    bool pinned_p, pinned_q;
    trit_tensor *next, *before; /* of all pending tensors */
};

/* A [ROWS_VECTORS][C] tensor to fill. */
trit_status trit_pending_vectors(int64_t C, trit_tensor **out);
/*
 * A pending tensor of p's shape: `has` says which of the six vectors are used (bit ROWS_PM, ...).
 * p, q (NULL: none) and vectors are retained.
 */
trit_status trit_pending_new(trit_tensor *p, trit_tensor *q, trit_tensor *vectors, unsigned has,
                             bool relu, trit_tensor **out);
/* The same description with max(v, 0) at the end. */
trit_status trit_pending_relu(const trit_tensor *t, trit_tensor **out);
/* The same with levels at the end; t need not be pending, but then of four dimensions and
 * channels-last. */
trit_status trit_pending_levels(trit_tensor *t, trit_levels levels, trit_tensor **out);
/* A pending tensor [N,C,H,W]: p's first C channels at every stride-th pixel, 0 elsewhere. */
trit_status trit_pending_sparse(trit_tensor *p, const trit_shape *shape, int64_t stride,
                                trit_tensor **out);
/* Let the description go. */
void trit_pending_free(trit_tensor *t);

/*
 * Sums per channel that whoever wrote a tensor left with it, so that the next reader need not pass
 * over it again:
 *   of = NULL   sum of v, sum of v^2
 *   else        sum of v, sum of v (y - m): a gradient v and the tensor y it names; m is `mean`,
 *               or 0 where `raw`
 */
struct trit_sums {
    const trit_tensor *of;
    const float *mean;
    uint64_t changes; /* of the storage, when the sums were left */
    bool raw;
    int64_t C;
    double v[]; /* [2][C] */
};

struct trit_sums *trit_sums_new(const trit_tensor *of, int64_t C);
/* The tensor takes them over; NULL takes away what there is: its values changed. */
void trit_tensor_set_sums(trit_tensor *t, struct trit_sums *sums);
/* What was left, unless values changed since, maybe through another handle; NULL: none. */
const struct trit_sums *trit_tensor_sums(const trit_tensor *t);

#endif
