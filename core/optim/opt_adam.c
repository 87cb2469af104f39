/*
 * opt_adam.c - Adam (Kingma & Ba, ICLR 2015, arXiv:1412.6980), as in PyTorch.
 *
 *   g <- g + weight_decay p      m <- beta1 m + (1 - beta1) g     v <- beta2 v + (1 - beta2) g^2
 *   p <- p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
 *
 * Decay is L2 inside the gradient; opt_adamw.c has the decoupled one.
 */
#include "optim/adam.h"

static const trit_param params[] = {ADAM_PARAMS(0, "times the weight, added to the gradient")};

static void update(const trit_args *args, int64_t t, int64_t n, float *p, const float *g,
                   float *const slot[TRIT_MAX_SLOTS]) {
    adam_update(args, t, n, p, g, slot, 1.0f, (float)args->v[ADAM_WEIGHT_DECAY][0]);
}

const trit_optimizer trit_optimizer_adam = {
    .name = "adam",
    .doc = "trit.optim.adam(params, { lr, beta1, beta2, eps, weight_decay }) -> optimizer\n"
           "Adam with weight decay folded into the gradient.\n"
           "eq:      p <- p - lr mhat / (sqrt(vhat) + eps)   (Kingma & Ba 2015; as PyTorch)\n",
    .params = params,
    .slots = {"m", "v"},
    .update = update,
};
