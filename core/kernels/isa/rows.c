/*
 * rows.c - kernels over rows of channels: [rows][C], channels consecutive.
 *
 * Work goes in bands of BAND rows; inside a band one vector of channels after the other, all rows
 * of the band for it.  So per-channel vectors stay in registers, a band stays in the first-level
 * cache, and sums are kept in float for at most BAND / 4 additions before they are folded into
 * double: rounding stays near one unit of float's last place however many rows there are.
 * Channels beyond the last full vector go one by one in double.
 */
#include "kernels/isa/isa.h"

#define BAND 32 /* rows: 8 KiB at 64 channels */

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

void KERNEL(row_bias)(int64_t rows, int64_t C, const float *b, float *y) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < C; c++) y[r * C + c] += b[c];
}

void KERNEL(row_finish)(int64_t rows, int64_t C, const float *b, const float *add, float lo,
                        float hi, float *y) {
    for (int64_t r = 0; r < rows; r++, y += C) {
        for (int64_t c = 0; c < C; c++) {
            float v = y[c] + b[c];
            if (add) v += add[r * C + c];
            v = lo > v ? lo : v;
            y[c] = hi < v ? hi : v;
        }
    }
}

/* sum[0..LANES) += the four partial vectors. */
static inline void fold(double *sum, const vf part[4]) {
    float v[LANES];
    store(v, (part[0] + part[1]) + (part[2] + part[3]));
    for (int l = 0; l < LANES; l++) sum[l] += (double)v[l];
}

void KERNEL(row_sums)(int64_t rows, int64_t C, int64_t ld, const float *x, double *sum) {
    for (int64_t r0 = 0; r0 < rows; r0 += BAND) {
        const int64_t r1 = least(r0 + BAND, rows);
        int64_t c = 0;
        for (; c + LANES <= C; c += LANES) {
            vf p[4] = {{0}};
            int64_t r = r0;
            for (; r + 4 <= r1; r += 4)
                for (int u = 0; u < 4; u++) p[u] += load(x + (r + u) * ld + c);
            for (; r < r1; r++) p[0] += load(x + r * ld + c);
            fold(sum + c, p);
        }
        for (; c < C; c++)
            for (int64_t r = r0; r < r1; r++) sum[c] += (double)x[r * ld + c];
    }
}

void KERNEL(row_moments)(int64_t rows, int64_t C, const float *x, const float *shift, double *s1,
                         double *s2) {
    for (int64_t r0 = 0; r0 < rows; r0 += BAND) {
        const int64_t r1 = least(r0 + BAND, rows);
        int64_t c = 0;
        for (; c + LANES <= C; c += LANES) {
            const vf m = load(shift + c);
            vf p[4] = {{0}}, q[4] = {{0}};
            int64_t r = r0;
            for (; r + 4 <= r1; r += 4)
                for (int u = 0; u < 4; u++) {
                    const vf v = load(x + (r + u) * C + c) - m;
                    p[u] += v;
                    q[u] += v * v;
                }
            for (; r < r1; r++) {
                const vf v = load(x + r * C + c) - m;
                p[0] += v;
                q[0] += v * v;
            }
            fold(s1 + c, p);
            fold(s2 + c, q);
        }
        for (; c < C; c++)
            for (int64_t r = r0; r < r1; r++) {
                const double v = (double)x[r * C + c] - (double)shift[c];
                s1[c] += v;
                s2[c] += v * v;
            }
    }
}

void KERNEL(row_dots)(int64_t rows, int64_t C, const float *g, const float *x, const float *shift,
                      double *s1, double *s2) {
    for (int64_t r0 = 0; r0 < rows; r0 += BAND) {
        const int64_t r1 = least(r0 + BAND, rows);
        int64_t c = 0;
        for (; c + LANES <= C; c += LANES) {
            const vf m = load(shift + c);
            vf p[4] = {{0}}, q[4] = {{0}};
            int64_t r = r0;
            for (; r + 4 <= r1; r += 4)
                for (int u = 0; u < 4; u++) {
                    const int64_t i = (r + u) * C + c;
                    const vf v = load(g + i);
                    p[u] += v;
                    q[u] += v * (load(x + i) - m);
                }
            for (; r < r1; r++) {
                const vf v = load(g + r * C + c);
                p[0] += v;
                q[0] += v * (load(x + r * C + c) - m);
            }
            fold(s1 + c, p);
            fold(s2 + c, q);
        }
        for (; c < C; c++)
            for (int64_t i = r0 * C + c; i < r1 * C; i += C) {
                s1[c] += (double)g[i];
                s2[c] += (double)g[i] * ((double)x[i] - (double)shift[c]);
            }
    }
}
