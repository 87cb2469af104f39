/*
 * conv.h - the one convolution interface; algorithms stand behind it.
 *
 * Letters: N images, H,W input, P,Q output height and width, C input channels, K output
 * channels, R,S kernel height and width, G groups.  All float32, gapless:
 *
 *   x  [N][H][W][C]     y, dy [N][P][Q][K]     w, dw [R][S][C/G][K]
 *
 *   y[n,p,q,k] = sum_{r,s,c} x[n, p*stride_h - pad_h + r*dil_h, q*..., g*C/G + c] w[r,s,c,k]
 *
 * with g = k / (K/G) and x = 0 outside.  Cross-correlation, as every framework means by it.
 * All three passes overwrite their output.  Results have the same bits for any thread count.
 */
#ifndef TRIT_CONV_H
#define TRIT_CONV_H

#include "trit/rows.h"

typedef struct {
    int64_t N, H, W, C;
    int64_t K, R, S, P, Q;
    int64_t stride_h, stride_w, pad_h, pad_w, dil_h, dil_w;
    int64_t G;
} trit_conv_geom;

/*
 * Work on rows that rides along with a pass, while they are in cache; NULL = none.  Rows that are
 * made take the place of the array, which may then be NULL.
 */
typedef struct {
    const trit_make *x, *dy; /* how rows of x, of dy are made                                   */
    const trit_take *take;   /* what becomes of rows of y (forward) or dx (backward data) ...   */
    double *sums;            /* ... and their sums [2][channels], overwritten                   */
    void *room;              /* memory for what the forward pass holds meanwhile ...            */
    size_t room_bytes;       /* ... used where it suffices, see trit_conv_forward_room          */
} trit_conv_along;

/* Memory a forward pass needs beside its operands, in bytes: one block for all, and scratch of
 * every worker (trit_scratch_reserve).  Where both are provided and no rows ride along a pass
 * allocates nothing, but for the library that GEMM calls. */
typedef struct {
    size_t shared, scratch;
} trit_conv_room;
trit_conv_room trit_conv_forward_room(const trit_conv_geom *g);

/* y = conv(x, w).  Errors: no memory for scratch. */
trit_status trit_conv_forward(const trit_conv_geom *g, const float *x, const float *w, float *y,
                              const trit_conv_along *along);
/* dx = the transpose of conv applied to dy. */
trit_status trit_conv_backward_data(const trit_conv_geom *g, const float *dy, const float *w,
                                    float *dx, const trit_conv_along *along);
/* dw = the gradient of <dy, conv(x, w)> in w. */
trit_status trit_conv_backward_weight(const trit_conv_geom *g, const float *x, const float *dy,
                                      float *dw, const trit_conv_along *along);
/* Both gradients: in one sweep where an algorithm can, so that rows of dy are made once. */
trit_status trit_conv_backward(const trit_conv_geom *g, const float *x, const float *dy,
                               const float *w, float *dx, float *dw, const trit_conv_along *along);
/* Does the algorithm of this pass make and take rows itself?  If not, they are made before and
 * taken after it, as passes of their own: right, not faster. */
bool trit_conv_rides_along(const trit_conv_geom *g, char pass);

/* Which algorithms may be used.  AUTO takes the fastest measured for the shape and instruction
 * set; EXACT excludes Winograd (a direct sum per output); REFERENCE is the plain loop nest
 * with double accumulators; GEMM forces im2col + BLIS.  Process-wide; also by the environment:
 * TRIT_CONV=auto|exact|gemm|reference (another value makes every pass fail). */
typedef enum {
    TRIT_CONV_AUTO = 0,
    TRIT_CONV_EXACT,
    TRIT_CONV_GEMM,
    TRIT_CONV_REFERENCE
} trit_conv_mode;
void trit_conv_set_mode(trit_conv_mode mode);
trit_conv_mode trit_conv_get_mode(void);
/* The algorithm's name that a pass ('f' forward, 'd' data, 'w' weight) would use. */
const char *trit_conv_algorithm(const trit_conv_geom *g, char pass);

/* Row-major C[M,N] = alpha op(A) op(B) + beta C; beta = 0 never reads C.  op(A) is [M,K], op(B)
 * [K,N]; lda, ldb, ldc are row lengths as stored.  Parallel over fixed blocks of C. */
trit_status trit_gemm(bool trans_a, bool trans_b, int64_t M, int64_t N, int64_t K, float alpha,
                      const float *A, int64_t lda, const float *B, int64_t ldb, float beta,
                      float *C, int64_t ldc);
/* The same on the calling thread only: for use inside trit_parallel. */
void trit_gemm_serial(bool trans_a, bool trans_b, int64_t M, int64_t N, int64_t K, float alpha,
                      const float *A, int64_t lda, const float *B, int64_t ldb, float beta,
                      float *C, int64_t ldc);
const char *trit_gemm_library(void); /* "BLIS 0.9.0 (skx kernels)" */

#endif
