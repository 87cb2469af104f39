/*
 * vec.h - vectors of TRIT_LANES floats by compiler vector extensions; one source for every
 * instruction set.  Included only by files that are compiled once per instruction set.
 */
#ifndef TRIT_CONV_VEC_H
#define TRIT_CONV_VEC_H

#define LANES TRIT_LANES

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef float vec_in_memory __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vec load(const float *p) { return (vec) * (const vec_in_memory *)p; }
INLINE void store(float *p, vec v) { *(vec_in_memory *)p = (vec_in_memory)v; }
INLINE vec splat(float s) { return s - (vec){0}; }

/* Before a loop over a compile-time count whose values are to stay in registers. */
#define UNROLL _Pragma("GCC unroll 16")

/* SYMBOL(stem) is stem_avx2 and so on. */
#define SYMBOL_JOIN(stem, suffix) stem##_##suffix
#define SYMBOL_OF(stem, suffix)   SYMBOL_JOIN(stem, suffix)
#define SYMBOL(stem)              SYMBOL_OF(stem, TRIT_ISA_SUFFIX)

#endif
