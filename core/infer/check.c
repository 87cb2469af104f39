/*
 * check.c - the rules a graph must keep, for whoever writes one and whoever reads one.
 */
#include "infer/format.h"

#include <math.h>

/* Output pixels along one side; 0 when the window does not fit. */
static int64_t pixels(int64_t n, int64_t window, int64_t stride, int64_t pad, int64_t dilation) {
    const int64_t span = (window - 1) * dilation + 1, room = n + 2 * pad - span;
    return room < 0 ? 0 : room / stride + 1;
}

static bool side(int64_t v) { return v >= 1 && v <= MAX_SIDE; }

static trit_status check_window(const char *file, int64_t i, trit_node *d) {
    const bool ok = side(d->R) && side(d->S) && side(d->stride_h) && side(d->stride_w) &&
                    side(d->dil_h) && side(d->dil_w) && d->pad_h >= 0 && d->pad_h <= MAX_SIDE &&
                    d->pad_w >= 0 && d->pad_w <= MAX_SIDE;
    if (!ok)
        return trit_fail(TRIT_ERR_IO,
                         "%s: node %lld: kernel, stride and dilation must lie in "
                         "[1, %d], padding in [0, %d]",
                         file, (long long)i, MAX_SIDE, MAX_SIDE);
    d->P = pixels(d->H, d->R, d->stride_h, d->pad_h, d->dil_h);
    d->Q = pixels(d->W, d->S, d->stride_w, d->pad_w, d->dil_w);
    if (!side(d->P) || !side(d->Q))
        return trit_fail(
            TRIT_ERR_IO, "%s: node %lld: a %lld x %lld kernel does not fit %lld x %lld pixels",
            file, (long long)i, (long long)d->R, (long long)d->S, (long long)d->H, (long long)d->W);
    if (d->kind == TRIT_NODE_MAX_POOL || d->kind == TRIT_NODE_AVG_POOL) {
        const bool empty = d->pad_h >= d->R || d->pad_w >= d->S || d->dil_h != 1 || d->dil_w != 1;
        if (empty) /* every window holds a pixel */
            return trit_fail(TRIT_ERR_IO,
                             "%s: node %lld: pooling needs dilation 1 and padding below its kernel",
                             file, (long long)i);
        if (d->R * d->S > MAX_SIDE)
            return trit_fail(TRIT_ERR_IO, "%s: node %lld: pooling of %lld pixels, at most %d", file,
                             (long long)i, (long long)(d->R * d->S), MAX_SIDE);
    }
    return TRIT_OK;
}

static trit_status check_conv(const char *file, int64_t i, trit_node *d) {
    TRIT_TRY(check_window(file, i, d));
    if (d->groups < 1 || d->C % d->groups || d->K % d->groups)
        return trit_fail(TRIT_ERR_IO,
                         "%s: node %lld: %lld groups do not divide %lld and %lld channels", file,
                         (long long)i, (long long)d->groups, (long long)d->C, (long long)d->K);
    const bool coded = d->weight == TRIT_WEIGHT_T2 || d->weight == TRIT_WEIGHT_T5;
    if (!coded && d->weight != TRIT_WEIGHT_FLOAT)
        return trit_fail(TRIT_ERR_IO, "%s: node %lld: weights of unknown kind %d", file,
                         (long long)i, (int)d->weight);
    if (!coded && (d->planes || d->scales || d->two_sided))
        return trit_fail(TRIT_ERR_IO,
                         "%s: node %lld: float weights have no planes, scales or second side", file,
                         (long long)i);
    if (coded && (d->planes < 1 || d->planes > TRIT_MAX_PLANES))
        return trit_fail(TRIT_ERR_IO, "%s: node %lld: %d planes, expected 1 to %d", file,
                         (long long)i, d->planes, TRIT_MAX_PLANES);
    if (coded && d->scales != 1 && d->scales != d->K)
        return trit_fail(TRIT_ERR_IO, "%s: node %lld: %lld scales for %lld channels", file,
                         (long long)i, (long long)d->scales, (long long)d->K);
    return TRIT_OK;
}

trit_status trit_node_check_unused(const char *file, int64_t i, const trit_node *d) {
    const bool conv = d->kind == TRIT_NODE_CONV, affine = conv || d->kind == TRIT_NODE_POINTWISE;
    const char *what = NULL;
    if (!affine && d->clamp) what = "clamps";
    if (d->kind != TRIT_NODE_AVG_POOL && d->count_pad) what = "counts padding";
    if (!conv && (d->scales || d->planes || d->two_sided)) what = "has scales";
    if (!conv && d->groups > 1) what = "has groups";
    if (!affine && (d->gain || d->bias)) what = "has a gain or bias";
    if (!what) return TRIT_OK;
    return trit_fail(TRIT_ERR_IO, "%s: node %lld %s, which its kind does not", file, (long long)i,
                     what);
}

static trit_status check_kind(const char *file, int64_t i, trit_node *d) {
    switch (d->kind) {
    case TRIT_NODE_CONV: return check_conv(file, i, d);
    case TRIT_NODE_MAX_POOL:
    case TRIT_NODE_AVG_POOL:
        TRIT_TRY(check_window(file, i, d));
        if (d->K == d->C) return TRIT_OK;
        break;
    case TRIT_NODE_SHORTCUT:
        if (!side(d->stride_h) || !side(d->stride_w)) break;
        d->P = (d->H - 1) / d->stride_h + 1;
        d->Q = (d->W - 1) / d->stride_w + 1;
        if (d->K >= d->C) return TRIT_OK;
        break;
    case TRIT_NODE_POINTWISE:
        d->P = d->H;
        d->Q = d->W;
        if (d->K == d->C) return TRIT_OK;
        break;
    default:
        return trit_fail(TRIT_ERR_IO, "%s: node %lld is of unknown kind %d", file, (long long)i,
                         (int)d->kind);
    }
    return trit_fail(TRIT_ERR_IO, "%s: node %lld: %lld channels in and %lld out do not fit", file,
                     (long long)i, (long long)d->C, (long long)d->K);
}

