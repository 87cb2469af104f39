/*
 * shapes10.c - the generated set: ten classes of shapes that a small network learns well but not
 * perfectly.
 *
 * An image is a function of (seed, split, index): background with gradient and texture; clutter,
 * small shapes and bars in other colours; the shape of the class, turned, scaled, stretched,
 * shifted, coloured and textured; an occluding bar; pixel noise.  Classes take turns by index, so
 * they are balanced.  Coordinates: the image spans [-1, 1] in both directions, y down.
 *
 * The options set the difficulty.  With the defaults a ResNet-8 of width 16 reached 88.7 % in float
 * (14 epochs, SGD with momentum 0.9, rate 0.1 falling as a cosine, decay 5e-4, flips, one seed),
 * and copies of it tuned for 3 epochs 87.0 % with TGA and 87.9 % with TWN.
 */
#include <math.h>
#include <string.h>

#include "data/shapes10.h"

const trit_param trit_shapes10_params[] = {
    {.name = "train",
     .integer = true,
     .def = 10000,
     .min = 0,
     .max = 1e7,
     .doc = "training images"},
    {.name = "test", .integer = true, .def = 2000, .min = 0, .max = 1e7, .doc = "test images"},
    {.name = "size", .integer = true, .def = 32, .min = 8, .max = 1024, .doc = "pixels of a side"},
    {.name = "seed",
     .integer = true,
     .def = 1,
     .min = 0,
     .max = 9007199254740992.0,
     .doc = "of all draws"},
    {.name = "quality",
     .integer = true,
     .def = 85,
     .min = 1,
     .max = 100,
     .doc = "of the JPEG files"},
    {.name = "contrast",
     .def = 0.3,
     .min = 0,
     .max = 1,
     .doc = "least colour distance of shape and background, 1 = black to white"},
    {.name = "scale_min",
     .def = 0.5,
     .min = 0.05,
     .max = 1,
     .doc = "smallest radius, 1 = half the image"},
    {.name = "scale_max", .def = 0.85, .min = 0.05, .max = 1, .doc = "largest radius"},
    {.name = "stretch",
     .def = 0.15,
     .min = 0,
     .max = 0.9,
     .doc = "axes are scaled by up to 1 -+ this"},
    {.name = "shift", .def = 0.15, .min = 0, .max = 1, .doc = "largest offset of the centre"},
    {.name = "turn",
     .def = 20,
     .min = 0,
     .max = 180,
     .doc = "largest rotation, degrees, either way"},
    {.name = "texture", .def = 0.08, .min = 0, .max = 1, .doc = "amplitude of stripes and checks"},
    {.name = "clutter",
     .integer = true,
     .def = 2,
     .min = 0,
     .max = 32,
     .doc = "most foreign shapes behind"},
    {.name = "occlusion",
     .def = 0.4,
     .min = 0,
     .max = 1,
     .doc = "probability of a bar across the shape"},
    {.name = "noise",
     .def = 0.16,
     .min = 0,
     .max = 1,
     .doc = "largest standard deviation of pixel noise, 1 = white"},
    {0}};

const char *const trit_shapes10_classes[10] = {"arrow",   "crescent", "cross",  "disc", "heart",
                                               "hexagon", "ring",     "square", "star", "triangle"};

#define PI         3.14159265358979323846
#define TEST_INDEX ((uint64_t)1 << 40) /* test images are drawn far from training images */
#define NOISE_LANE (1u << 16)          /* first lane of the pixel noise                  */
#define BYTES_SD   147.8017            /* of the sum of four uniform bytes               */

/* ---------------------------------------------------------------------- draws */

typedef struct {
    uint64_t seed, index;
    uint32_t lane, left, word[4];
} draws;

static double draw(draws *d, double lo, double hi) {
    if (d->left == 0) {
        trit_rng(d->seed, TRIT_STREAM_DATA, d->index, d->lane++, d->word);
        d->left = 4;
    }
    return lo + (hi - lo) * (d->word[--d->left] * 0x1p-32);
}

/* ------------------------------------------------- shapes: distance, < 0 inside */

static double box(double x, double y, double hx, double hy) {
    return fmax(fabs(x) - hx, fabs(y) - hy);
}

