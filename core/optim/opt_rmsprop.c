/*
 * opt_rmsprop.c - RMSprop (Tieleman & Hinton 2012), centred variant of Graves 2013, as in PyTorch.
 *
 *   g <- g + weight_decay p      s <- alpha s + (1 - alpha) g^2
 *   centered: a <- alpha a + (1 - alpha) g,  r = sqrt(s - a^2) + eps;  else r = sqrt(s) + eps
 *   momentum: b <- momentum b + g/r,  p <- p - lr b;                   else p <- p - lr g/r
 *
 * eps stands outside the root (TensorFlow has it inside).
 */
#include <math.h>

#include "trit/optim.h"

enum { LR, ALPHA, EPS, MOMENTUM, CENTERED, WEIGHT_DECAY };

static const trit_param params[] = {
    {.name = "lr", .def = 1e-2, .min = 0, .max = 1e6, .doc = "learning rate"},
    {.name = "alpha", .def = 0.99, .min = 0, .max = 1, .doc = "decay of the mean square"},
    {.name = "eps", .def = 1e-8, .min = 0, .max = 1, .doc = "added to the root"},
    {.name = "momentum", .min = 0, .max = 1, .doc = "share of the last step that is kept"},
    {.name = "centered", .choices = TRIT_BOOL, .doc = "variance instead of mean square"},
    {.name = "weight_decay",
     .min = 0,
     .max = 1e6,
     .doc = "times the weight, added to the gradient"},
    {0},
};

static unsigned uses(const trit_args *args) {
    return 1u | (args->v[MOMENTUM][0] != 0 ? 2u : 0) | (args->v[CENTERED][0] != 0 ? 4u : 0);
}

static void update(const trit_args *args, int64_t t, int64_t n, float *restrict p,
                   const float *restrict g, float *const slot[TRIT_MAX_SLOTS]) {
    const float lr = (float)args->v[LR][0], eps = (float)args->v[EPS][0];
    const float decay = (float)args->v[WEIGHT_DECAY][0], keep = (float)args->v[ALPHA][0];
    const float take = (float)(1 - args->v[ALPHA][0]), momentum = (float)args->v[MOMENTUM][0];
    float *restrict square = slot[0], *restrict last = slot[1], *restrict mean = slot[2];
    (void)t;
    for (int64_t i = 0; i < n; i++) {
        const float d = g[i] + decay * p[i];
        square[i] = keep * square[i] + take * d * d;
        float spread = square[i];
        if (mean) {
            mean[i] += take * (d - mean[i]);
            spread -= mean[i] * mean[i];
        }
        float move = d / (sqrtf(spread > 0 ? spread : 0) + eps); /* rounding may go below 0 */
        if (last) move = last[i] = momentum * last[i] + move;
        p[i] -= lr * move;
    }
}

const trit_optimizer trit_optimizer_rmsprop = {
    .name = "rmsprop",
    .doc = "trit.optim.rmsprop(params, { lr, alpha, eps, momentum, centered, weight_decay })\n"
           "    -> optimizer\n"
           "Gradients divided by a running root mean square.\n"
           "eq:      s <- alpha s + (1 - alpha) g^2; p <- p - lr g / (sqrt(s) + eps)\n"
           "         (Tieleman & Hinton 2012; as PyTorch)\n",
    .params = params,
    .slots = {"square", "momentum", "mean"},
    .uses = uses,
    .update = update,
};
