/*
 * ops.h - what op files share: spans, rows, reductions, views, labels and their sentences.
 *
 * Threads: every helper cuts its work by the problem's size and adds partial sums in a fixed
 * order, so results have the same bits for any number of threads.
 */
#ifndef TRIT_OPS_OPS_H
#define TRIT_OPS_OPS_H

#include "trit/op.h"

/* ------------------------------------------------------------------- spans (spans.c) */

/* body(context, n, p): n consecutive numbers of every operand. */
typedef void (*trit_span)(const void *context, int64_t n, float *const *p);

/* Walk operands of any strides in spans.  t[0] is the result and gives the shape; the others may be
 * smaller and stretch by numpy's rule.  At most TRIT_SPAN_OPERANDS. */
#define TRIT_SPAN_OPERANDS 4
void trit_spans(int count, const trit_tensor *const *t, trit_span body, const void *context);

/* y = f(x) and gx = gy * df(x, y), number by number: for functions of libm. */
typedef float (*trit_map)(float x);
typedef float (*trit_map_grad)(float x, float y);
void trit_map_forward(const trit_call *c, trit_map f);
trit_status trit_map_backward(trit_call *c, trit_tensor *gy, trit_tensor **gx, trit_map_grad df);

/* A tensor for the gradient of operand i, which has gy's shape: gy itself where nobody else holds
 * it (element-wise gradients may overwrite it: one pass of memory less), else a new one. */
trit_status trit_grad_reuse(const trit_call *c, int i, trit_tensor *gy, trit_tensor **gx);

/* -------------------------------------------------------------------- rows (rows.c) */

/* Parallel over blocks of rows: body(context, first row, count). */
typedef void (*trit_row_body)(const void *context, int64_t from, int64_t count);
void trit_each_rows(int64_t rows, int64_t C, trit_row_body body, const void *context);

/* Sums over rows in a fixed number of slots: body adds its rows to s[sums * C]; out[sums * C]
 * gets the slots' total, added in order.  Fails only for lack of memory. */
typedef void (*trit_sum_body)(const void *context, int64_t from, int64_t count, double *s);
trit_status trit_sum_rows(int64_t rows, int64_t C, int sums, trit_sum_body body,
                          const void *context, double *out);

/* out[c] = sum over rows of x [rows][C]; bias gradients. */
trit_status trit_column_sums(int64_t rows, int64_t C, const float *x, float *out);
/* y += b in every row, b [C]. */
void trit_add_bias(int64_t rows, int64_t C, const float *b, float *y);
/* ds for outputs y = s * z + b with y, gy [rows][C]: sum of gy (y - b) over each channel's outputs,
 * divided by s; s has C or 1 elements; 0 where s is 0.  b may be NULL.  From sums [C] of
 * gy (y - b), or from a pass over gy and y. */
void trit_scale_from_sums(int64_t C, const double *sum, const trit_tensor *s, trit_tensor *ds);
trit_status trit_scale_grad(int64_t rows, int64_t C, const float *gy, const float *y,
                            const float *b, const trit_tensor *s, trit_tensor *ds);

/* --------------------------------------------------------------- reductions (reduce.c) */

/* dst = scale * sum of src over the dimensions where dst (of the same rank) has 1; any strides,
 * double inside. */
trit_status trit_reduce_sum(const trit_tensor *src, double scale, trit_tensor *dst);
/* The gradient of operand i, which was stretched to g's shape: g summed back.  `g` is borrowed. */
trit_status trit_unbroadcast(const trit_call *c, int i, trit_tensor *g, trit_tensor **gx);

/* Parameter row `axes` (from 1, negative from the end; none = all) as flags. */
trit_status trit_op_axes(const trit_call *c, int row, int ndim, bool *reduced);
/* The shape left of x's when `reduced` dimensions go, or stay as 1 with `keep`. */
void trit_reduced_shape(const trit_shape *x, const bool *reduced, bool keep, trit_shape *out);
/* A handle on t with the rank of `full`: 1 where reduced. */
trit_status trit_keep_view(const trit_tensor *t, const trit_shape *full, const bool *reduced,
                           trit_tensor **out);

/* gx = scale * gy stretched back over the reduced dimensions. */
trit_status trit_stretch_grad(const trit_call *c, const trit_tensor *gy, const bool *reduced,
                              double scale, trit_tensor **gx);
/* Numbers per result of a reduction. */
int64_t trit_reduced_count(const trit_shape *x, const bool *reduced);

/* mean and variance over `reduced`; mean (a new tensor of x's rank, 1 where reduced) is the
 * caller's, variance is written to `var` of the same shape.  var = sum (x - mean)^2 / divisor. */
trit_status trit_moments(const trit_tensor *x, const bool *reduced, double divisor,
                         trit_tensor **mean, trit_tensor *var);

/* The two rows that every reduction's table begins with, and what follows from them. */
enum { REDUCE_AXES, REDUCE_KEEP };
#define REDUCE_PARAMS                                                                              \
    {.name = "axes",                                                                               \
     .integer = true,                                                                              \
     .def = 1,                                                                                     \
     .min = -8,                                                                                    \
     .max = 8,                                                                                     \
     .len = 8,                                                                                     \
     .list = true,                                                                                 \
     .doc = "axes to go, from 1, negative from the last; none: all"},                              \
    {                                                                                              \
        .name = "keepdims", .def = 0, .min = 0, .max = 1, .choices = TRIT_BOOL,                    \
        .doc = "leave them in with length 1"                                                       \
    }
trit_status trit_infer_reduced(const trit_call *c, trit_shape *out);

/* A tensor as [outer][length][inner] around one axis; data in interface order. */
typedef struct {
    int64_t outer, length, inner;
} trit_axis_split;
trit_axis_split trit_split_axis(const trit_shape *x, int axis);

/* ---------------------------------------------------------------- parameters (checks.c) */

/* Axis parameter: 1 is the first, -1 the last; *axis counts from 0. */
trit_status trit_op_axis(const trit_call *c, int row, int at, int ndim, int *axis);
/* x has `ndim` dimensions or a sentence. */
trit_status trit_op_rank(const trit_call *c, const char *what, int i, int ndim);
/* Operand i, if given, is [n]. */
trit_status trit_op_vector(const trit_call *c, const char *what, int i, int64_t n);
/* Labels f32[N] of whole numbers 1..C for x [N,C]; `row` and value are named otherwise. */
trit_status trit_op_labels(const trit_call *c, const trit_tensor *labels, int64_t C);
/* Output length of a window sliding over a padded axis; 0 when it does not fit. */
int64_t trit_window_count(int64_t in, int64_t window, int64_t stride, int64_t pad);

/* y (zeroed unless it covers all) and a copy between t and a box inside `whole`: pad, slice,
 * concat and their gradients. */
trit_status trit_box_view(const trit_tensor *whole, const int64_t *start, const int64_t *step,
                          const trit_shape *box, trit_tensor **out);

#endif