static double arrow(double x, double y) {
    double head = fmax(0.05 - x, (x + 1.25 * fabs(y) - 0.95) / sqrt(1 + 1.25 * 1.25));
    return fmin(box(x + 0.4, y, 0.5, 0.2), head);
}

static double crescent(double x, double y) {
    return fmax(hypot(x, y) - 0.85, 0.68 - hypot(x - 0.42, y));
}

static double cross(double x, double y) {
    return fmin(box(x, y, 0.88, 0.28), box(x, y, 0.28, 0.88));
}

static double disc(double x, double y) { return hypot(x, y) - 0.8; }

/* A square on its corner with a disc on each upper side. */
static double heart(double x, double y) {
    double square = (fabs(x) + fabs(y)) * sqrt(0.5) - 0.5;
    return fmin(square, hypot(fabs(x) - 0.3536, y + 0.3536) - 0.5);
}

static double hexagon(double x, double y) {
    double a = fabs(x), b = fabs(y);
    return fmax(b, a * 0.8660254 + b * 0.5) - 0.76;
}

static double ring(double x, double y) { return fabs(hypot(x, y) - 0.64) - 0.2; }

static double square(double x, double y) { return box(x, y, 0.7, 0.7); }

/* Five points: in one half of a tenth of the circle it is one straight edge. */
static double star(double x, double y) {
    const double outer = 1.0, inner = 0.42, sector = PI / 5;
    double r = hypot(x, y), a = fabs(remainder(atan2(x, -y), 2 * sector));
    double px = r * cos(a), py = r * sin(a);
    double ex = inner * cos(sector) - outer, ey = inner * sin(sector), length = hypot(ex, ey);
    return ((px - outer) * -ey + py * ex) / -length;
}

static double triangle(double x, double y) { return fmax(y, fabs(x) * 0.8660254 - y * 0.5) - 0.48; }

static double (*const shapes[10])(double, double) = {arrow,   crescent, cross,  disc, heart,
                                                     hexagon, ring,     square, star, triangle};

/* --------------------------------------------------------------------- painting */

typedef struct {
    double colour[3];
    double wave_x, wave_y, phase, amplitude; /* stripes, or checks with `checks` */
    bool checks;
} paint;

typedef struct {
    double (*shape)(double, double);
    double cx, cy, cos_a, sin_a, rx, ry;
} placed;

static paint draw_paint(draws *d, double texture) {
    paint p;
    for (int c = 0; c < 3; c++) p.colour[c] = draw(d, 0.05, 0.95);
    double angle = draw(d, 0, PI), waves = draw(d, 4, 14); /* radians per half image */
    p.wave_x = waves * cos(angle);
    p.wave_y = waves * sin(angle);
    p.phase = draw(d, 0, 2 * PI);
    p.amplitude = draw(d, 0, texture);
    p.checks = draw(d, 0, 1) < 0.5;
    return p;
}

static double distance_of(const double a[3], const double b[3]) {
    double sum = 0;
    for (int c = 0; c < 3; c++) sum += (a[c] - b[c]) * (a[c] - b[c]);
    return sqrt(sum / 3);
}

static placed draw_place(draws *d, double (*shape)(double, double), double turn, double r_lo,
                         double r_hi, double stretch, double shift) {
    placed p = {.shape = shape};
    double angle = draw(d, -turn, turn), r = draw(d, r_lo, r_hi), s = draw(d, -stretch, stretch);
    p.cos_a = cos(angle);
    p.sin_a = sin(angle);
    p.rx = r * (1 + s);
    p.ry = r * (1 - s);
    p.cx = draw(d, -shift, shift);
    p.cy = draw(d, -shift, shift);
    return p;
}

static double tone(const paint *p, double x, double y) {
    double u = p->wave_x * x + p->wave_y * y + p->phase, v = p->wave_y * x - p->wave_x * y;
    return p->amplitude * (p->checks ? (sin(u) * sin(v) > 0 ? 1 : -1) : sin(u));
}

