/*
 * elementwise.c - kernels over n consecutive numbers.
 *
 * Plain loops: the compiler turns each into full vectors of the instruction set.  Comparisons are
 * written so that NaN goes through (an activation must not hide it) and so that the forms become
 * one maximum or minimum instruction.
 */
#include "kernels/isa/isa.h"

void KERNEL(relu)(int64_t n, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = 0.0f > x[i] ? 0.0f : x[i];
}

void KERNEL(relu_grad)(int64_t n, const float *y, const float *gy, float *gx) {
    for (int64_t i = 0; i < n; i++) gx[i] = y[i] > 0.0f ? gy[i] : 0.0f;
}

void KERNEL(clamp)(int64_t n, float lo, float hi, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) {
        float v = lo > x[i] ? lo : x[i];
        y[i] = hi < v ? hi : v;
    }
}

void KERNEL(clamp_grad)(int64_t n, float lo, float hi, const float *x, const float *gy, float *gx) {
    for (int64_t i = 0; i < n; i++) {
        float g = x[i] > lo ? gy[i] : 0.0f;
        gx[i] = x[i] < hi ? g : 0.0f;
    }
}

void KERNEL(range_grad)(int64_t n, float lo, float hi, const float *x, const float *gy, float *gx) {
    for (int64_t i = 0; i < n; i++) {
        float g = x[i] < lo ? 0.0f : gy[i];
        gx[i] = x[i] > hi ? 0.0f : g;
    }
}

void KERNEL(add)(int64_t n, const float *a, const float *b, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

void KERNEL(sub)(int64_t n, const float *a, const float *b, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = a[i] - b[i];
}

void KERNEL(mul)(int64_t n, const float *a, const float *b, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = a[i] * b[i];
}

void KERNEL(div)(int64_t n, const float *a, const float *b, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = a[i] / b[i];
}

void KERNEL(affine)(int64_t n, float scale, float shift, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = scale * x[i] + shift;
}

/* LANES double sums side by side, added in lane order: the order depends on n alone. */
void KERNEL(sum)(int64_t n, const float *x, double *sum) {
    double part[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) part[l] += (double)x[i + l];
    double total = 0;
    for (int l = 0; l < LANES; l++) total += part[l];
    for (; i < n; i++) total += (double)x[i];
    *sum += total;
}
