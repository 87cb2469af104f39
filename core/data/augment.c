/*
 * augment.c - the transforms of training images: crop, flip, rrc, resize, center.
 *
 * Draws are a function of (seed, index, lane); index = epoch 2^32 + sample, and each step of the
 * list has its own sixteen lanes.  So neither batch nor thread nor start of iteration changes them.
 */
#include "data/augment.h"

#include <math.h>
#include <string.h>

#define LANES 16 /* draws that one step may take */

static double unit(uint32_t bits) { return bits * 0x1p-32; }
static int below(uint32_t bits, int n) { return (int)(((uint64_t)bits * (uint32_t)n) >> 32); }

void trit_view_start(trit_view *v, const trit_image *image, int stored_h, int stored_w) {
    v->image = image;
    v->stored_h = stored_h;
    v->stored_w = stored_w;
    v->y = v->x = 0;
    v->h = image->h;
    v->w = image->w;
    v->fill = 0;
    v->flip = false;
    v->shrink = 0;
}

void trit_view_close(trit_view *v) {
    trit_image_free(&v->made[0]);
    trit_image_free(&v->made[1]);
}

static bool inside(const trit_view *v) {
    return v->y >= 0 && v->x >= 0 && v->y + v->h <= v->image->h && v->x + v->w <= v->image->w;
}

static trit_image *other(trit_view *v) { return &v->made[v->image == &v->made[0]]; }

/* Replace window and padding by pixels. */
static trit_status materialize(trit_view *v) {
    trit_image *out = other(v);
    int c = v->image->c;
    TRIT_TRY(trit_image_reserve(out, v->h, v->w, c));
    memset(out->px, v->fill, (size_t)v->h * (size_t)v->w * (size_t)c);
    int lo = v->x < 0 ? -v->x : 0;
    int hi = v->x + v->w > v->image->w ? v->image->w - v->x : v->w;
    for (int y = 0; y < v->h; y++) {
        int from = v->y + y;
        if (from < 0 || from >= v->image->h || hi <= lo) continue;
        memcpy(out->px + ((size_t)y * (size_t)v->w + (size_t)lo) * (size_t)c,
               v->image->px +
                   ((size_t)from * (size_t)v->image->w + (size_t)(v->x + lo)) * (size_t)c,
               (size_t)(hi - lo) * (size_t)c);
    }
    v->image = out;
    v->y = v->x = 0;
    return TRIT_OK;
}

/*
 * The part `box` (y, x, height, width) of the window, in stored pixels, becomes h x w pixels.  With
 * scaled decoding the image has fewer pixels than are stored, hence the factors.
 */
static trit_status resample(trit_view *v, const double box[4], int h, int w) {
    if (!v->image->px) { /* dry run: only the factor of the first resize matters */
        double sy = box[2] / h, sx = box[3] / w;
        if (v->shrink == 0) v->shrink = sy < sx ? sy : sx;
        v->h = v->stored_h = h;
        v->w = v->stored_w = w;
        return TRIT_OK;
    }
    if (!inside(v)) TRIT_TRY(materialize(v));
    double fy = (double)v->h / v->stored_h, fx = (double)v->w / v->stored_w;
    double x = v->flip ? v->stored_w - box[1] - box[3] : box[1];
    double part[4] = {v->y + box[0] * fy, v->x + x * fx, box[2] * fy, box[3] * fx};
    trit_image *out = other(v);
    TRIT_TRY(trit_image_resize(v->image, part, h, w, out));
    v->image = out;
    v->y = v->x = 0;
    v->h = v->stored_h = h;
    v->w = v->stored_w = w;
    return TRIT_OK;
}

/* Move the window: its corner by (dy, dx) as seen, its size to h x w. */
static void cut(trit_view *v, int dy, int dx, int h, int w) {
    v->x += v->flip ? v->w - dx - w : dx;
    v->y += dy;
    v->h = v->stored_h = h;
    v->w = v->stored_w = w;
    if (v->shrink == 0) v->shrink = 1; /* offsets are in stored pixels: no scaled decoding */
}

trit_status trit_view_fit(trit_view *v, int side) {
    int h = v->stored_h, w = v->stored_w, shorter = h < w ? h : w;
    if (shorter == side && v->h == h) return TRIT_OK;
    double box[4] = {0, 0, h, w};
    int nh = h <= w ? side : (int)((double)side * h / w);
    int nw = h <= w ? (int)((double)side * w / h) : side;
    return resample(v, box, nh, nw);
}

void trit_view_center(trit_view *v) {
    if (v->h == v->target_h && v->w == v->target_w) return;
    cut(v, (int)lround((v->h - v->target_h) / 2.0), (int)lround((v->w - v->target_w) / 2.0),
        v->target_h, v->target_w);
}

