/*
 * opt_adamw.c - Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019,
 * arXiv:1711.05101), as in PyTorch.
 *
 *   p <- (1 - lr weight_decay) p, then Adam's step on g without decay
 */
#include "optim/adam.h"

#define DECAY 0.01 /* PyTorch's default */

static const trit_param params[] = {
    ADAM_PARAMS(DECAY, "times lr and the weight, taken off the weight")};

static void update(const trit_args *args, int64_t t, int64_t n, float *p, const float *g,
                   float *const slot[TRIT_MAX_SLOTS]) {
    const double shrink = 1 - args->v[ADAM_LR][0] * args->v[ADAM_WEIGHT_DECAY][0];
    adam_update(args, t, n, p, g, slot, (float)shrink, 0.0f);
}

const trit_optimizer trit_optimizer_adamw = {
    .name = "adamw",
    .doc = "trit.optim.adamw(params, { lr, beta1, beta2, eps, weight_decay }) -> optimizer\n"
           "Adam with decoupled weight decay.\n"
           "eq:      p <- (1 - lr decay) p - lr mhat / (sqrt(vhat) + eps)\n"
           "         (Loshchilov & Hutter 2019; as PyTorch)\n",
    .params = params,
    .slots = {"m", "v"},
    .update = update,
};
