/*
 * reduce.c - sums over any dimensions of a tensor of any strides.
 *
 * Dimensions fall into kept and reduced ones.  Where the fastest dimension is kept (channels-last
 * bias gradients) rows are added into a row of sums; where it is reduced, runs are summed.  Either
 * way a piece is one kernel call.  Pieces are dealt to at most SLOTS slots, in order; a slot has
 * its own row of double sums, and slots are added in order.
 */
#include <string.h>

#include "kernels/kernels.h"
#include "ops/ops.h"

#define PIECE 8192 /* numbers of one kernel call at most  */
#define SLOTS 64   /* most partial sums per kept element  */

typedef struct {
    int n;
    int64_t dim[TRIT_MAX_DIM], stride[TRIT_MAX_DIM], to[TRIT_MAX_DIM]; /* slowest first */
    int64_t count;
} axes;

typedef struct {
    const float *x;
    axes kept, reduced;        /* without the run and the piece dimension */
    int64_t run, run_stride;   /* kept numbers side by side (1: runs are reduced) */
    int64_t last, last_stride; /* the reduced dimension that is cut into pieces   */
    int64_t piece, pieces;     /* its length of one piece, pieces per row of it   */
    int64_t chunks, slots;     /* chunks = reduced.count * pieces                 */
    int64_t groups;            /* units the kept elements are cut into            */
    double *partial;           /* [slots][kept.count * run]                       */
} reduction;

static void add_axis(axes *a, int64_t dim, int64_t stride, int64_t to) {
    int k = a->n++;
    for (; k > 0 && a->stride[k - 1] < stride; k--) {
        a->dim[k] = a->dim[k - 1];
        a->stride[k] = a->stride[k - 1];
        a->to[k] = a->to[k - 1];
    }
    a->dim[k] = dim;
    a->stride[k] = stride;
    a->to[k] = to;
    a->count *= dim;
}

/* Neighbours that continue each other become one; only for reduced ones (`to` is unused). */
static void merge(axes *a) {
    for (int k = a->n - 1; k > 0; k--) {
        if (a->stride[k - 1] != a->stride[k] * a->dim[k]) continue;
        a->dim[k - 1] *= a->dim[k];
        a->stride[k - 1] = a->stride[k];
        for (int m = k; m + 1 < a->n; m++) {
            a->dim[m] = a->dim[m + 1];
            a->stride[m] = a->stride[m + 1];
        }
        a->n--;
    }
}

/* Offset of the i-th element of the space. */
static int64_t offset_of(const axes *a, const int64_t *stride, int64_t i) {
    int64_t offset = 0;
    for (int k = a->n - 1; k >= 0; k--) {
        offset += i % a->dim[k] * stride[k];
        i /= a->dim[k];
    }
    return offset;
}

/* Add `rows` numbers of the reduced dimension for every kept number of the run. */
static void add_piece(const reduction *r, const float *x, int64_t rows, double *sum) {
    if (r->run > 1 && r->run_stride == 1) {
        trit_kernels()->row_sums(rows, r->run, r->last_stride, x, sum);
    } else if (r->run == 1 && r->last_stride == 1) {
        trit_kernels()->sum(rows, x, sum);
    } else {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < r->run; k++)
                sum[k] += (double)x[i * r->last_stride + k * r->run_stride];
    }
}

static void reduce_unit(void *context, int64_t unit, int worker) {
    const reduction *r = context;
    (void)worker;
    const int64_t slot = unit / r->groups, group = unit % r->groups;
    const int64_t k0 = r->kept.count * group / r->groups;
    const int64_t k1 = r->kept.count * (group + 1) / r->groups;
    const int64_t c0 = r->chunks * slot / r->slots, c1 = r->chunks * (slot + 1) / r->slots;
    for (int64_t k = k0; k < k1; k++) {
        const float *base = r->x + offset_of(&r->kept, r->kept.stride, k);
        double *sum = r->partial + (slot * r->kept.count + k) * r->run;
        for (int64_t c = c0; c < c1; c++) {
            const int64_t at = c % r->pieces * r->piece;
            const int64_t rows = r->last - at < r->piece ? r->last - at : r->piece;
            add_piece(r,
                      base + offset_of(&r->reduced, r->reduced.stride, c / r->pieces) +
                          at * r->last_stride,
                      rows, sum);
        }
    }
}

static void take_last(axes *a, int64_t *dim, int64_t *stride) {
    *dim = 1;
    *stride = 0;
    if (!a->n) return;
    a->n--;
    *dim = a->dim[a->n];
    *stride = a->stride[a->n];
    a->count /= *dim ? *dim : 1;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : v > hi ? hi : v; }

/* Fill in everything but the memory; returns the stride in dst of the run. */
static int64_t plan(reduction *r, const trit_tensor *src, const trit_tensor *dst) {
    int64_t to = 0;
    *r = (reduction){.x = src->data, .kept = {.count = 1}, .reduced = {.count = 1}};
    for (int i = 0; i < src->shape.ndim; i++) {
        if (src->shape.dim[i] == 1) continue;
        bool kept = dst->shape.dim[i] != 1;
        add_axis(kept ? &r->kept : &r->reduced, src->shape.dim[i], src->stride[i],
                 kept ? dst->stride[i] : 0);
    }
    merge(&r->reduced);
    r->run = 1;
    const axes *k = &r->kept, *d = &r->reduced;
    if (k->n && (!d->n || k->stride[k->n - 1] < d->stride[d->n - 1])) {
        to = k->to[k->n - 1];
        take_last(&r->kept, &r->run, &r->run_stride);
    }
    take_last(&r->reduced, &r->last, &r->last_stride);
    r->piece = clamp(PIECE / r->run, 1, r->last);
    r->pieces = (r->last + r->piece - 1) / r->piece;
    r->chunks = r->reduced.count * r->pieces;
    r->groups = clamp(r->kept.count, 1, SLOTS);
    r->slots = clamp(SLOTS / r->groups, 1, r->chunks);
    return to;
}

