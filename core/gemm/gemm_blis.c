/*
 * gemm_blis.c - single-precision matrix product on BLIS; the only file that includes blis.h.
 *
 *   C[M,N] = alpha op(A)[M,K] op(B)[K,N] + beta C, row-major; beta = 0 never reads C.
 *
 * Threads.  BLIS runs on the calling thread only.  trit_gemm cuts C into blocks whose size depends
 * on M, N, K alone and hands them to our pool; a block is one BLIS call, hence the same bits for
 * any number of threads.
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

#define BLOCK        96  /* smallest edge: whole register tiles of skx (32x12), haswell (6x16)  */
#define BLOCK_MAX    384 /* largest edge: packing its operands is about 6 % of its arithmetic   */
#define UNITS_WANTED 16
#define SERIAL_WORK  200000 /* M*N*K up to which waking a thread costs more than it saves    */

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

typedef struct {
    bool trans_a, trans_b;
    int64_t M, N, K, lda, ldb, ldc;
    float alpha, beta;
    const float *A, *B;
    float *C;
    int64_t bm, bn, columns; /* block height and width, blocks in a row of blocks */
} product;

static void multiply_block(void *context, int64_t unit, int worker) {
    (void)worker;
    const product *p = context;
    int64_t m = unit / p->columns * p->bm, n = unit % p->columns * p->bn;
    int64_t bm = p->M - m < p->bm ? p->M - m : p->bm, bn = p->N - n < p->bn ? p->N - n : p->bn;
    const float *a = p->A + (p->trans_a ? m : m * p->lda);
    const float *b = p->B + (p->trans_b ? n * p->ldb : n);
    trit_gemm_serial(p->trans_a, p->trans_b, bm, bn, p->K, p->alpha, a, p->lda, b, p->ldb, p->beta,
                     p->C + m * p->ldc + n, p->ldc);
}

static int64_t pieces(int64_t n, int64_t block) { return (n + block - 1) / block; }

/* The largest blocks that still make UNITS_WANTED units: big ones pack less, many share better. */
static void choose_blocks(product *p) {
    bool small = (double)p->M * (double)p->N * (double)p->K <= SERIAL_WORK;
    p->bm = small ? p->M : BLOCK_MAX;
    p->bn = small ? p->N : BLOCK_MAX;
    while (!small && pieces(p->M, p->bm) * pieces(p->N, p->bn) < UNITS_WANTED) {
        int64_t high = p->bm < p->M ? p->bm : p->M, wide = p->bn < p->N ? p->bn : p->N;
        if (high <= BLOCK && wide <= BLOCK) break;
        if (high >= wide)
            p->bm -= BLOCK;
        else
            p->bn -= BLOCK;
    }
    p->columns = pieces(p->N, p->bn);
}

static trit_status check(const product *p) {
    if (p->M < 0 || p->N < 0 || p->K < 0)
        return trit_fail(TRIT_ERR_SHAPE, "gemm: M %lld, N %lld, K %lld must not be negative",
                         (long long)p->M, (long long)p->N, (long long)p->K);
    int64_t least_a = p->trans_a ? p->M : p->K, least_b = p->trans_b ? p->K : p->N;
    if (p->lda < least_a || p->ldb < least_b || p->ldc < p->N)
        return trit_fail(TRIT_ERR_SHAPE,
                         "gemm: row lengths %lld, %lld, %lld must be at least %lld, %lld, %lld",
                         (long long)p->lda, (long long)p->ldb, (long long)p->ldc,
                         (long long)least_a, (long long)least_b, (long long)p->N);
    return TRIT_OK;
}

trit_status trit_gemm(bool trans_a, bool trans_b, int64_t M, int64_t N, int64_t K, float alpha,
                      const float *A, int64_t lda, const float *B, int64_t ldb, float beta,
                      float *C, int64_t ldc) {
    product p = {.trans_a = trans_a,
                 .trans_b = trans_b,
                 .M = M,
                 .N = N,
                 .K = K,
                 .lda = lda,
                 .ldb = ldb,
                 .ldc = ldc,
                 .alpha = alpha,
                 .beta = beta,
                 .A = A,
                 .B = B,
                 .C = C};
    TRIT_TRY(check(&p)); /* BLIS would end the process */
    if (M == 0 || N == 0) return TRIT_OK;
    choose_blocks(&p);
    trit_parallel(pieces(M, p.bm) * p.columns, multiply_block, &p);
    return TRIT_OK;
}