static int shorter_target(const trit_view *v) {
    return v->target_h < v->target_w ? v->target_h : v->target_w;
}

/* --------------------------------------------------------------- the transforms */

static const trit_param crop_params[] = {
    {.name = "pad",
     .integer = true,
     .def = 4,
     .min = 0,
     .max = 1024,
     .doc = "pixels added on every side first"},
    {.name = "fill", .def = 0, .min = 0, .max = 255, .doc = "their value, 0 = black"},
    {0}};

static trit_status crop(const trit_args *a, const uint64_t key[2], uint32_t lane, trit_view *v) {
    uint32_t r[4];
    int pad = (int)a->v[0][0];
    v->fill = (uint8_t)a->v[1][0];
    trit_rng(key[0], TRIT_STREAM_AUGMENT, key[1], lane, r);
    if (v->stored_h + 2 * pad < v->target_h || v->stored_w + 2 * pad < v->target_w)
        TRIT_TRY(trit_view_fit(v, v->target_h > v->target_w ? v->target_h : v->target_w));
    int dy = below(r[0], v->h + 2 * pad - v->target_h + 1) - pad;
    int dx = below(r[1], v->w + 2 * pad - v->target_w + 1) - pad;
    cut(v, dy, dx, v->target_h, v->target_w);
    return TRIT_OK;
}

static const trit_param flip_params[] = {
    {.name = "p", .def = 0.5, .min = 0, .max = 1, .doc = "probability"}, {0}};

static trit_status flip(const trit_args *a, const uint64_t key[2], uint32_t lane, trit_view *v) {
    uint32_t r[4];
    trit_rng(key[0], TRIT_STREAM_AUGMENT, key[1], lane, r);
    if (unit(r[0]) < a->v[0][0]) v->flip = !v->flip;
    return TRIT_OK;
}

static const trit_param rrc_params[] = {
    {.name = "scale_min", .def = 0.08, .min = 1e-4, .max = 1, .doc = "smallest share of the area"},
    {.name = "scale_max", .def = 1, .min = 1e-4, .max = 1, .doc = "largest share of the area"},
    {.name = "ratio_min", .def = 3.0 / 4, .min = 0.01, .max = 100, .doc = "least width / height"},
    {.name = "ratio_max", .def = 4.0 / 3, .min = 0.01, .max = 100, .doc = "most width / height"},
    {0}};

#define RRC_TRIES 10 /* then the largest centred part of allowed ratio, as torchvision does */

static trit_status rrc(const trit_args *a, const uint64_t key[2], uint32_t lane, trit_view *v) {
    double lo = a->v[0][0], hi = a->v[1][0], h = v->stored_h, w = v->stored_w;
    double r_lo = a->v[2][0], r_hi = a->v[3][0];
    for (uint32_t k = 0; k < RRC_TRIES; k++) {
        uint32_t r[4];
        trit_rng(key[0], TRIT_STREAM_AUGMENT, key[1], lane + k, r);
        double area = h * w * (lo + (hi - lo) * unit(r[0]));
        double ratio = exp(log(r_lo) + (log(r_hi) - log(r_lo)) * unit(r[1]));
        double bw = round(sqrt(area * ratio)), bh = round(sqrt(area / ratio));
        if (bw < 1 || bh < 1 || bw > w || bh > h) continue;
        double box[4] = {below(r[2], (int)(h - bh) + 1), below(r[3], (int)(w - bw) + 1), bh, bw};
        return resample(v, box, v->target_h, v->target_w);
    }
    double bh = h, bw = w;
    if (w / h < r_lo) bh = round(w / r_lo);
    if (w / h > r_hi) bw = round(h * r_hi);
    double box[4] = {floor((h - bh) / 2), floor((w - bw) / 2), bh, bw};
    return resample(v, box, v->target_h, v->target_w);
}

static const trit_param resize_params[] = {
    {.name = "side",
     .integer = true,
     .def = 0,
     .min = 0,
     .max = 8192,
     .doc = "pixels of the shorter side, 0 = that of the batch"},
    {0}};

static trit_status resize(const trit_args *a, const uint64_t key[2], uint32_t lane, trit_view *v) {
    (void)key;
    (void)lane;
    return trit_view_fit(v, a->v[0][0] > 0 ? (int)a->v[0][0] : shorter_target(v));
}

static const trit_param center_params[] = {{0}};

static trit_status center(const trit_args *a, const uint64_t key[2], uint32_t lane, trit_view *v) {
    (void)a;
    (void)key;
    (void)lane;
    trit_view_center(v);
    return TRIT_OK;
}

