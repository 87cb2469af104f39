/* adam.h - the moments shared by Adam and AdamW. */
#ifndef TRIT_OPTIM_ADAM_H
#define TRIT_OPTIM_ADAM_H

#include <math.h>

#include "trit/optim.h"

enum { ADAM_LR, ADAM_BETA1, ADAM_BETA2, ADAM_EPS, ADAM_WEIGHT_DECAY };

#define ADAM_PARAMS(decay, decay_doc)                                                              \
    {.name = "lr", .def = 1e-3, .min = 0, .max = 1e6, .doc = "learning rate"},                     \
        {.name = "beta1", .def = 0.9, .min = 0, .max = 1, .doc = "decay of the first moment"},     \
        {.name = "beta2", .def = 0.999, .min = 0, .max = 1, .doc = "decay of the second moment"},  \
        {.name = "eps", .def = 1e-8, .min = 0, .max = 1, .doc = "added to the root"},              \
        {.name = "weight_decay", .def = decay, .min = 0, .max = 1e6, .doc = decay_doc}, {          \
        0                                                                                          \
    }

/* p <- shrink p - lr mhat/(sqrt(vhat) + eps), moments of g + decay p. */
static inline void adam_update(const trit_args *args, int64_t t, int64_t n, float *restrict p,
                               const float *restrict g, float *const slot[TRIT_MAX_SLOTS],
                               float shrink, float decay) {
    const double b1 = args->v[ADAM_BETA1][0], b2 = args->v[ADAM_BETA2][0];
    const float rate = (float)(args->v[ADAM_LR][0] / (1 - pow(b1, (double)t)));
    const float root = (float)(1 / sqrt(1 - pow(b2, (double)t)));
    const float eps = (float)args->v[ADAM_EPS][0];
    const float keep1 = (float)b1, take1 = (float)(1 - b1), keep2 = (float)b2;
    const float take2 = (float)(1 - b2);
    float *restrict m = slot[0], *restrict v = slot[1];
    for (int64_t i = 0; i < n; i++) {
        const float d = g[i] + decay * p[i];
        m[i] = keep1 * m[i] + take1 * d;
        v[i] = keep2 * v[i] + take2 * d * d;
        p[i] = shrink * p[i] - rate * m[i] / (sqrtf(v[i]) * root + eps);
    }
}

#endif
