/* fuse.h - gradients that are finished while they are hot (autograd only); fuse.c. */
#ifndef TRIT_AUTOGRAD_FUSE_H
#define TRIT_AUTOGRAD_FUSE_H

#include "autograd/node.h"

/* Can the visit of `n` finish the gradient of one of its operands?  Fills `plan`; plan->sums is
 * NULL when there is nothing to do. */
trit_status trit_fuse_plan(const node *n, trit_fusion_plan *plan, struct trit_sums **sums);
/* The finished gradient takes the place of what its rectifier had collected. */
void trit_fuse_give(const trit_fusion_plan *plan, struct trit_sums *sums, trit_tensor *gx);

#endif
