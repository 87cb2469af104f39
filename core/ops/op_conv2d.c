/*
 * op_conv2d.c - two-dimensional convolution (cross-correlation).
 *
 *   y[n,k,p,q] = b[k] + sum_{c,r,s} x[n, c', p*stride_h - pad_h + r*dil_h, q*...] w[k,c,r,s]
 *
 * with c' = g*C/G + c in group g = k / (K/G) and x = 0 outside.  The sums are conv.h's.
 *
 * Scales alone: where w = s * t with ternary t and only the scales s are trained, weight gradients
 * need not be computed.  With s given as fourth operand, w without gradient,
 *   dL/ds_k = sum_{n,p,q} gy (y - b_k) / s_k     (0 where s_k = 0; one s: summed over k)
 * which is exact because y - b is linear in s.  Forward does not read s.
 *
 * Fusion: rows of x and of gy that are only described (a normalisation before, or behind) are made
 * by the convolution itself, sums of y are left with it for the normalisation behind, and rows of
 * gx are finished for the rectifier before (autograd/fuse.c), where the algorithm can
 * (trit/conv.h).
 */
#include "ops/ops.h"
#include "tensor/pending.h"
#include "trit/conv.h"

enum { STRIDE, PADDING, DILATION, GROUPS };
enum { X, W, B, S };

static const trit_param params[] = {
    {.name = "stride",
     .integer = true,
     .def = 1,
     .min = 1,
     .max = 1024,
     .len = 2,
     .doc = "pixels: height, width"},
    {.name = "padding",
     .integer = true,
     .def = 0,
     .min = 0,
     .max = 1024,
     .len = 2,
     .doc = "zeros on each side, pixels: height, width"},
    {.name = "dilation",
     .integer = true,
     .def = 1,
     .min = 1,
     .max = 1024,
     .len = 2,
     .doc = "distance of kernel taps, pixels: height, width"},
    {.name = "groups", .integer = true, .def = 1, .min = 1, .max = 65536, .doc = "channel groups"},
    {0},
};

static trit_conv_geom geometry(const trit_call *c) {
    const int64_t *x = c->in[X]->shape.dim, *w = c->in[W]->shape.dim;
    const double(*v)[TRIT_MAX_LEN] = c->args.v;
    trit_conv_geom g = {
        .N = x[0], .C = x[1], .H = x[2], .W = x[3], .K = w[0], .R = w[2], .S = w[3]};
    g.stride_h = (int64_t)v[STRIDE][0];
    g.stride_w = (int64_t)v[STRIDE][1];
    g.pad_h = (int64_t)v[PADDING][0];
    g.pad_w = (int64_t)v[PADDING][1];
    g.dil_h = (int64_t)v[DILATION][0];
    g.dil_w = (int64_t)v[DILATION][1];
    g.G = (int64_t)v[GROUPS][0];
    g.P = trit_window_count(g.H, g.dil_h * (g.R - 1) + 1, g.stride_h, g.pad_h);
    g.Q = trit_window_count(g.W, g.dil_w * (g.S - 1) + 1, g.stride_w, g.pad_w);
    return g;
}

/* "input f32[...], weight f32[...], stride 1, padding 1": the end of every sentence. */
#define OPERANDS "input %s, weight %s, stride %lld, padding %lld, dilation %lld, groups %lld"
#define OPERAND_VALUES                                                                             \
    TRIT_TEXT(c->in[X]), TRIT_TEXT(c->in[W]), (long long)g.stride_h, (long long)g.pad_h,           \
        (long long)g.dil_h, (long long)g.G

static trit_status check_vectors(const trit_call *c, int64_t K) {
    TRIT_TRY(trit_op_vector(c, "bias", B, K));
    if (c->in[S] && trit_numel(c->in[S]) == 1) return TRIT_OK;
    return trit_op_vector(c, "scale", S, K);
}

static trit_status infer(const trit_call *c, trit_shape *out) {
    TRIT_TRY(trit_op_rank(c, "input", X, 4));
    TRIT_TRY(trit_op_rank(c, "weight", W, 4));
    const trit_conv_geom g = geometry(c);
    const int64_t expected = c->in[W]->shape.dim[1] * g.G;
    if (g.C != expected)
        return trit_fail(TRIT_ERR_SHAPE,
                         "conv2d: input has %lld channels but weight expects %lld: " OPERANDS,
                         (long long)g.C, (long long)expected, OPERAND_VALUES);
    if (g.K % g.G)
        return trit_fail(TRIT_ERR_SHAPE,
                         "conv2d: %lld output channels cannot be split into %lld groups: " OPERANDS,
                         (long long)g.K, (long long)g.G, OPERAND_VALUES);
    if (g.R < 1 || g.S < 1 || g.P < 1 || g.Q < 1)
        return trit_fail(TRIT_ERR_SHAPE,
                         "conv2d: the kernel does not fit into the padded input: " OPERANDS,
                         OPERAND_VALUES);
    TRIT_TRY(check_vectors(c, g.K));
    *out = (trit_shape){4, {g.N, g.K, g.P, g.Q}};
    return TRIT_OK;
}

