/*
 * pixels.c - one table of pixel kernels per instruction set.
 */
#include "data/pixels.h"

#define P(name, parameters)                                                                        \
    void trit_p_##name##_generic parameters;                                                       \
    void trit_p_##name##_avx2 parameters;                                                          \
    void trit_p_##name##_avx512 parameters;
#include "data/isa/pixels.def"
#undef P

static const trit_pixel_table tables[] = {
    {
#define P(name, parameters) .name = trit_p_##name##_generic,
#include "data/isa/pixels.def"
#undef P
    },
    {
#define P(name, parameters) .name = trit_p_##name##_avx2,
#include "data/isa/pixels.def"
#undef P
    },
    {
#define P(name, parameters) .name = trit_p_##name##_avx512,
#include "data/isa/pixels.def"
#undef P
    },
};

const trit_pixel_table *trit_pixels(void) { return &tables[trit_isa_level()]; }