trit_status trit_reduce_sum(const trit_tensor *src, double scale, trit_tensor *dst) {
    reduction r;
    if (trit_numel(src) == 0) {
        trit_tensor_fill(dst, 0.0f);
        return TRIT_OK;
    }
    const int64_t to = plan(&r, src, dst), n = r.kept.count * r.run;
    const size_t bytes = (size_t)(r.slots * n) * sizeof(double);
    r.partial = trit_alloc(bytes);
    if (!r.partial) return TRIT_ERR_MEM;
    memset(r.partial, 0, bytes);
    trit_parallel(r.slots * r.groups, reduce_unit, &r);
    for (int64_t k = 0; k < r.kept.count; k++) {
        float *out = dst->data + offset_of(&r.kept, r.kept.to, k);
        for (int64_t i = 0; i < r.run; i++) {
            double sum = 0;
            for (int64_t s = 0; s < r.slots; s++) sum += r.partial[s * n + k * r.run + i];
            out[i * to] = (float)(scale * sum);
        }
    }
    trit_free(r.partial, bytes);
    return TRIT_OK;
}

/* ------------------------------------------------------------ shapes around it */

trit_status trit_unbroadcast(const trit_call *c, int i, trit_tensor *g, trit_tensor **gx) {
    if (trit_same_shape(c->in[i], g)) {
        *gx = trit_tensor_retain(g);
        return TRIT_OK;
    }
    TRIT_TRY(trit_grad_new(c, i, gx));
    const int missing = g->shape.ndim - (*gx)->shape.ndim;
    trit_shape full = {.ndim = g->shape.ndim};
    int64_t stride[TRIT_MAX_DIM] = {0};
    for (int k = 0; k < full.ndim; k++) {
        full.dim[k] = k < missing ? 1 : (*gx)->shape.dim[k - missing];
        stride[k] = k < missing ? 0 : (*gx)->stride[k - missing];
    }
    trit_tensor *view = NULL;
    trit_status status = trit_tensor_view(*gx, &full, stride, 0, &view);
    if (status == TRIT_OK) status = trit_reduce_sum(g, 1.0, view);
    trit_tensor_release(view);
    return status;
}

trit_status trit_op_axes(const trit_call *c, int row, int ndim, bool *reduced) {
    const int n = c->args.n[row];
    for (int i = 0; i < ndim; i++) reduced[i] = n == 0;
    for (int k = 0; k < n; k++) {
        int axis;
        TRIT_TRY(trit_op_axis(c, row, k, ndim, &axis));
        if (reduced[axis])
            return trit_fail(TRIT_ERR_ARG, "%s: axis %d is named twice: x %s", c->op->name,
                             axis + 1, TRIT_TEXT(c->in[0]));
        reduced[axis] = true;
    }
    return TRIT_OK;
}

void trit_reduced_shape(const trit_shape *x, const bool *reduced, bool keep, trit_shape *out) {
    *out = (trit_shape){0};
    for (int i = 0; i < x->ndim; i++)
        if (!reduced[i] || keep) out->dim[out->ndim++] = reduced[i] ? 1 : x->dim[i];
}

trit_status trit_keep_view(const trit_tensor *t, const trit_shape *full, const bool *reduced,
                           trit_tensor **out) {
    trit_shape shape = {.ndim = full->ndim};
    int64_t stride[TRIT_MAX_DIM] = {0};
    const bool kept = t->shape.ndim == full->ndim;
    for (int i = 0, k = 0; i < full->ndim; i++) {
        shape.dim[i] = reduced[i] ? 1 : full->dim[i];
        if (!reduced[i]) stride[i] = t->stride[kept ? i : k];
        k += !reduced[i];
    }
    return trit_tensor_view(t, &shape, stride, 0, out);
}

int64_t trit_reduced_count(const trit_shape *x, const bool *reduced) {
    int64_t n = 1;
    for (int i = 0; i < x->ndim; i++)
        if (reduced[i]) n *= x->dim[i];
    return n;
}

trit_status trit_infer_reduced(const trit_call *c, trit_shape *out) {
    bool reduced[TRIT_MAX_DIM];
    const trit_shape *x = &c->in[0]->shape;
    TRIT_TRY(trit_op_axes(c, REDUCE_AXES, x->ndim, reduced));
    trit_reduced_shape(x, reduced, c->args.v[REDUCE_KEEP][0] != 0, out);
    return TRIT_OK;
}

trit_axis_split trit_split_axis(const trit_shape *x, int axis) {
    trit_axis_split s = {1, x->dim[axis], 1};
    for (int i = 0; i < axis; i++) s.outer *= x->dim[i];
    for (int i = axis + 1; i < x->ndim; i++) s.inner *= x->dim[i];
    return s;
}