/* How rows of `t` are made, when this pass shall make them; else t is settled. */
static trit_status rows_of(trit_tensor *t, bool by_us, const trit_make **rows) {
    *rows = NULL;
    if (!by_us) return trit_tensor_settle(t);
    if (t->pending) *rows = &t->pending->rows;
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    const trit_conv_geom g = geometry(c);
    const bool rides = trit_conv_rides_along(&g, 'f');
    trit_tensor *x = c->in[X];
    const trit_take plain = {.C = g.K};
    trit_conv_along along = {0};
    TRIT_TRY(rows_of(x, rides && !(x->pending && x->pending->rows.q), &along.x));
    if (rides && c->training && trit_fusion() && !c->in[B]) {
        struct trit_sums *sums = trit_sums_new(NULL, g.K);
        if (!sums) return TRIT_ERR_MEM;
        trit_tensor_set_sums(c->out, sums);
        along.take = &plain;
        along.sums = sums->v;
    }
    TRIT_TRY(trit_conv_forward(&g, x->data, c->in[W]->data, c->out->data, &along));
    if (c->in[B]) trit_add_bias(g.N * g.P * g.Q, g.K, c->in[B]->data, c->out->data);
    return TRIT_OK;
}

/* Rows of gx go on to the rectifier before, if there is one. */
static trit_conv_along data_along(trit_call *c, const trit_make *dy) {
    trit_conv_along along = {.dy = dy};
    if (c->fusion) {
        along.take = &c->fusion->take;
        along.sums = c->fusion->sums;
        c->fusion->done = true;
    }
    return along;
}

static trit_status gradients(trit_call *c, const trit_conv_geom *g, const float *dy,
                             const trit_make *made, trit_tensor **gx) {
    const float *w = c->in[W]->data;
    trit_conv_along along = {.dy = made};
    if (gx[X]) along = data_along(c, made);
    if (gx[W]) TRIT_TRY(rows_of(c->in[X], trit_conv_rides_along(g, 'w'), &along.x));
    const float *x = c->in[X]->data;
    if (gx[X] && gx[W]) return trit_conv_backward(g, x, dy, w, gx[X]->data, gx[W]->data, &along);
    if (gx[X]) return trit_conv_backward_data(g, dy, w, gx[X]->data, &along);
    return gx[W] ? trit_conv_backward_weight(g, x, dy, gx[W]->data, &along) : TRIT_OK;
}

/* dL/ds from sums of gy and gy y that came with gy, or from a pass over both. */
static trit_status scale_gradient(trit_call *c, const trit_conv_geom *g, const trit_tensor *gy,
                                  trit_tensor *gs) {
    const struct trit_sums *left = trit_tensor_sums(gy);
    if (left && left->of == c->out && left->raw && !c->in[B]) {
        trit_scale_from_sums(g->K, left->v + g->K, c->in[S], gs);
        return TRIT_OK;
    }
    TRIT_TRY(trit_tensor_settle((trit_tensor *)gy));
    return trit_scale_grad(g->N * g->P * g->Q, g->K, gy->data, c->out->data,
                           c->in[B] ? c->in[B]->data : NULL, c->in[S], gs);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    const trit_conv_geom g = geometry(c);
    const trit_make *dy = NULL;
    const bool made = (!c->want[X] || trit_conv_rides_along(&g, 'd')) &&
                      (!c->want[W] || trit_conv_rides_along(&g, 'w'));
    for (int i = 0; i < c->n_in; i++)
        if (c->want[i]) TRIT_TRY(trit_grad_new(c, i, &gx[i]));
    if (gx[S]) TRIT_TRY(scale_gradient(c, &g, gy, gx[S]));
    TRIT_TRY(rows_of(gy, made && !gx[B], &dy));
    TRIT_TRY(gradients(c, &g, gy->data, dy, gx));
    if (gx[B]) TRIT_TRY(trit_column_sums(g.N * g.P * g.Q, g.K, gy->data, gx[B]->data));
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[2,3,5,6];[4,3,3,3];[4]", "padding=1"},
    {"[2,16,8,8]L;[16,16,3,3]", "padding=1"},
    {"[1,4,7,5];[6,2,3,3]", "stride=2,padding=1,groups=2"},
    {"[2,4,6,6];[4,1,3,3];[4]", "padding=1,groups=4"},
    {"[1,3,4,4];[5,3,1,1]", ""},
    {"[1,2,9,8];[3,2,3,2]", "dilation=2"},
    {"[0,3,4,4];[2,3,3,3];[2]", ""},
    {"[1,1,1,1];[1,1,1,1]", ""},
    {0},
};

const trit_op trit_op_conv2d = {
    .name = "conv2d",
    .doc = "conv2d(x, w [, b [, s]] [, {stride, padding, dilation, groups}]) -> y\n"
           "Convolves images with filters (cross-correlation).\n"
           "shapes:  x [N,C,H,W], w [K,C/groups,R,S], b [K], s [1] or [K] -> y [N,K,P,Q],\n"
           "         P = (H + 2 padding - dilation (R-1) - 1) / stride + 1, Q alike\n"
           "units:   stride, padding, dilation in pixels, one number or {height, width}\n"
           "eq:      y = b + sum x w; s: dL/ds = sum gy (y - b) / s, for w = s t without gradient\n"
           "threads: parallel inside conv.h; same bits for any number of threads\n"
           "exact:   relative 1e-5; 1e-4 where Winograd is chosen\n"
           "errors:  ranks other than 4; channels that disagree; groups that do not divide;\n"
           "         a kernel larger than the padded input\n"
           "see:     trit/conv.h\n",
    .operands = "x,w,b?,s?",
    .params = params,
    .layout = TRIT_CHANNELS_LAST,
    .weight_is_hwio = true,
    .takes_pending = 1u << X,
    .takes_pending_grad = true,
    .takes_rows = 1u << X,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
