/*
 * gemm.c - the matrix product of all threads, in blocks of trit_gemm_serial.
 *
 *   C[M,N] = alpha op(A)[M,K] op(B)[K,N] + beta C, row-major; beta = 0 never reads C.
 *
 * C is cut into blocks whose size depends on M, N, K alone and which are handed to our pool; a
 * block is one call of the product of one thread (gemm_blis.c; gemm_plain.c in libtrit_infer),
 * hence the same bits for any number of threads.
 */
#include "trit/conv.h"

#define BLOCK        96  /* smallest edge: whole register tiles of skx (32x12), haswell (6x16)  */
#define BLOCK_MAX    384 /* largest edge: packing its operands is about 6 % of its arithmetic   */
#define UNITS_WANTED 16
#define SERIAL_WORK  200000 /* M*N*K up to which waking a thread costs more than it saves    */

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
