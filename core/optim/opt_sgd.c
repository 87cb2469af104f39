/*
 * opt_sgd.c - stochastic gradient descent with momentum, as in PyTorch.
 *
 *   g <- g + weight_decay p
 *   v <- g at the first step, then momentum v + (1 - dampening) g
 *   p <- p - lr v, or with nesterov p - lr (g + momentum v)
 *
 * The first step takes g undamped.  Caffe and Sutskever et al. put lr inside v; the two agree
 * while lr is constant.
 */
#include "trit/optim.h"

enum { LR, MOMENTUM, DAMPENING, WEIGHT_DECAY, NESTEROV };

static const trit_param params[] = {
    {.name = "lr", .min = 0, .max = 1e6, .required = true, .doc = "learning rate"},
    {.name = "momentum", .min = 0, .max = 1, .doc = "share of the velocity that is kept"},
    {.name = "dampening",
     .min = 0,
     .max = 1,
     .doc = "share of the gradient left out of the velocity"},
    {.name = "weight_decay",
     .min = 0,
     .max = 1e6,
     .doc = "times the weight, added to the gradient"},
    {.name = "nesterov", .choices = TRIT_BOOL, .doc = "look ahead along the velocity"},
    {0},
};

static unsigned uses(const trit_args *args) { return args->v[MOMENTUM][0] != 0; }

static void update(const trit_args *args, int64_t t, int64_t n, float *restrict p,
                   const float *restrict g, float *const slot[TRIT_MAX_SLOTS]) {
    const float lr = (float)args->v[LR][0], decay = (float)args->v[WEIGHT_DECAY][0];
    const float m = (float)args->v[MOMENTUM][0];
    const float keep = t == 1 ? 0 : m;
    const float take = t == 1 ? 1 : (float)(1 - args->v[DAMPENING][0]);
    float *restrict v = slot[0];
    if (m == 0) {
        for (int64_t i = 0; i < n; i++) p[i] -= lr * (g[i] + decay * p[i]);
    } else if (args->v[NESTEROV][0] != 0) {
        for (int64_t i = 0; i < n; i++) {
            const float d = g[i] + decay * p[i];
            v[i] = keep * v[i] + take * d;
            p[i] -= lr * (d + m * v[i]);
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            v[i] = keep * v[i] + take * (g[i] + decay * p[i]);
            p[i] -= lr * v[i];
        }
    }
}

const trit_optimizer trit_optimizer_sgd = {
    .name = "sgd",
    .doc =
        "trit.optim.sgd(params, { lr, momentum, dampening, weight_decay, nesterov }) -> optimizer\n"
        "Stochastic gradient descent with momentum.\n"
        "eq:      g <- g + decay p; v <- m v + (1 - dampening) g (first step: v = g);\n"
        "         p <- p - lr v, with nesterov p - lr (g + m v)   (as PyTorch)\n",
    .params = params,
    .slots = {"velocity"},
    .uses = uses,
    .update = update,
};
