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

typedef uint8_t bytes __attribute__((vector_size(LANES)));
typedef uint8_t bytes_in_memory __attribute__((vector_size(LANES), aligned(1), may_alias));

/* The first NaN wins, and stays. */
static inline vi beats(vf t, vf m) { return ~(t <= m) & (m == m); }

/* One window, one vector of channels: `first` is the place of its first position inside. */
static inline vf window_max(const trit_pool_geom *g, window v, int32_t first, const float *x,
                            vi *place) {
    vf m = (vf){0} - INFINITY;
    vi at = (vi){0} + first;
    for (int64_t h = v.h0; h < v.h1; h++, first += (int32_t)g->S)
        for (int64_t w = v.w0; w < v.w1; w++) {
            const vf t = load(x + (h * g->W + w) * g->C);
            const vi hit = beats(t, m), here = (vi){0} + (first + (int32_t)(w - v.w0));
            m = pick(hit, t, m);
            at = (hit & here) | (~hit & at);
        }
    *place = at;
    return m;
}

static void channel_max(const trit_pool_geom *g, window v, int32_t first, const float *x, float *y,
                        uint8_t *win) {
    float m = -INFINITY;
    int32_t at = first;
    for (int64_t h = v.h0; h < v.h1; h++, first += (int32_t)g->S)
        for (int64_t w = v.w0; w < v.w1; w++) {
            const float t = x[(h * g->W + w) * g->C];
            if (!(t > m) && !(t != t && m == m)) continue;
            m = t;
            at = first + (int32_t)(w - v.w0);
        }
    *y = m;
    if (win) *win = (uint8_t)at;
}

void KERNEL(pool_max)(const trit_pool_geom *g, const float *x, float *y, uint8_t *win) {
    const int64_t C = g->C;
    for (int64_t o = 0; o < g->P * g->Q; o++, y += C) {
        const int64_t p = o / g->Q, q = o % g->Q;
        const window v = clip(g, p, q);
        const int32_t first = (int32_t)((v.h0 - p * g->stride_h + g->pad_h) * g->S + v.w0 -
                                        q * g->stride_w + g->pad_w);
        int64_t c = 0;
        for (; c + LANES <= C; c += LANES) {
            vi at;
            store(y + c, window_max(g, v, first, x + c, &at));
            if (win)
                *(bytes_in_memory *)(win + o * C + c) =
                    (bytes_in_memory) __builtin_convertvector(at, bytes);
        }
        for (; c < C; c++) channel_max(g, v, first, x + c, y + c, win ? win + o * C + c : NULL);
    }
}

/* Outputs [a, b) whose windows cover a position of an axis. */
typedef struct {
    int64_t a, b;
} cover;

/* On to position i, which is not before the last one asked for. */
static inline void advance(cover *k, int64_t i, int64_t extent, int64_t stride, int64_t pad,
                           int64_t most) {
    while (k->b < most && k->b * stride - pad <= i) k->b++;
    while (k->a < k->b && k->a * stride - pad + extent <= i) k->a++;
}

/* One pixel's share of one window, the first or one more. */
static inline void gather_window(int64_t C, int place, const uint8_t *restrict win,
                                 const float *restrict gy, bool first, float *restrict gx) {
    if (first)
        for (int64_t c = 0; c < C; c++) gx[c] = win[c] == place ? gy[c] : 0.0f;
    else
        for (int64_t c = 0; c < C; c++) gx[c] += win[c] == place ? gy[c] : 0.0f;
}

static void gather_row(const trit_pool_geom *g, int64_t h, cover p, const uint8_t *win,
                       const float *gy, float *gx) {
    cover q = {0, 0};
    for (int64_t w = 0; w < g->W; w++, gx += g->C) {
        advance(&q, w, g->S, g->stride_w, g->pad_w, g->Q);
        bool first = true;
        for (int64_t a = p.a; a < p.b; a++)
            for (int64_t b = q.a; b < q.b; b++, first = false) {
                const int64_t r = h + g->pad_h - a * g->stride_h;
                const int64_t s = w + g->pad_w - b * g->stride_w, at = (a * g->Q + b) * g->C;
                gather_window(g->C, (int)(r * g->S + s), win + at, gy + at, first, gx);
            }
        for (int64_t c = 0; first && c < g->C; c++) gx[c] = 0.0f; /* between windows */
    }
}

void KERNEL(pool_max_grad)(const trit_pool_geom *g, int64_t h0, int64_t h1, const uint8_t *win,
                           const float *gy, float *gx) {
    cover p = {0, 0};
    for (int64_t h = h0; h < h1; h++, gx += g->W * g->C) {
        advance(&p, h, g->R, g->stride_h, g->pad_h, g->P);
        gather_row(g, h, p, win, gy, gx);
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
