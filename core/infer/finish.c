/*
 * finish.c - one table of finish kernels per instruction set.
 */
#include "infer/finish.h"

#define F(name, parameters)                                                                        \
    void trit_f_##name##_generic parameters;                                                       \
    void trit_f_##name##_avx2 parameters;                                                          \
    void trit_f_##name##_avx512 parameters;
#include "infer/isa/finish.def"
#undef F

static const trit_finish_table tables[] = {
    {
#define F(name, parameters) .name = trit_f_##name##_generic,
#include "infer/isa/finish.def"
#undef F
    },
    {
#define F(name, parameters) .name = trit_f_##name##_avx2,
#include "infer/isa/finish.def"
#undef F
    },
    {
#define F(name, parameters) .name = trit_f_##name##_avx512,
#include "infer/isa/finish.def"
#undef F
    },
};

const trit_finish_table *trit_finish(void) { return &tables[trit_isa_level()]; }
