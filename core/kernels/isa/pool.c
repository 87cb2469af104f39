/*
 * pool.c - maximum and average pooling of one image, channels-last, and their gradients.
 *
 * For every output position the window is clipped to the image once; inside, channels are
 * consecutive and go in vectors.  Padding counts as minus infinity for the maximum: a window that
 * lies wholly outside cannot occur (the op checks pad <= window / 2).
 */
#include <math.h>

#include "kernels/isa/isa.h"

/* The part of a window that lies inside the image. */
typedef struct {
    int64_t h0, h1, w0, w1;
} window;

static inline window clip(const trit_pool_geom *g, int64_t p, int64_t q) {
    window v = {p * g->stride_h - g->pad_h, 0, q * g->stride_w - g->pad_w, 0};
    v.h1 = v.h0 + g->R < g->H ? v.h0 + g->R : g->H;
    v.w1 = v.w0 + g->S < g->W ? v.w0 + g->S : g->W;
    if (v.h0 < 0) v.h0 = 0;
    if (v.w0 < 0) v.w0 = 0;
    return v;
}

static inline float share(const trit_pool_geom *g, window v) {
    return 1.0f / (float)(g->count_pad ? g->R * g->S : (v.h1 - v.h0) * (v.w1 - v.w0));
}

/* NaN wins, and stays: m = x unless x <= m. */
void KERNEL(pool_max)(const trit_pool_geom *g, const float *x, float *y) {
    const int64_t C = g->C;
    for (int64_t o = 0; o < g->P * g->Q; o++) {
        const window v = clip(g, o / g->Q, o % g->Q);
        int64_t c = 0;
        for (; c + LANES <= C; c += LANES) {
            vf m = (vf){0} - INFINITY;
            for (int64_t h = v.h0; h < v.h1; h++)
                for (int64_t w = v.w0; w < v.w1; w++) {
                    const vf t = load(x + (h * g->W + w) * C + c);
                    m = pick((t > m) | (t != t), t, m);
                }
            store(y + o * C + c, m);
        }
        for (; c < C; c++) {
            float m = -INFINITY;
            for (int64_t h = v.h0; h < v.h1; h++)
                for (int64_t w = v.w0; w < v.w1; w++) {
                    const float t = x[(h * g->W + w) * C + c];
                    if (t > m || t != t) m = t;
                }
            y[o * C + c] = m;
        }
    }
}

/* `open` = lanes whose winner has not been met yet. */
void KERNEL(pool_max_grad)(const trit_pool_geom *g, const float *x, const float *y, const float *gy,
                           float *gx) {
    const int64_t C = g->C;
    for (int64_t o = 0; o < g->P * g->Q; o++) {
        const window v = clip(g, o / g->Q, o % g->Q);
        int64_t c = 0;
        for (; c + LANES <= C; c += LANES) {
            const vf m = load(y + o * C + c), d = load(gy + o * C + c), zero = {0};
            vi open = ~(vi){0};
            for (int64_t h = v.h0; h < v.h1; h++)
                for (int64_t w = v.w0; w < v.w1; w++) {
                    const int64_t i = (h * g->W + w) * C + c;
                    const vf t = load(x + i);
                    const vi hit = open & ((t == m) | (t != t));
                    store(gx + i, load(gx + i) + pick(hit, d, zero));
                    open &= ~hit;
                }
        }
        for (; c < C; c++) {
            const float m = y[o * C + c];
            bool open = true;
            for (int64_t h = v.h0; h < v.h1 && open; h++)
                for (int64_t w = v.w0; w < v.w1 && open; w++) {
                    const int64_t i = (h * g->W + w) * C + c;
                    if (x[i] != m && x[i] == x[i]) continue;
                    gx[i] += gy[o * C + c];
                    open = false;
                }
        }
    }
}

void KERNEL(pool_avg)(const trit_pool_geom *g, const float *x, float *y) {
    const int64_t C = g->C;
    for (int64_t o = 0; o < g->P * g->Q; o++) {
        const window v = clip(g, o / g->Q, o % g->Q);
        const float k = share(g, v);
        float *out = y + o * C;
        for (int64_t c = 0; c < C; c++) out[c] = 0.0f;
        for (int64_t h = v.h0; h < v.h1; h++)
            for (int64_t w = v.w0; w < v.w1; w++) {
                const float *in = x + (h * g->W + w) * C;
                for (int64_t c = 0; c < C; c++) out[c] += in[c];
            }
        for (int64_t c = 0; c < C; c++) out[c] *= k;
    }
}

void KERNEL(pool_avg_grad)(const trit_pool_geom *g, const float *gy, float *gx) {
    const int64_t C = g->C;
    for (int64_t o = 0; o < g->P * g->Q; o++) {
        const window v = clip(g, o / g->Q, o % g->Q);
        const float k = share(g, v);
        const float *d = gy + o * C;
        for (int64_t h = v.h0; h < v.h1; h++)
            for (int64_t w = v.w0; w < v.w1; w++) {
                float *in = gx + (h * g->W + w) * C;
                for (int64_t c = 0; c < C; c++) in[c] += k * d[c];
            }
    }
}
