/*
 * op_matmul.c - matrix product, either operand transposed on the way.
 *
 *   y = op(a) op(b)
 *   ga = gy op(b)^T, gb = op(a)^T gy, transposed back where the operand was
 */
#include "ops/ops.h"
#include "trit/conv.h"

enum { TRANSPOSE_A, TRANSPOSE_B };
enum { A, B };

static const trit_param params[] = {
    {.name = "transpose_a", .def = 0, .min = 0, .max = 1, .choices = TRIT_BOOL, .doc = "use a^T"},
    {.name = "transpose_b", .def = 0, .min = 0, .max = 1, .choices = TRIT_BOOL, .doc = "use b^T"},
    {0},
};

typedef struct {
    bool ta, tb;
    int64_t M, N, K, K_of_b, lda, ldb;
} sizes;

static sizes sizes_of(const trit_call *c) {
    const int64_t *a = c->in[A]->shape.dim, *b = c->in[B]->shape.dim;
    sizes z = {.ta = c->args.v[TRANSPOSE_A][0] != 0, .tb = c->args.v[TRANSPOSE_B][0] != 0};
    z.lda = a[1];
    z.ldb = b[1];
    z.M = a[z.ta];
    z.K = a[!z.ta];
    z.K_of_b = b[z.tb];
    z.N = b[!z.tb];
    return z;
}

static trit_status infer(const trit_call *c, trit_shape *out) {
    TRIT_TRY(trit_op_rank(c, "a", A, 2));
    TRIT_TRY(trit_op_rank(c, "b", B, 2));
    const sizes z = sizes_of(c);
    if (z.K != z.K_of_b)
        return trit_fail(TRIT_ERR_SHAPE,
                         "matmul: a has %lld columns but b has %lld rows: a %s%s, b %s%s",
                         (long long)z.K, (long long)z.K_of_b, TRIT_TEXT(c->in[A]),
                         z.ta ? " transposed" : "", TRIT_TEXT(c->in[B]), z.tb ? " transposed" : "");
    *out = (trit_shape){2, {z.M, z.N}};
    return TRIT_OK;
}

static trit_status forward(trit_call *c) {
    const sizes z = sizes_of(c);
    return trit_gemm(z.ta, z.tb, z.M, z.N, z.K, 1.0f, c->in[A]->data, z.lda, c->in[B]->data, z.ldb,
                     0.0f, c->out->data, z.N);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    const sizes z = sizes_of(c);
    const float *a = c->in[A]->data, *b = c->in[B]->data, *g = gy->data;
    for (int i = 0; i < 2; i++)
        if (c->want[i]) TRIT_TRY(trit_grad_new(c, i, &gx[i]));
    if (gx[A] && !z.ta)
        TRIT_TRY(trit_gemm(false, !z.tb, z.M, z.K, z.N, 1.0f, g, z.N, b, z.ldb, 0.0f, gx[A]->data,
                           z.lda));
    if (gx[A] && z.ta)
        TRIT_TRY(
            trit_gemm(z.tb, true, z.K, z.M, z.N, 1.0f, b, z.ldb, g, z.N, 0.0f, gx[A]->data, z.lda));
    if (gx[B] && !z.tb)
        TRIT_TRY(trit_gemm(!z.ta, false, z.K, z.N, z.M, 1.0f, a, z.lda, g, z.N, 0.0f, gx[B]->data,
                           z.ldb));
    if (gx[B] && z.tb)
        TRIT_TRY(
            trit_gemm(true, z.ta, z.N, z.K, z.M, 1.0f, g, z.N, a, z.lda, 0.0f, gx[B]->data, z.ldb));
    return TRIT_OK;
}

static const trit_case cases[] = {
    {"[7,13];[13,9]", ""},
    {"[7,13];[9,13]T", "transpose_b=true"},
    {"[13,7]T;[13,9]", "transpose_a=true"},
    {"[13,7];[9,13]", "transpose_a=true,transpose_b=true"},
    {"[0,3];[3,2]", ""},
    {"[1,1];[1,1]", ""},
    {0},
};

const trit_op trit_op_matmul = {
    .name = "matmul",
    .doc = "matmul(a, b [, {transpose_a, transpose_b}]) -> y\n"
           "Multiplies two matrices.\n"
           "shapes:  a [M,K], b [K,N] -> y [M,N]; transposed: a [K,M], b [N,K]\n"
           "eq:      y = a b\n"
           "threads: parallel inside trit_gemm; same bits for any number of threads\n"
           "exact:   relative 1e-5\n"
           "errors:  ranks other than 2; inner lengths that disagree\n"
           "see:     trit/conv.h (trit_gemm)\n",
    .operands = "a,b",
    .params = params,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .grad = TRIT_GRAD_SMOOTH,
    .cases = cases,
};
