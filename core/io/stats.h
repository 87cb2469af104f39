/* stats.h - shared between the core/io/stats_*.c files. */
#ifndef TRIT_IO_STATS_H
#define TRIT_IO_STATS_H

#include "trit/stats.h"

/* trit_sort_f32 with memory from the caller: usable inside a parallel region. */
size_t trit_sort_scratch(int64_t n);
void trit_sort_within(const float *x, int64_t n, float *out, void *scratch);

#endif