/* Share of a pixel of size `pixel` at (x, y) that the shape covers. */
static double coverage(const placed *p, double x, double y, double pixel) {
    double dx = x - p->cx, dy = y - p->cy;
    double u = (dx * p->cos_a + dy * p->sin_a) / p->rx, v = (dy * p->cos_a - dx * p->sin_a) / p->ry;
    double smaller = p->rx < p->ry ? p->rx : p->ry;
    double share = 0.5 - p->shape(u, v) * smaller / pixel;
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

/* canvas f[h,w,3] */
static void cover(float *canvas, int size, const placed *place, const paint *p) {
    double pixel = 2.0 / size;
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            double px = (x + 0.5) * pixel - 1, py = (y + 0.5) * pixel - 1;
            double share = place ? coverage(place, px, py, pixel) : 1;
            if (share == 0) continue;
            double t = tone(p, px, py);
            float *out = canvas + 3 * ((size_t)y * (size_t)size + (size_t)x);
            for (int c = 0; c < 3; c++)
                out[c] = (float)(out[c] + share * (p->colour[c] + t - out[c]));
        }
}

static double bar(double x, double y) { return box(x, y, 1, 1); }

static void draw_clutter(draws *d, const trit_args *o, float *canvas, int size) {
    int n = (int)draw(d, 0, o->v[TRIT_SHAPES_CLUTTER][0] + 1);
    for (int i = 0; i < n; i++) {
        paint p = draw_paint(d, o->v[TRIT_SHAPES_TEXTURE][0]);
        bool line = draw(d, 0, 1) < 0.4;
        int which = (int)draw(d, 0, 10);
        placed place = draw_place(d, line ? bar : shapes[which], PI, 0.10, 0.24, 0, 1);
        if (line) {
            place.rx = draw(d, 0.3, 0.8);
            place.ry = draw(d, 0.03, 0.07);
        }
        cover(canvas, size, &place, &p);
    }
}

static void finish(draws *d, double noise, const float *canvas, trit_image *out) {
    double sigma = draw(d, 0, noise);
    size_t n = (size_t)out->h * (size_t)out->w * 3;
    for (size_t i = 0; i < n; i += 4) {
        uint32_t r[4];
        trit_rng(d->seed, TRIT_STREAM_DATA, d->index, NOISE_LANE + (uint32_t)(i / 4), r);
        for (size_t k = 0; k < 4 && i + k < n; k++) {
            int sum = (int)((r[k] & 255) + (r[k] >> 8 & 255) + (r[k] >> 16 & 255) + (r[k] >> 24));
            double v = canvas[i + k] + sigma * (sum - 510) / BYTES_SD;
            out->px[i + k] = (uint8_t)(v <= 0 ? 0 : v >= 1 ? 255 : v * 255 + 0.5);
        }
    }
}

void trit_shapes10_draw(const trit_args *o, int split, int64_t index, float *canvas,
                        trit_image *out, int *label) {
    draws d = {.seed = (uint64_t)o->v[TRIT_SHAPES_SEED][0],
               .index = (uint64_t)index + (split == TRIT_TEST ? TEST_INDEX : 0)};
    int size = out->h;
    double texture = o->v[TRIT_SHAPES_TEXTURE][0], contrast = o->v[TRIT_SHAPES_CONTRAST][0];
    *label = (int)(index % 10);
    paint ground = draw_paint(&d, texture), ink;
    cover(canvas, size, NULL, &ground);
    draw_clutter(&d, o, canvas, size);
    do ink = draw_paint(&d, texture);
    while (distance_of(ink.colour, ground.colour) < contrast);
    placed place = draw_place(&d, shapes[*label], o->v[TRIT_SHAPES_TURN][0] * PI / 180,
                              o->v[TRIT_SHAPES_SCALE_MIN][0], o->v[TRIT_SHAPES_SCALE_MAX][0],
                              o->v[TRIT_SHAPES_STRETCH][0], o->v[TRIT_SHAPES_SHIFT][0]);
    cover(canvas, size, &place, &ink);
    if (draw(&d, 0, 1) < o->v[TRIT_SHAPES_OCCLUSION][0]) {
        paint p = draw_paint(&d, texture);
        placed strip = draw_place(&d, bar, PI, 1, 1, 0, 0.5);
        strip.rx = 3; /* from edge to edge */
        strip.ry = draw(&d, 0.06, 0.16);
        cover(canvas, size, &strip, &p);
    }
    finish(&d, o->v[TRIT_SHAPES_NOISE][0], canvas, out);
}
