/*
 * resize.c - resampling with a triangle filter.
 *
 * Output pixel o of n covers the box's coordinate c = (o + 1/2) s with s = box / n; its weights are
 * max(0, 1 - |i + 1/2 - c| / max(s, 1)), normalized to sum 1 over the pixels of the image.  For
 * s <= 1 that is bilinear interpolation; for s > 1 the filter widens with s, so shrinking does not
 * alias (the rule of Pillow's BILINEAR, which the usual ImageNet pipelines apply).  Rows first,
 * then columns, sums in float, one rounding at the end.
 */
#include "trit/data.h"

#include <math.h>

#include "data/pixels.h"

static void fill_taps(trit_taps *t, float *weights, int width, double start, double extent, int n,
                      int limit) {
    double s = extent / n, support = s > 1 ? s : 1;
    for (int o = 0; o < n; o++) {
        double centre = start + (o + 0.5) * s, sum = 0;
        int lo = (int)floor(centre - support + 0.5), hi = (int)floor(centre + support + 0.5);
        if (lo < 0) lo = 0;
        if (hi > limit) hi = limit;
        if (hi - lo > width) hi = lo + width;
        float *w = weights + (size_t)o * (size_t)width;
        for (int i = lo; i < hi; i++) {
            double v = 1 - fabs(i + 0.5 - centre) / support;
            w[i - lo] = (float)(v > 0 ? v : 0);
            sum += w[i - lo];
        }
        for (int i = lo; i < hi; i++) w[i - lo] = (float)(w[i - lo] / sum);
        for (int i = hi - lo; i < width; i++) w[i] = 0;
        t[o] = (trit_taps){lo, hi - lo, w};
    }
}

static int taps_width(double extent, int n) {
    double s = extent / n;
    return 2 * (int)ceil(s > 1 ? s : 1) + 2;
}

/* Rows of one channel -> rows of n_out numbers. */
static void shrink_gray(const trit_taps *t, int n_out, int rows, const uint8_t *px, size_t pitch,
                        float *out, size_t out_pitch) {
    for (int y = 0; y < rows; y++, px += pitch, out += out_pitch)
        for (int o = 0; o < n_out; o++) {
            const uint8_t *p = px + t[o].first;
            float sum = 0;
            for (int i = 0; i < t[o].n; i++) sum += t[o].weight[i] * (float)p[i];
            out[o] = sum;
        }
}

static int longest(const trit_taps *t, int n) {
    int most = 1;
    for (int o = 0; o < n; o++) most = t[o].n > most ? t[o].n : most;
    return most;
}

#define GROUP 4 /* rows shrunk at a time: what the widest kernel takes side by side */

/* Working memory of one call.  Of the shrunk rows only those are kept that the next output row
 * takes, in a ring: they stay in the first-level cache. */
typedef struct {
    trit_taps *ty, *tx;  /* [h], [w] */
    const float **taken; /* [reach_y] rows of one output row */
    float *wide, *ring;  /* [16 (in->w + reach_x)], [ring_rows][ring_pitch] */
    size_t ring_pitch;
    int ring_rows, reach_x;
} work;

static float *ring_row(const work *k, int row) {
    return k->ring + (size_t)(row % k->ring_rows) * k->ring_pitch;
}

static void resample(const trit_image *in, const work *k, trit_image *out) {
    const size_t pitch = (size_t)in->w * (size_t)in->c, run = (size_t)out->w * (size_t)in->c;
    const trit_taps *last = k->ty + out->h - 1;
    const int first = k->ty[0].first, count = last->first + last->n - first;
    int made = 0; /* rows counted from the first in use */
    for (int y = 0; y < out->h; y++) {
        const trit_taps *t = &k->ty[y];
        for (; made < t->first + t->n - first; made += GROUP) {
            const int rows = count - made < GROUP ? count - made : GROUP;
            const uint8_t *px = in->px + (size_t)(first + made) * pitch;
            if (in->c == 3)
                trit_pixels()->shrink_rgb(k->tx, out->w, k->reach_x, rows, px, pitch, k->wide,
                                          ring_row(k, made), k->ring_pitch);
            else
                shrink_gray(k->tx, out->w, rows, px, pitch, ring_row(k, made), k->ring_pitch);
        }
        for (int i = 0; i < t->n; i++) k->taken[i] = ring_row(k, t->first - first + i);
        trit_pixels()->blend((int64_t)run, t->n, t->weight, k->taken, out->px + (size_t)y * run);
    }
}

trit_status trit_image_resize(const trit_image *in, const double box[4], int h, int w,
                              trit_image *out) {
    const int wy = taps_width(box[2], h), wx = taps_width(box[3], w);
    work k = {.ring_pitch = (size_t)w * (size_t)in->c + 1, /* the kernel's idle number */
              .ring_rows = (wy + 2 * GROUP - 2) / GROUP * GROUP};
    const size_t weights = (size_t)h * (size_t)wy + (size_t)w * (size_t)wx;
    const size_t wide = 16 * (size_t)(in->w + wx);
    const size_t bytes = ((size_t)h + (size_t)w) * sizeof(trit_taps) +
                         (size_t)wy * sizeof(float *) +
                         (weights + wide + (size_t)k.ring_rows * k.ring_pitch) * sizeof(float);
    TRIT_TRY(trit_image_reserve(out, h, w, in->c));
    char *block = trit_alloc(bytes);
    if (!block) return TRIT_ERR_MEM;
    k.wide = (float *)(void *)block; /* first: a vector is a cache line */
    k.ty = (trit_taps *)(void *)(k.wide + wide);
    k.tx = k.ty + h;
    k.taken = (const float **)(void *)(k.tx + w);
    float *weight = (float *)(void *)(k.taken + wy);
    k.ring = weight + weights;
    fill_taps(k.ty, weight, wy, box[0], box[2], h, in->h);
    fill_taps(k.tx, weight + (size_t)h * (size_t)wy, wx, box[1], box[3], w, in->w);
    k.reach_x = longest(k.tx, w);
    resample(in, &k, out);
    trit_free(block, bytes);
    return TRIT_OK;
}
