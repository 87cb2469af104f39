/*
 * lowbit.cpp - ternary kernels of others as peers of `trit bench linear`: ggml's TQ2_0 and I2_S of
 * bitnet.cpp, one timed product per line read, its seconds as the answer.  Never needed to build or to
 * test trit, and nothing of theirs is kept here: build_lowbit.sh compiles it with checkouts of
 *
 *     git clone https://github.com/ggml-org/ggml          (d99724f)
 *     git clone https://github.com/microsoft/BitNet       (16da220; its llama.cpp is not needed)
 *     tests/bench/peers/build_lowbit.sh GGML_DIR BITNET_DIR lowbit
 *     ./trit bench linear --peer "./lowbit --kernel tq2_0 --linear {rows},{columns},{batch} --threads {threads}"
 *
 * Theirs: packing, dot products and, for TQ2_0, the rounding of activations.  Ours: the loop over rows, and
 * for I2_S the rounding to signed bytes by the largest magnitude, which its llama.cpp has.  --kernel
 * i2_s is called as bitnet.cpp calls it, i2_s_rows four rows at a time.  Its 16-bit sums may overflow
 * on other data.
 */
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include <omp.h>

#include "ggml-quants.h"
#include "ggml.h"
#include "quants.h"

size_t quantize_i2_s(const float *src, void *dst, int64_t rows, int64_t columns,
                     const float *weights);
void ggml_vec_dot_i2_i8_s(int n, float *s, size_t bs, const void *x, size_t bx, const void *y,
                          size_t by, int count);
void ggml_vec_dot_i2_i8_s_1xN(int n, float *s, size_t bs, const void *x, size_t bx, const void *y,
                              size_t by, int count);

extern "C" {
float
    ggml_table_f32_f16[1 << 16]; /* ggml fills it when its back end starts, which we do not link */
}

static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

enum kernel { TQ2_0, I2_S, I2_S_ROWS };

/* y [N][M] = W x [N][K]. */
struct product {
    kernel how;
    long M, K, N;
    std::vector<float> codes, x, y, step;
    std::vector<int32_t> sum;
    std::vector<int8_t> q;
    size_t row_bytes, column_bytes;
    uint8_t *weights = nullptr;

    product(kernel k, long rows, long columns, long vectors)
        : how(k), M(rows), K(columns), N(vectors), codes(size_t(M) * K), x(size_t(N) * K),
          y(size_t(N) * M), step(N), sum(N) {
        std::mt19937 random(1);
        std::uniform_real_distribution<float> unit(0, 1);
        std::normal_distribution<float> normal;
        for (auto &c : codes) {
            const float u = unit(random);
            c = u < 0.3f ? -1.0f : u < 0.7f ? 0.0f : 1.0f;
        }
        for (auto &v : x) v = normal(random);
        row_bytes = how == TQ2_0 ? size_t(K) / QK_K * sizeof(block_tq2_0) : size_t(K) / 4;
        column_bytes = how == TQ2_0 ? size_t(K) / QK_K * sizeof(block_q8_K) : size_t(K);
        q.resize(column_bytes * N + 64);
        weights = static_cast<uint8_t *>(aligned_alloc(64, (row_bytes * M + 4096) / 64 * 64));
        if (how == TQ2_0)
            for (long m = 0; m < M; m++)
                quantize_row_tq2_0_ref(&codes[m * K], (block_tq2_0 *)(weights + m * row_bytes), K);
        else
            quantize_i2_s(codes.data(), weights, M, K, nullptr);
    }

    /* To signed bytes by the largest magnitude; the sum takes codes of 0, 1, 2 back to -1, 0, 1. */
    void round_column(long c) {
        const float *from = &x[c * K];
        int8_t *to = &q[c * column_bytes];
        float most = 0;
        int32_t total = 0;
        for (long k = 0; k < K; k++) most = std::max(most, std::fabs(from[k]));
        const float per = most > 0 ? 127 / most : 0;
        for (long k = 0; k < K; k++) {
            to[k] = int8_t(std::nearbyintf(from[k] * per));
            total += to[k];
        }
        step[c] = most / 127;
        sum[c] = total;
    }

