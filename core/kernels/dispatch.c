/*
 * dispatch.c - one table of kernels per instruction set; the level in force picks the table.
 */
#include "kernels/kernels.h"

#define K(name, parameters)                                                                        \
    void trit_k_##name##_generic parameters;                                                       \
    void trit_k_##name##_avx2 parameters;                                                          \
    void trit_k_##name##_avx512 parameters;
#include "kernels/kernels.def"
#undef K

static const trit_kernel_table tables[] = {
    {
#define K(name, parameters) .name = trit_k_##name##_generic,
#include "kernels/kernels.def"
#undef K
    },
    {
#define K(name, parameters) .name = trit_k_##name##_avx2,
#include "kernels/kernels.def"
#undef K
    },
    {
#define K(name, parameters) .name = trit_k_##name##_avx512,
#include "kernels/kernels.def"
#undef K
    },
};

const trit_kernel_table *trit_kernels(void) { return &tables[trit_isa_level()]; }
