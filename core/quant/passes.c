/*
 * passes.c - one table of passes per instruction set.
 */
#include "quant/passes.h"

#define P(name)                                                                                    \
    void trit_q_##name##_generic(void *context, const trit_segment *s);                            \
    void trit_q_##name##_avx2(void *context, const trit_segment *s);                               \
    void trit_q_##name##_avx512(void *context, const trit_segment *s);
#include "quant/isa/passes.def"
#undef P

static const trit_pass_table tables[] = {
    {
#define P(name) .name = trit_q_##name##_generic,
#include "quant/isa/passes.def"
#undef P
    },
    {
#define P(name) .name = trit_q_##name##_avx2,
#include "quant/isa/passes.def"
#undef P
    },
    {
#define P(name) .name = trit_q_##name##_avx512,
#include "quant/isa/passes.def"
#undef P
    },
};

const trit_pass_table *trit_passes(void) { return &tables[trit_isa_level()]; }
