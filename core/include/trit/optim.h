/*
 * optim.h - one descriptor per update rule.  Groups, schedules and loops live in Lua.
 */
#ifndef TRIT_OPTIM_H
#define TRIT_OPTIM_H

#include "trit/tensor.h"

#define TRIT_MAX_SLOTS 3

typedef struct trit_optimizer {
    const char *name;
    const char *doc;          /* sentence, equation, source, differences between frameworks */
    const trit_param *params; /* row 0 is always lr */
    const char *slots[TRIT_MAX_SLOTS];       /* names of the state tensors, NULL ends */
    unsigned (*uses)(const trit_args *args); /* bit i: slot i is needed; NULL = all of them */
    /* Update n consecutive numbers in place.  t = 1 at the parameter's first step.  Slots start at
     * zero, those not needed are NULL.  Pure arithmetic. */
    void (*update)(const trit_args *args, int64_t t, int64_t n, float *p, const float *g,
                   float *const slot[TRIT_MAX_SLOTS]);
} trit_optimizer;

/* The registry, generated from the file names core/optim/opt_*.c. */
extern const trit_optimizer *const trit_optimizers[];
extern const int trit_optimizers_count;
const trit_optimizer *trit_optimizer_find(const char *name);

/* Which slots these options need. */
unsigned trit_optimizer_uses(const trit_optimizer *o, const trit_args *args);

/* One step on one gapless parameter.  Slots have p's strides; g is brought to them.  Parallel over
 * fixed chunks. */
trit_status trit_optimizer_step(const trit_optimizer *o, const trit_args *args, int64_t t,
                                trit_tensor *p, const trit_tensor *g, trit_tensor *const *slot);
/* Sum of squares over tensors, in double, order fixed. */
trit_status trit_sum_squares(trit_tensor *const *t, int count, double *sum);
void trit_scale_inplace(trit_tensor *t, float factor);
void trit_clamp_inplace(trit_tensor *t, float lo, float hi); /* NaN stays NaN */

#endif
