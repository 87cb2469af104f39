/*
 * spread.h - rows over workers so that a worker finds in its own cache what it wrote before.
 */
#ifndef TRIT_INFER_SPREAD_H
#define TRIT_INFER_SPREAD_H

#include "trit/base.h"

/* As trit_parallel; but every worker begins with its own part of the units, which is the same part
 * of the image from layer to layer, and helps the others when it has done that. */
void trit_spread(int64_t units, trit_work work, void *context);

#endif
