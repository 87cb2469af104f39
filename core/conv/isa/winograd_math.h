/*
 * winograd_math.h - the one-dimensional transforms of F(4, 3) with points 0, +-5/8, +-3/2, inf.
 *
 * With points p and q the Cook-Toom construction gives B^T, G and A^T as written below; both
 * squares and products of 5/8 and 3/2 are exact in binary.  Against the usual points 0, +-1, +-2
 * the operation count is the same and the rounding error half: 2 to 3 times a direct sum's.
 */
#ifndef TRIT_CONV_WINOGRAD_MATH_H
#define TRIT_CONV_WINOGRAD_MATH_H

#include "conv/isa/vec.h"

#define P1 0.625f
#define Q1 1.5f
#define P2 (P1 * P1)
#define Q2 (Q1 * Q1)
#define P3 (P2 * P1)
#define Q3 (Q2 * Q1)
#define G0 (1.0f / (P2 * Q2))
#define GP (1.0f / (2 * P2 * (P2 - Q2)))
#define GQ (1.0f / (2 * Q2 * (Q2 - P2)))

/* o = B^T d: input. */
INLINE void input_transform(const vec d[6], vec o[6]) {
    vec even_p = d[4] - Q2 * d[2], odd_p = P1 * (d[3] - Q2 * d[1]);
    vec even_q = d[4] - P2 * d[2], odd_q = Q1 * (d[3] - P2 * d[1]);
    o[0] = (P2 * Q2) * d[0] + (d[4] - (P2 + Q2) * d[2]);
    o[1] = even_p + odd_p;
    o[2] = even_p - odd_p;
    o[3] = even_q + odd_q;
    o[4] = even_q - odd_q;
    o[5] = (P2 * Q2) * d[1] + (d[5] - (P2 + Q2) * d[3]);
}

/* y = A^T m: output. */
INLINE void output_transform(const vec m[6], vec y[4]) {
    vec sum_p = m[1] + m[2], diff_p = m[1] - m[2], sum_q = m[3] + m[4], diff_q = m[3] - m[4];
    y[0] = m[0] + sum_p + sum_q;
    y[1] = P1 * diff_p + Q1 * diff_q;
    y[2] = P2 * sum_p + Q2 * sum_q;
    y[3] = P3 * diff_p + (Q3 * diff_q + m[5]);
}

/* m = A y: gradient of the output. */
INLINE void gradient_transform(const vec y[4], vec m[6]) {
    vec even_p = y[0] + P2 * y[2], odd_p = P1 * y[1] + P3 * y[3];
    vec even_q = y[0] + Q2 * y[2], odd_q = Q1 * y[1] + Q3 * y[3];
    m[0] = y[0];
    m[1] = even_p + odd_p;
    m[2] = even_p - odd_p;
    m[3] = even_q + odd_q;
    m[4] = even_q - odd_q;
    m[5] = y[3];
}

/*
 * Tiles of n = 2 or 3 outputs, at edges: F(n, 3) at the first n + 1 points and infinity.  The
 * others' values are left out (o[3], o[4] at n = 2; o[4] at n = 3), and what distinguishes G then
 * is moved into B^T, so that all tiles share their weights.
 */
INLINE void input_transform_edge(const int n, const vec *d, vec *o) {
    if (n == 2) {
        o[0] = Q2 * (P2 * d[0] - d[2]);
        o[1] = (P2 - Q2) * (d[2] + P1 * d[1]);
        o[2] = (P2 - Q2) * (d[2] - P1 * d[1]);
        o[5] = d[3] - P2 * d[1];
    } else {
        vec even = d[3] - P2 * d[1];
        o[0] = Q1 * (even - Q1 * (d[2] - P2 * d[0]));
        o[1] = (P1 + Q1) * (d[3] + (P1 - Q1) * d[2] - (P1 * Q1) * d[1]);
        o[2] = (Q1 - P1) * (d[3] - (P1 + Q1) * d[2] + (P1 * Q1) * d[1]);
        o[3] = (2 * Q1) * even;
        o[5] = d[4] - P2 * d[2] - Q1 * even;
    }
}

INLINE void output_transform_edge(const int n, const vec *m, vec *y) {
    vec sum = m[1] + m[2], diff = P1 * (m[1] - m[2]);
    if (n == 2) {
        y[0] = m[0] + sum;
        y[1] = diff + m[5];
    } else {
        y[0] = m[0] + sum + m[3];
        y[1] = diff + Q1 * m[3];
        y[2] = P2 * sum + (Q2 * m[3] + m[5]);
    }
}

INLINE void gradient_transform_edge(const int n, const vec *y, vec *m) {
    vec even = n == 2 ? y[0] : y[0] + P2 * y[2], odd = P1 * y[1];
    m[0] = y[0];
    m[1] = even + odd;
    m[2] = even - odd;
    if (n == 3) m[3] = y[0] + Q1 * y[1] + Q2 * y[2];
    m[5] = y[n - 1];
}

/* The same for n = 4 as well. */
INLINE void input_transform_n(const int n, const vec *d, vec *o) {
    if (n == 4)
        input_transform(d, o);
    else
        input_transform_edge(n, d, o);
}

INLINE void output_transform_n(const int n, const vec *m, vec *y) {
    if (n == 4)
        output_transform(m, y);
    else
        output_transform_edge(n, m, y);
}

INLINE void gradient_transform_n(const int n, const vec *y, vec *m) {
    if (n == 4)
        gradient_transform(y, m);
    else
        gradient_transform_edge(n, y, m);
}

/* u = G g: weights. */
INLINE void weight_transform(const vec g[3], vec u[6]) {
    vec even_p = GP * (g[0] + P2 * g[2]), odd_p = (GP * P1) * g[1];
    vec even_q = GQ * (g[0] + Q2 * g[2]), odd_q = (GQ * Q1) * g[1];
    u[0] = G0 * g[0];
    u[1] = even_p + odd_p;
    u[2] = even_p - odd_p;
    u[3] = even_q + odd_q;
    u[4] = even_q - odd_q;
    u[5] = g[2];
}

/* g = G^T u: gradient of the weights. */
INLINE void weight_gradient_transform(const vec u[6], vec g[3]) {
    vec sum_p = GP * (u[1] + u[2]), diff_p = GP * (u[1] - u[2]);
    vec sum_q = GQ * (u[3] + u[4]), diff_q = GQ * (u[3] - u[4]);
    g[0] = G0 * u[0] + sum_p + sum_q;
    g[1] = P1 * diff_p + Q1 * diff_q;
    g[2] = P2 * sum_p + Q2 * sum_q + u[5];
}

#endif
