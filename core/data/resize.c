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

typedef struct {
    int first, n;
    float *weight; /* [n] */
} taps;

static void fill_taps(taps *t, float *weights, int width, double start, double extent, int n,
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
        t[o] = (taps){lo, hi - lo, w};
    }
}

static int taps_width(double extent, int n) {
    double s = extent / n;
    return 2 * (int)ceil(s > 1 ? s : 1) + 2;
}

/* One image row -> n_out float pixels. */
static void shrink_row(const uint8_t *px, int c, const taps *t, int n_out, float *out) {
    for (int o = 0; o < n_out; o++) {
        const uint8_t *p = px + (size_t)t[o].first * (size_t)c;
        if (c == 3) {
            float a = 0, b = 0, d = 0;
            for (int i = 0; i < t[o].n; i++, p += 3) {
                float w = t[o].weight[i];
                a += w * (float)p[0];
                b += w * (float)p[1];
                d += w * (float)p[2];
            }
            out[3 * o] = a;
            out[3 * o + 1] = b;
            out[3 * o + 2] = d;
        } else {
            float a = 0;
            for (int i = 0; i < t[o].n; i++) a += t[o].weight[i] * (float)p[i];
            out[o] = a;
        }
    }
}

trit_status trit_image_resize(const trit_image *in, const double box[4], int h, int w,
                              trit_image *out) {
    int wy = taps_width(box[2], h), wx = taps_width(box[3], w), run = w * in->c;
    size_t rows_bytes = (size_t)in->h * (size_t)run * sizeof(float);
    size_t weight_bytes = ((size_t)h * (size_t)wy + (size_t)w * (size_t)wx) * sizeof(float);
    size_t bytes = rows_bytes + weight_bytes + ((size_t)h + (size_t)w) * sizeof(taps) +
                   (size_t)run * sizeof(float);
    TRIT_TRY(trit_image_reserve(out, h, w, in->c));
    char *block = trit_alloc(bytes);
    if (!block) return TRIT_ERR_MEM;
    taps *ty = (taps *)(void *)block, *tx = ty + h;
    float *rows = (float *)(void *)(tx + w); // [in->h, w, c], only the rows in use
    float *weights = rows + (size_t)in->h * (size_t)run;
    float *sum = weights + weight_bytes / sizeof(float);
    fill_taps(ty, weights, wy, box[0], box[2], h, in->h);
    fill_taps(tx, weights + (size_t)h * (size_t)wy, wx, box[1], box[3], w, in->w);
    int first = ty[0].first, last = ty[h - 1].first + ty[h - 1].n;
    for (int y = first; y < last; y++)
        shrink_row(in->px + (size_t)y * (size_t)in->w * (size_t)in->c, in->c, tx, w,
                   rows + (size_t)y * (size_t)run);
    for (int y = 0; y < h; y++) {
        for (int i = 0; i < run; i++) sum[i] = 0.5f; /* rounds the cast below */
        for (int k = 0; k < ty[y].n; k++) {
            const float *row = rows + (size_t)(ty[y].first + k) * (size_t)run;
            const float weight = ty[y].weight[k];
            for (int i = 0; i < run; i++) sum[i] += weight * row[i];
        }
        uint8_t *px = out->px + (size_t)y * (size_t)run;
        for (int i = 0; i < run; i++) px[i] = (uint8_t)(sum[i] > 255.0f ? 255.0f : sum[i]);
    }
    trit_free(block, bytes);
    return TRIT_OK;
}