    void rows(long first, long end) {
        for (long m = first; m < end; m++)
            for (long c = 0; c < N && how == TQ2_0; c++)
                ggml_vec_dot_tq2_0_q8_K(int(K), &y[c * M + m], 0, weights + m * row_bytes, 0,
                                        &q[c * column_bytes], 0, 1);
        if (how == I2_S)
            for (long m = first; m < end; m++)
                ggml_vec_dot_i2_i8_s(int(K), &y[m], size_t(M), weights + m * row_bytes, size_t(K),
                                     q.data(), column_bytes, int(N));
        if (how == I2_S_ROWS)
            for (long c = 0; c < N; c++)
                ggml_vec_dot_i2_i8_s_1xN(int(K), &y[c * M + first], 0, weights + first * row_bytes,
                                         size_t(K), &q[c * column_bytes], 0, int(end - first));
        if (how != TQ2_0)
            for (long c = 0; c < N; c++)
                for (long m = first; m < end; m++)
                    y[c * M + m] = (y[c * M + m] - float(sum[c])) * step[c];
    }

    void run(int threads) {
        for (long c = 0; c < N; c++)
            if (how == TQ2_0)
                quantize_row_q8_K(&x[c * K], &q[c * column_bytes], K);
            else
                round_column(c);
        const long share = M / threads / 4 * 4;
        if (threads == 1) return rows(0, M);
#pragma omp parallel num_threads(threads)
        {
            const long t = omp_get_thread_num();
            rows(t * share, t + 1 == threads ? M : (t + 1) * share);
        }
    }

    double residual() const {
        double worst = 0, most = 0;
        for (long n = 0; n < N; n++)
            for (long m = 0; m < M; m++) {
                double want = 0;
                for (long k = 0; k < K; k++) want += double(codes[m * K + k]) * x[n * K + k];
                most = std::max(most, std::fabs(want));
                worst = std::max(worst, std::fabs(want - y[n * M + m]));
            }
        return worst / most;
    }
};

int main(int count, char **word) {
    std::string kind = "tq2_0", sizes = "4096,4096,1";
    int threads = 1;
    for (int i = 1; i + 1 < count; i += 2) {
        const std::string w = word[i];
        if (w == "--kernel")
            kind = word[i + 1];
        else if (w == "--linear")
            sizes = word[i + 1];
        else if (w == "--threads")
            threads = atoi(word[i + 1]);
        else
            return fprintf(stderr, "lowbit: unknown option %s\n", w.c_str()), 2;
    }
    for (int i = 0; i < 1 << 16; i++) ggml_table_f32_f16[i] = ggml_fp16_to_fp32(ggml_fp16_t(i));
    long M, K, N;
    const bool known = kind == "tq2_0" || kind == "i2_s" || kind == "i2_s_rows";
    if (!known || threads < 1 || sscanf(sizes.c_str(), "%ld,%ld,%ld", &M, &K, &N) != 3 || M % 4 ||
        K % 256)
        return fprintf(
                   stderr,
                   "lowbit: --kernel tq2_0|i2_s|i2_s_rows --linear ROWS,COLUMNS,VECTORS; rows in "
                   "fours, columns in 256s\n"),
               2;
    product p(kind == "tq2_0" ? TQ2_0 : kind == "i2_s" ? I2_S : I2_S_ROWS, M, K, N);
    p.run(threads);
    printf("%s\tresidual %.3g\n", kind == "tq2_0" ? "ggml TQ2_0" : ("bitnet.cpp " + kind).c_str(),
           p.residual());
    fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
        const double began = now();
        p.run(threads);
        printf("%.9f\n", now() - began);
        fflush(stdout);
    }
    return 0;
}
