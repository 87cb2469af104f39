/*
 * pool.c - geometry and loops that maximum and average pooling share.
 */
#include "ops/pool.h"

trit_pool_geom trit_pool_geometry(const trit_call *c) {
    const int64_t *x = c->in[0]->shape.dim;
    const double(*v)[TRIT_MAX_LEN] = c->args.v;
    trit_pool_geom g = {.C = x[1], .H = x[2], .W = x[3]};
    g.R = (int64_t)v[POOL_KERNEL][0];
    g.S = (int64_t)v[POOL_KERNEL][1];
    g.stride_h = v[POOL_STRIDE][0] > 0 ? (int64_t)v[POOL_STRIDE][0] : g.R;
    g.stride_w = v[POOL_STRIDE][1] > 0 ? (int64_t)v[POOL_STRIDE][1] : g.S;
    g.pad_h = (int64_t)v[POOL_PADDING][0];
    g.pad_w = (int64_t)v[POOL_PADDING][1];
    g.P = trit_window_count(g.H, g.R, g.stride_h, g.pad_h);
    g.Q = trit_window_count(g.W, g.S, g.stride_w, g.pad_w);
    return g;
}

trit_status trit_pool_infer(const trit_call *c, trit_shape *out) {
    TRIT_TRY(trit_op_rank(c, "input", 0, 4));
    const trit_pool_geom g = trit_pool_geometry(c);
    const char *rule = NULL;
    if (2 * g.pad_h > g.R || 2 * g.pad_w > g.S)
        rule = "padding is more than half the window";
    else if (g.P < 1 || g.Q < 1)
        rule = "the window does not fit into the padded input";
    if (rule)
        return trit_fail(TRIT_ERR_SHAPE, "%s: %s: input %s, kernel %lldx%lld, padding %lldx%lld",
                         c->op->name, rule, TRIT_TEXT(c->in[0]), (long long)g.R, (long long)g.S,
                         (long long)g.pad_h, (long long)g.pad_w);
    *out = (trit_shape){4, {c->in[0]->shape.dim[0], g.C, g.P, g.Q}};
    return TRIT_OK;
}

static void image(void *context, int64_t n, int worker) {
    (void)worker;
    const trit_pool_job *j = context;
    j->body(j, n);
}

void trit_pool_images(trit_pool_job *j, int64_t N) { trit_parallel(N, image, j); }