trit_status trit_node_check(const char *file, int64_t i, trit_node *d, int64_t C, int64_t H,
                            int64_t W) {
    d->C = C;
    d->H = H;
    d->W = W;
    if (!side(d->K))
        return trit_fail(TRIT_ERR_IO, "%s: node %lld: %lld channels, expected 1 to %d", file,
                         (long long)i, (long long)d->K, MAX_SIDE);
    TRIT_TRY(check_kind(file, i, d));
    TRIT_TRY(trit_node_check_unused(file, i, d));
    if (d->K * d->P * d->Q > MAX_VALUES)
        return trit_fail(TRIT_ERR_IO, "%s: node %lld: a result of %lld x %lld x %lld is too large",
                         file, (long long)i, (long long)d->K, (long long)d->P, (long long)d->Q);
    if (d->clamp && !(d->lo <= d->hi))
        return trit_fail(TRIT_ERR_IO, "%s: node %lld: clamp from %g to %g", file, (long long)i,
                         (double)d->lo, (double)d->hi);
    if (!(isfinite(d->least) && isfinite(d->greatest) && d->least <= d->greatest))
        return trit_fail(TRIT_ERR_IO, "%s: node %lld: calibrated from %g to %g", file, (long long)i,
                         (double)d->least, (double)d->greatest);
    return TRIT_OK;
}

static trit_status check_operands(const char *file, const trit_graph *g, int64_t i) {
    const trit_node *d = &g->nodes[i];
    if (d->a < 0 || d->a > i || d->b < -1 || d->b > i)
        return trit_fail(TRIT_ERR_IO, "%s: node %lld reads values %lld and %lld, made later", file,
                         (long long)i, (long long)d->a, (long long)d->b);
    if (d->b < 0) return TRIT_OK;
    if (d->kind != TRIT_NODE_CONV && d->kind != TRIT_NODE_POINTWISE)
        return trit_fail(TRIT_ERR_IO, "%s: node %lld: its kind adds no second value", file,
                         (long long)i);
    const trit_node *s = d->b > 0 ? &g->nodes[d->b - 1] : NULL;
    const int64_t K = s ? s->K : g->C, P = s ? s->P : g->H, Q = s ? s->Q : g->W;
    if (K != d->K || P != d->P || Q != d->Q)
        return trit_fail(TRIT_ERR_IO, "%s: node %lld adds [%lld,%lld,%lld] to [%lld,%lld,%lld]",
                         file, (long long)i, (long long)K, (long long)P, (long long)Q,
                         (long long)d->K, (long long)d->P, (long long)d->Q);
    return TRIT_OK;
}

trit_status trit_graph_check(const char *file, trit_graph *g) {
    if (!side(g->C) || !side(g->H) || !side(g->W) || g->C * g->H * g->W > MAX_VALUES)
        return trit_fail(TRIT_ERR_IO, "%s: an input of %lld x %lld x %lld", file, (long long)g->C,
                         (long long)g->H, (long long)g->W);
    if (g->n < 1 || g->n > MAX_NODES)
        return trit_fail(TRIT_ERR_IO, "%s: %lld nodes, expected 1 to %d", file, (long long)g->n,
                         MAX_NODES);
    for (int c = 0; c < 3; c++)
        if (!isfinite(g->mean[c]) || !isfinite(g->std[c]) || !(g->std[c] > 0))
            return trit_fail(TRIT_ERR_IO, "%s: mean %g and std %g of channel %d", file,
                             (double)g->mean[c], (double)g->std[c], c);
    if (g->resize < 1 || g->resize > MAX_SIDE)
        return trit_fail(TRIT_ERR_IO, "%s: images resized to %lld pixels", file,
                         (long long)g->resize);
    if (!(isfinite(g->least) && isfinite(g->greatest) && g->least <= g->greatest))
        return trit_fail(TRIT_ERR_IO, "%s: input calibrated from %g to %g", file, (double)g->least,
                         (double)g->greatest);
    for (int64_t i = 0; i < g->n; i++) {
        trit_node *d = &g->nodes[i];
        if (d->a < 0 || d->a > i)
            return trit_fail(TRIT_ERR_IO, "%s: node %lld reads value %lld, made later", file,
                             (long long)i, (long long)d->a);
        const trit_node *s = d->a > 0 ? &g->nodes[d->a - 1] : NULL;
        TRIT_TRY(trit_node_check(file, i, d, s ? s->K : g->C, s ? s->P : g->H, s ? s->Q : g->W));
        TRIT_TRY(check_operands(file, g, i));
    }
    const trit_node *last = &g->nodes[g->n - 1];
    if (last->K != g->classes || last->P != 1 || last->Q != 1)
        return trit_fail(TRIT_ERR_IO, "%s: the last node makes [%lld,%lld,%lld], not %lld classes",
                         file, (long long)last->K, (long long)last->P, (long long)last->Q,
                         (long long)g->classes);
    return TRIT_OK;
}
