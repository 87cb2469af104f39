/*
 * walk.c - element-wise walks over operands of one shape and any strides.
 *
 * Dimensions are ordered by the first operand's strides and neighbours that continue each other in
 * every operand are merged, so operands of one layout become a single run whatever the layout is.
 * Runs are handed to the pool in pieces of fixed size.
 */
#include <string.h>

#include "trit/tensor.h"

#define MAX_OPERANDS 8
#define PIECE        16384 /* elements of one unit of work: 64 KiB an operand */

typedef struct {
    int n_dim, n_op;
    int64_t dim[TRIT_MAX_DIM]; /* slowest first */
    int64_t stride[TRIT_MAX_DIM][MAX_OPERANDS];
    float *const *data;
    trit_run body;
    void *context;
    int64_t rows_per_unit, rows, pieces_per_row, piece;
} walk;

static int64_t magnitude(int64_t v) { return v < 0 ? -v : v; }

static void order_dims(walk *w, const trit_shape *shape, const int64_t *const *stride) {
    int order[TRIT_MAX_DIM], n = 0;
    for (int i = 0; i < shape->ndim; i++) {
        if (shape->dim[i] == 1) continue;
        int k = n++;
        for (; k > 0 && magnitude(stride[0][order[k - 1]]) < magnitude(stride[0][i]); k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    for (int k = 0; k < n; k++) {
        w->dim[k] = shape->dim[order[k]];
        for (int j = 0; j < w->n_op; j++) w->stride[k][j] = stride[j][order[k]];
    }
    w->n_dim = n;
}

static bool continues(const walk *w, int k) {
    for (int j = 0; j < w->n_op; j++)
        if (w->stride[k - 1][j] != w->stride[k][j] * w->dim[k]) return false;
    return true;
}

static void merge_dims(walk *w) {
    for (int k = w->n_dim - 1; k > 0; k--) {
        if (!continues(w, k)) continue;
        w->dim[k - 1] *= w->dim[k];
        memcpy(w->stride[k - 1], w->stride[k], sizeof w->stride[k]);
        for (int m = k; m + 1 < w->n_dim; m++) {
            w->dim[m] = w->dim[m + 1];
            memcpy(w->stride[m], w->stride[m + 1], sizeof w->stride[m]);
        }
        w->n_dim--;
    }
}

/* One row (all but the fastest dimension fixed), elements from..to of it. */
static void do_row(const walk *w, int64_t row, int64_t from, int64_t to) {
    float *p[MAX_OPERANDS];
    const int last = w->n_dim - 1;
    for (int j = 0; j < w->n_op; j++) p[j] = w->data[j] + from * w->stride[last][j];
    for (int k = last - 1; k >= 0; k--) {
        int64_t i = row % w->dim[k];
        row /= w->dim[k];
        for (int j = 0; j < w->n_op; j++) p[j] += i * w->stride[k][j];
    }
    w->body(w->context, to - from, p, w->stride[last]);
}

static void do_unit(void *context, int64_t unit, int worker) {
    const walk *w = context;
    (void)worker;
    const int64_t len = w->dim[w->n_dim - 1];
    if (w->pieces_per_row > 1) {
        int64_t from = unit % w->pieces_per_row * w->piece;
        int64_t to = from + w->piece < len ? from + w->piece : len;
        do_row(w, unit / w->pieces_per_row, from, to);
        return;
    }
    int64_t end = (unit + 1) * w->rows_per_unit;
    for (int64_t r = unit * w->rows_per_unit; r < end && r < w->rows; r++) do_row(w, r, 0, len);
}

void trit_walk(const trit_shape *shape, int n_operands, float *const *data,
               const int64_t *const *stride, trit_run body, void *context) {
    walk w = {.n_op = n_operands, .data = data, .body = body, .context = context};
    for (int i = 0; i < shape->ndim; i++)
        if (shape->dim[i] == 0) return;
    order_dims(&w, shape, stride);
    if (w.n_dim == 0) { /* one element */
        static const int64_t one[MAX_OPERANDS] = {1, 1, 1, 1, 1, 1, 1, 1};
        body(context, 1, data, one);
        return;
    }
    merge_dims(&w);
    const int64_t len = w.dim[w.n_dim - 1];
    w.rows = 1;
    for (int k = 0; k < w.n_dim - 1; k++) w.rows *= w.dim[k];
    w.piece = PIECE;
    w.pieces_per_row = (len + PIECE - 1) / PIECE;
    w.rows_per_unit = len < PIECE ? PIECE / len : 1;
    int64_t units = w.pieces_per_row > 1 ? w.rows * w.pieces_per_row
                                         : (w.rows + w.rows_per_unit - 1) / w.rows_per_unit;
    trit_parallel(units, do_unit, &w);
}
