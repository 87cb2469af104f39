/*
 * isa.h - names and vector types for files compiled once per instruction set.
 *
 * TRIT_ISA_SUFFIX and TRIT_LANES come from the build.  Nothing here is visible outside of the
 * translation unit: code of one instruction set must not leak into another's objects.
 */
#ifndef TRIT_KERNELS_ISA_H
#define TRIT_KERNELS_ISA_H

#include "kernels/kernels.h"

#define TRIT_PASTE_(name, suffix) trit_k_##name##_##suffix
#define TRIT_PASTE(name, suffix)  TRIT_PASTE_(name, suffix)
#define KERNEL(name)              TRIT_PASTE(name, TRIT_ISA_SUFFIX)

#define K(name, parameters) void KERNEL(name) parameters;
#include "kernels/kernels.def"
#undef K

#define LANES TRIT_LANES

/* A vector of floats; `vfu` is the same at any address. */
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef float vfu __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));

static inline vf load(const float *p) { return *(const vfu *)p; }
static inline void store(float *p, vf v) { *(vfu *)p = v; }

/* Lane by lane m ? a : b, for m of 0 and -1. */
static inline vf pick(vi m, vf a, vf b) { return (vf)((m & (vi)a) | (~m & (vi)b)); }

#endif
