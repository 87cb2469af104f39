/*
 * gemm_blis.c - single-precision matrix product on BLIS; the only file that includes blis.h.
 *
 * BLIS runs on the calling thread only; gemm.c shares the work out.
 *
 * Kernel set.  BLIS knows processors by family and model and takes its portable C kernels on one
 * younger than itself: 0.9 on a 2 vCPU AMD EPYC with AVX-512 does 40 GFLOP/s where its haswell
 * set does 130 and its skx set 70 to 230.  So the set is chosen here, before BLIS's first call,
 * unless the user has set BLIS_ARCH_TYPE: skx with AVX-512, haswell with AVX2, generic below.
 * One process has one set.  skx wins from 32 columns up (143 : 132 at 256x32x288, 213 : 134 at
 * 784x128x1152) and loses below (74 : 133 at 1024x16x144, its tile is 32 wide), which the
 * direct convolution kernels take anyway.
 */
#include "trit/conv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <blis.h>
#pragma GCC diagnostic pop

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char library[64];

/* BLIS's number for the kernel set of `level`; -1 when this BLIS was built without it. */
static int kernel_set(trit_isa level) {
    switch (level) {
#ifdef BLIS_CONFIG_SKX
    case TRIT_ISA_AVX512: return BLIS_ARCH_SKX;
#endif
#ifdef BLIS_CONFIG_HASWELL
    case TRIT_ISA_AVX2: return BLIS_ARCH_HASWELL;
#endif
#ifdef BLIS_CONFIG_GENERIC
    case TRIT_ISA_GENERIC: return BLIS_ARCH_GENERIC;
#endif
    default: return -1;
    }
}

static void start(void) {
    int set = kernel_set(trit_isa_level());
    bool ours = set >= 0 && !getenv("BLIS_ARCH_TYPE");
    if (ours) {
        char number[16];
        snprintf(number, sizeof number, "%d", set);
        setenv("BLIS_ARCH_TYPE", number, 1);
    }
    bli_init();
    snprintf(library, sizeof library, "BLIS %s (%s kernels)", bli_info_get_version_str(),
             bli_arch_string(bli_arch_query_id()));
    if (ours) unsetenv("BLIS_ARCH_TYPE"); /* child processes decide for themselves */
}

const char *trit_gemm_library(void) {
    pthread_once(&once, start);
    return library;
}

void trit_gemm_serial(bool trans_a, bool trans_b, int64_t M, int64_t N, int64_t K, float alpha,
                      const float *A, int64_t lda, const float *B, int64_t ldb, float beta,
                      float *C, int64_t ldc) {
    if (M <= 0 || N <= 0) return;
    pthread_once(&once, start);
    rntm_t one_thread = BLIS_RNTM_INITIALIZER;
    if (K <= 0) { /* an empty sum */
        for (int64_t m = 0; m < M; m++)
            for (int64_t n = 0; n < N; n++)
                C[m * ldc + n] = beta == 0.0f ? 0.0f : beta * C[m * ldc + n];
        return;
    }
    bli_sgemm_ex(trans_a ? BLIS_TRANSPOSE : BLIS_NO_TRANSPOSE,
                 trans_b ? BLIS_TRANSPOSE : BLIS_NO_TRANSPOSE, M, N, K, &alpha, (float *)A, lda, 1,
                 (float *)B, ldb, 1, &beta, C, ldc, 1, NULL, &one_thread);
}
