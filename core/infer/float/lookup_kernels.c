/*
 * lookup_kernels.c - bands of a matrix by lookups; see lookup.h.
 *
 * Order of summation of a row.  avx512: per chunk of 36 numbers the sums of its tables 0, 2 .. 10
 * are added one by one to what there is, those of 1, 3 .. 11 to each other, then the two; a table's
 * sum is (+-a +-b) +-c.  generic and avx2: per chunk of 30 the sums of its ten tables for weights
 * +1 are added one by one to what there is, those for -1 to each other and then taken off; a
 * table's sum is (a + b) + c.
 */
#include "infer/lookup.h"

#include "conv/isa/vec.h"

#if LANES == 16
#include "infer/float/lookup_l27.h"
#elif LANES == 8
#include "infer/float/lookup_l8_avx2.h"
#else
#include "infer/float/lookup_l8.h"
#endif

const trit_lookup_kernels SYMBOL(trit_lookup) = {
    .name = NAME, .lanes = ROWS, .chunk = CHUNK, .code = code, .band = band};
