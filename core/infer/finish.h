/*
 * finish.h - the integer engine's kernels beside the dot products; finish.def is the list.
 */
#ifndef TRIT_INFER_FINISH_H
#define TRIT_INFER_FINISH_H

#include "trit/base.h"

typedef struct {
    int64_t rows, ld;          /* results of a pixel; numbers of acc and part a pixel */
    const float *scale, *bias; /* [rows]; bias holds every zero point */
    float add_scale;
    float lo, hi;
    int64_t add_step, y_step;
} trit_requant;

typedef struct {
#define F(name, parameters) void(*name) parameters;
#include "infer/isa/finish.def"
#undef F
} trit_finish_table;

/* The table of the level in force. */
const trit_finish_table *trit_finish(void);

#endif
