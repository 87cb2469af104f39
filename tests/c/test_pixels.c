/* tier: fast */
/* test_pixels.c - resampling and normalizing on every instruction set: the same bits as the plain
 * sums written here, and nothing read or written outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "data/augment.h"
#include "trit/data.h"

/* Exactly as many bytes as the pixels take: a sanitizer sees what is read behind them. */
static trit_image noise(int h, int w, int c, uint64_t seed) {
    trit_image im = {.h = h, .w = w, .c = c, .px = malloc((size_t)(h * w * c))};
    for (int i = 0; i < h * w * c; i++) {
        uint32_t r[4];
        trit_rng(seed, TRIT_STREAM_USER, (uint64_t)i, 0, r);
        im.px[i] = (uint8_t)r[0];
    }
    return im;
}

/* Weights of output o along one side, as resize.c's head has them; returns the first pixel. */
static int weights(double start, double extent, int n, int limit, int o, float *w, int *count) {
    double s = extent / n, support = s > 1 ? s : 1, centre = start + (o + 0.5) * s, sum = 0;
    int lo = (int)floor(centre - support + 0.5), hi = (int)floor(centre + support + 0.5);
    lo = lo < 0 ? 0 : lo;
    hi = hi > limit ? limit : hi;
    for (int i = lo; i < hi; i++) {
        double v = 1 - fabs(i + 0.5 - centre) / support;
        w[i - lo] = (float)(v > 0 ? v : 0);
        sum += w[i - lo];
    }
    for (int i = lo; i < hi; i++) w[i - lo] = (float)(w[i - lo] / sum);
    *count = hi - lo;
    return lo;
}

/* One number of the result: rows first, every product and every sum rounded once. */
static uint8_t plain_pixel(const trit_image *in, const double box[4], int h, int w, int y, int x,
                           int c) {
    float wy[512], wx[512], sum = 0.5f;
    int ny, nx;
    int first_y = weights(box[0], box[2], h, in->h, y, wy, &ny);
    int first_x = weights(box[1], box[3], w, in->w, x, wx, &nx);
    for (int k = 0; k < ny; k++) {
        float row = 0;
        for (int i = 0; i < nx; i++)
            row += wx[i] * (float)in->px[((first_y + k) * in->w + first_x + i) * in->c + c];
        sum += wy[k] * row;
    }
    return (uint8_t)(sum > 255.0f ? 255.0f : sum);
}

static void check_resize(int in_h, int in_w, int c, const double box[4], int h, int w) {
    trit_image in = noise(in_h, in_w, c, (uint64_t)(in_h * 1000 + in_w)), out = {0};
    assert_int_equal(trit_image_resize(&in, box, h, w, &out), TRIT_OK);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < c; k++) {
                int want = plain_pixel(&in, box, h, w, y, x, k), got = out.px[(y * w + x) * c + k];
                if (got != want)
                    fail_msg("%dx%dx%d to %dx%d, pixel (%d, %d, %d): %d, expected %d", in_h, in_w,
                             c, h, w, y, x, k, got, want);
            }
    free(in.px);
    trit_image_free(&out);
}

static void check_resizes(void) {
    for (int c = 1; c <= 3; c += 2)
        for (int side = 1; side <= 70; side += side < 9 ? 1 : 13) { /* rows side by side: 1, 2, 4 */
            check_resize(side, 33, c, (double[]){0, 0, side, 33}, 17, 40);
            check_resize(41, side, c, (double[]){0, 0, 41, side}, 9, 5);
            check_resize(41, 50, c, (double[]){0.25, 3.5, 30.5, 40.25}, side, 97 - side);
        }
    check_resize(60, 300, 3, (double[]){7, 11, 50, 280}, 6, 7);
}

static const double imagenet[2][3] = {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};

/* Every window, mirrored or not, is what the table says. */
static void check_normalize(int c, const double mean[3], const double std[3]) {
    trit_image im = noise(5, 300, c, 8);
    trit_norm norm;
    float *got = malloc(sizeof(float) * 5 * 300 * 3), *want = malloc(sizeof(float) * 5 * 300 * 3);
    trit_norm_set(&norm, c, mean, std);
    for (int w = 1; w <= 300; w += w < 70 ? 1 : 46)
        for (int flip = 0; flip < 2; flip++)
            for (int x = -1; x <= 300 - w; x += 1 + (300 - w) / 2) {
                trit_view v = {.target_h = 4, .target_w = w};
                size_t n = (size_t)(4 * w * c);
                trit_view_start(&v, &im, im.h, im.w);
                v.y = 1;
                v.h = 4;
                v.x = x; /* -1: with padding */
                v.w = w;
                v.flip = flip;
                v.fill = 9;
                memset(got, 0x55, (n + 1) * sizeof *got);
                memset(want, 0x55, (n + 1) * sizeof *want);
                trit_view_write(&v, norm.lut, want);
                trit_view_normalize(&v, &norm, got);
                assert_memory_equal(got, want, (n + 1) * sizeof *got);
            }
    free(im.px);
    free(got);
    free(want);
}

static void check_level(trit_isa level) {
    if (trit_isa_force(level) != TRIT_OK) {
        print_message("%s: skipped\n", trit_last_error());
        skip();
    }
    check_resizes();
    for (int c = 1; c <= 3; c += 2) {
        check_normalize(c, imagenet[0], imagenet[1]);
        check_normalize(c, (double[]){0, 0, 0}, (double[]){1, 1, 1});
        check_normalize(c, (double[]){0.2, 0.4, 0.6}, (double[]){0.3, 0.1, 0.7});
    }
}

static void generic(void **state) {
    (void)state;
    check_level(TRIT_ISA_GENERIC);
}

static void avx2(void **state) {
    (void)state;
    check_level(TRIT_ISA_AVX2);
}

static void avx512(void **state) {
    (void)state;
    check_level(TRIT_ISA_AVX512);
}

/* Multiplication takes the table's place only where it gives the table's floats. */
static void multiplication_is_tried_before_it_is_used(void **state) {
    (void)state;
    trit_norm norm;
    int refused = 0;
    trit_norm_set(&norm, 3, imagenet[0], imagenet[1]);
    assert_true(norm.linear);
    for (int k = 0; k < 256; k++) { /* a mean that is a pixel's value: that pixel becomes 0 */
        const double mean[3] = {k / 255.0, 0, 0}, std[3] = {0.3, 1, 1};
        trit_norm_set(&norm, 3, mean, std);
        for (int v = 0; norm.linear && v < 256; v++)
            assert_true(norm.lut[0][v] == (float)(v * norm.scale[0] + norm.shift[0]));
        refused += !norm.linear;
    }
    assert_in_range(refused, 1, 255);
}

static int start(void **state) {
    (void)state;
    return trit_init() != TRIT_OK;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generic),
        cmocka_unit_test(avx2),
        cmocka_unit_test(avx512),
        cmocka_unit_test(multiplication_is_tried_before_it_is_used),
    };
    return cmocka_run_group_tests_name("pixels", tests, start, NULL);
}
