/*
 * gemm_plain.c - single-precision matrix product in portable C: BLIS's place in libtrit_infer.
 *
 *   C[M,N] = alpha op(A)[M,K] op(B)[K,N] + beta C, row-major; beta = 0 never reads C.
 *
 * A strip of a row of C stays in registers while K runs.  Packed networks use it for what the
 * kernels of conv/ leave over, so it is short rather than fast.
 */
#include "trit/conv.h"

#define STRIP 32 /* columns: eight vectors of the least instruction set, every sum in a register */

typedef struct {
    const float *a, *b;       /* op(A)[m][0], op(B)[0][n] */
    int64_t step_a, ldb, col; /* from k to k + 1 in a and b, from n to n + 1 in b */
    int64_t K;
} strip;

/* A whole strip of neighbouring columns. */
static void sum_whole(const strip *s, float sum[STRIP]) {
    for (int64_t k = 0; k < s->K; k++) {
        const float a = s->a[k * s->step_a], *b = s->b + k * s->ldb;
        for (int j = 0; j < STRIP; j++) sum[j] += a * b[j];
    }
}

static void sum_any(const strip *s, int64_t columns, float *sum) {
    for (int64_t j = 0; j < columns; j++) {
        const float *b = s->b + j * s->col;
        float total = 0;
        for (int64_t k = 0; k < s->K; k++) total += s->a[k * s->step_a] * b[k * s->ldb];
        sum[j] = total;
    }
}

void trit_gemm_serial(bool trans_a, bool trans_b, int64_t M, int64_t N, int64_t K, float alpha,
                      const float *A, int64_t lda, const float *B, int64_t ldb, float beta,
                      float *C, int64_t ldc) {
    strip s = {.step_a = trans_a ? lda : 1, .K = K};
    s.ldb = trans_b ? 1 : ldb;
    s.col = trans_b ? ldb : 1;
    for (int64_t n = 0; n < N; n += STRIP) {
        const int64_t columns = N - n < STRIP ? N - n : STRIP;
        s.b = B + n * s.col;
        for (int64_t m = 0; m < M; m++) {
            float sum[STRIP] = {0}, *c = C + m * ldc + n;
            s.a = A + (trans_a ? m : m * lda);
            if (columns == STRIP && !trans_b)
                sum_whole(&s, sum);
            else
                sum_any(&s, columns, sum);
            for (int64_t j = 0; j < columns; j++)
                c[j] = alpha * sum[j] + (beta == 0.0f ? 0.0f : beta * c[j]);
        }
    }
}

const char *trit_gemm_library(void) { return "plain loops"; }