const trit_transform trit_transforms[] = {
    {"crop", "pad, then cut a window of the batch's size at a random place", crop_params, crop},
    {"flip", "mirror left to right with probability p", flip_params, flip},
    {"rrc", "random resized crop: random area and aspect ratio, resized to the batch's size",
     rrc_params, rrc},
    {"resize", "shorter side to a fixed number of pixels, bilinear, antialiased", resize_params,
     resize},
    {"center", "cut the middle out in the batch's size", center_params, center},
    {0}};

const trit_transform *trit_transform_find(const char *name) {
    for (int i = 0; trit_transforms[i].name; i++)
        if (!strcmp(trit_transforms[i].name, name)) return &trit_transforms[i];
    return NULL;
}

trit_status trit_view_apply(trit_view *v, const trit_step *steps, int n, uint64_t seed,
                            uint64_t index) {
    const uint64_t key[2] = {seed, index};
    for (int i = 0; i < n; i++)
        TRIT_TRY(steps[i].transform->apply(&steps[i].args, key, (uint32_t)(LANES * i), v));
    if (v->h == v->target_h && v->w == v->target_w) return TRIT_OK;
    /* cover the target, then cut: with unequal sides the larger factor decides */
    int h = v->stored_h, w = v->stored_w;
    double fh = (double)v->target_h / h, fw = (double)v->target_w / w, f = fh > fw ? fh : fw;
    if (f != 1 || v->h != h) {
        double box[4] = {0, 0, h, w};
        int nh = fh >= fw ? v->target_h : (int)lround(f * h);
        int nw = fh >= fw ? (int)lround(f * w) : v->target_w;
        TRIT_TRY(resample(v, box, nh, nw));
    }
    trit_view_center(v);
    return TRIT_OK;
}

void trit_view_write(const trit_view *v, const float (*lut)[256], float *out) {
    const int c_n = v->image->c, step = v->flip ? -1 : 1;
    for (int y = 0; y < v->h; y++) {
        int from = v->y + y;
        bool outside = from < 0 || from >= v->image->h;
        const uint8_t *row =
            outside ? NULL : v->image->px + (size_t)from * (size_t)v->image->w * (size_t)c_n;
        int x = v->flip ? v->x + v->w - 1 : v->x;
        for (int o = 0; o < v->w; o++, x += step)
            for (int c = 0; c < c_n; c++)
                *out++ = lut[c][outside || x < 0 || x >= v->image->w ? v->fill : row[x * c_n + c]];
    }
}

/* ---------------------------------------------------------------- normalization */

void trit_norm_set(trit_norm *norm, int channels, const double mean[3], const double std[3]) {
    for (int i = 0; i < TRIT_PIXEL_PERIOD; i++) {
        norm->scale[i] = 1 / (255 * std[i % channels]);
        norm->shift[i] = -mean[i % channels] / std[i % channels];
    }
    norm->linear = true;
    for (int c = 0; c < channels; c++)
        for (int v = 0; v < 256; v++) {
            norm->lut[c][v] = (float)((v / 255.0 - mean[c]) / std[c]);
            norm->linear &= norm->lut[c][v] == (float)(v * norm->scale[c] + norm->shift[c]);
        }
}

/* n pixels, the last first.  A pixel and a byte are moved at once; the byte is overwritten next. */
static void mirror(const uint8_t *px, int c, int n, uint8_t *out) {
    if (c == 1) {
        for (int i = 0; i < n; i++) out[i] = px[n - 1 - i];
        return;
    }
    memcpy(out, px + 3 * (n - 1), 3);
    for (int i = 1; i < n; i++) memcpy(out + 3 * i, px + 3 * (n - 1 - i), 4);
}

#define CHUNK (4 * TRIT_PIXEL_PERIOD) /* pixels mirrored at a time */

void trit_view_normalize(const trit_view *v, const trit_norm *norm, float *out) {
    const int c = v->image->c;
    const size_t pitch = (size_t)v->image->w * (size_t)c, run = (size_t)v->w * (size_t)c;
    uint8_t line[3 * CHUNK + 1];
    if (!norm->linear || !inside(v)) {
        trit_view_write(v, norm->lut, out);
        return;
    }
    const uint8_t *px = v->image->px + (size_t)v->y * pitch + (size_t)v->x * (size_t)c;
    for (int y = 0; y < v->h; y++, px += pitch, out += run) {
        if (!v->flip) trit_pixels()->normalize((int64_t)run, norm->scale, norm->shift, px, out);
        for (int x = v->flip ? 0 : v->w; x < v->w; x += CHUNK) {
            const int n = v->w - x < CHUNK ? v->w - x : CHUNK;
            mirror(px + (size_t)(v->w - x - n) * (size_t)c, c, n, line);
            trit_pixels()->normalize((int64_t)n * c, norm->scale, norm->shift, line,
                                     out + (size_t)x * (size_t)c);
        }
    }
}
