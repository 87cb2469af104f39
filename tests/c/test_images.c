/* tier: fast */
/* test_images.c - decoding, damaged files, resizing, augmentation. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <spng.h>
#include <turbojpeg.h>
#include <cmocka.h>

#include "data/augment.h"
#include "trit/data.h"

/* One colour in h x w pixels of `format`; returns the JPEG's length. */
static size_t make_jpeg(const uint8_t *colour, int channels, int format, int h, int w,
                        uint8_t **bytes) {
    uint8_t *px = malloc((size_t)h * (size_t)w * (size_t)channels);
    for (int i = 0; i < h * w; i++) memcpy(px + i * channels, colour, (size_t)channels);
    tjhandle handle = tjInitCompress();
    unsigned long n = 0;
    *bytes = NULL;
    int subsampling = format == TJPF_GRAY ? TJSAMP_GRAY : TJSAMP_444;
    assert_int_equal(tjCompress2(handle, px, w, 0, h, format, bytes, &n, subsampling, 95, 0), 0);
    tjDestroy(handle);
    free(px);
    return n;
}

static size_t make_png(const uint8_t colour[3], int h, int w, uint8_t **bytes) {
    uint8_t *px = malloc((size_t)h * (size_t)w * 3);
    for (int i = 0; i < h * w; i++) memcpy(px + 3 * i, colour, 3);
    spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
    struct spng_ihdr head = {.width = (uint32_t)w,
                             .height = (uint32_t)h,
                             .bit_depth = 8,
                             .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
    spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);
    spng_set_ihdr(ctx, &head);
    size_t n;
    int err =
        spng_encode_image(ctx, px, (size_t)h * (size_t)w * 3, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
    assert_int_equal(err, 0);
    *bytes = spng_get_png_buffer(ctx, &n, &err);
    spng_ctx_free(ctx);
    free(px);
    return n;
}

static void assert_near(int a, int b, int within) {
    assert_in_range(a + 255, b + 255 - within, b + 255 + within);
}

static void assert_colour(const trit_image *im, int r, int g, int b, int within) {
    for (int i = 0; i < im->h * im->w; i++) {
        assert_near(im->px[3 * i], r, within);
        assert_near(im->px[3 * i + 1], g, within);
        assert_near(im->px[3 * i + 2], b, within);
    }
}

/* ---------------------------------------------------------------------- decoding */

static void grey_jpeg_becomes_three_equal_channels(void **state) {
    (void)state;
    uint8_t grey = 90, *bytes;
    size_t n = make_jpeg(&grey, 1, TJPF_GRAY, 9, 7, &bytes);
    trit_reader r = {0};
    trit_image im = {0};
    assert_int_equal(trit_image_decode(&r, bytes, n, "grey.jpg", &im), TRIT_OK);
    assert_true(r.facts.gray);
    assert_false(r.facts.misnamed);
    assert_int_equal(im.h, 9);
    assert_int_equal(im.w, 7);
    assert_colour(&im, 90, 90, 90, 1);
    tjFree(bytes);
    trit_image_free(&im);
    trit_reader_close(&r);
}

static void cmyk_jpeg_is_converted_by_its_adobe_marker(void **state) {
    (void)state;
    /* what an Adobe file stores: 255 = no ink; cyan ink 55, black ink 51 */
    const uint8_t stored[4] = {200, 255, 255, 204};
    uint8_t *bytes;
    size_t n = make_jpeg(stored, 4, TJPF_CMYK, 16, 16, &bytes);
    trit_reader r = {0};
    trit_image im = {0};
    assert_int_equal(trit_image_decode(&r, bytes, n, "cmyk.jpg", &im), TRIT_OK);
    assert_true(r.facts.cmyk);
    assert_int_equal(im.c, 3);
    assert_colour(&im, 160, 204, 204, 3); /* 200 * 204 / 255 = 160 */
    tjFree(bytes);
    /* Without the marker the decoder takes the channels as they are, here Y Cb Cr K of YCCK:
     * 55, 128, 128, 204 as inks.  R = 200 * 51 / 255, G = B = 127 * 51 / 255. */
    const uint8_t neutral[4] = {200, 200, 200, 204};
    n = make_jpeg(neutral, 4, TJPF_CMYK, 16, 16, &bytes);
    uint8_t *adobe = memmem(bytes, n, "Adobe", 5);
    assert_non_null(adobe);
    memcpy(adobe, "Other", 5);
    assert_int_equal(trit_image_decode(&r, bytes, n, "cmyk.jpg", &im), TRIT_OK);
    assert_true(r.facts.cmyk);
    assert_colour(&im, 40, 25, 25, 2);
    tjFree(bytes);
    trit_image_free(&im);
    trit_reader_close(&r);
}

static void png_named_jpg_is_decoded_by_content(void **state) {
    (void)state;
    const uint8_t colour[3] = {10, 20, 30};
    uint8_t *bytes;
    size_t n = make_png(colour, 5, 6, &bytes);
    trit_reader r = {0};
    trit_image im = {0};
    assert_int_equal(trit_image_decode(&r, bytes, n, "a.jpg", &im), TRIT_OK);
    assert_true(r.facts.png);
    assert_true(r.facts.misnamed);
    assert_colour(&im, 10, 20, 30, 0);
    assert_int_equal(trit_image_decode(&r, bytes, n, "a.png", &im), TRIT_OK);
    assert_false(r.facts.misnamed);
    bytes[n / 2] ^= 0xff; /* a wrong checksum is damage */
    assert_int_equal(trit_image_decode(&r, bytes, n, "a.png", &im), TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "damaged PNG"));
    free(bytes);
    trit_image_free(&im);
    trit_reader_close(&r);
}

static void truncated_jpeg_is_damage_not_half_a_picture(void **state) {
    (void)state;
    const uint8_t colour[3] = {200, 100, 50};
    uint8_t *bytes;
    size_t n = make_jpeg(colour, 3, TJPF_RGB, 64, 64, &bytes);
    trit_reader r = {0};
    trit_image im = {0};
    assert_int_equal(trit_image_decode(&r, bytes, n, "whole.jpg", &im), TRIT_OK);
    assert_colour(&im, 200, 100, 50, 3);
    assert_int_equal(trit_image_decode(&r, bytes, n - 40, "cut.jpg", &im), TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "cut.jpg: damaged JPEG"));
    assert_int_equal(trit_image_decode(&r, bytes, 0, "none.jpg", &im), TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "empty"));
    assert_int_equal(trit_image_decode(&r, (const uint8_t *)"<html>", 6, "page.jpg", &im),
                     TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "neither JPEG nor PNG"));
    tjFree(bytes);
    trit_image_free(&im);
    trit_reader_close(&r);
}

static int quarter(void *context, int h, int w) {
    (void)context;
    assert_int_equal(h, 100);
    assert_int_equal(w, 60);
    return 4;
}

static void scaled_decoding_keeps_the_stored_size_as_a_fact(void **state) {
    (void)state;
    const uint8_t colour[3] = {40, 80, 120};
    uint8_t *bytes;
    size_t n = make_jpeg(colour, 3, TJPF_RGB, 100, 60, &bytes);
    trit_reader r = {.scale = quarter};
    trit_image im = {0};
    assert_int_equal(trit_image_decode(&r, bytes, n, "a.jpg", &im), TRIT_OK);
    assert_int_equal(im.h, 25);
    assert_int_equal(im.w, 15);
    assert_int_equal(r.facts.h, 100);
    assert_int_equal(r.facts.w, 60);
    assert_colour(&im, 40, 80, 120, 3);
    tjFree(bytes);
    trit_image_free(&im);
    trit_reader_close(&r);
}

/* ---------------------------------------------------------------------- resizing */

static void resizing_follows_the_triangle_filter(void **state) {
    (void)state;
    uint8_t px[4] = {0, 100, 200, 40};
    trit_image in = {.px = px, .h = 1, .w = 4, .c = 1}, out = {0};
    const double all[4] = {0, 0, 1, 4};
    /* down by 2: support 2; weights of pixels 0..2 for o = 0 are 3/4, 3/4, 1/4 over 7/4 */
    assert_int_equal(trit_image_resize(&in, all, 1, 2, &out), TRIT_OK);
    assert_int_equal(out.px[0], 71);  /* (0*3 + 100*3 + 200) / 7 = 71.4 */
    assert_int_equal(out.px[1], 117); /* (100 + 200*3 + 40*3) / 7 = 117.1 */
    /* up by 2: bilinear between pixel centres, edges repeated */
    assert_int_equal(trit_image_resize(&in, all, 1, 8, &out), TRIT_OK);
    const int expected[8] = {0, 25, 75, 125, 175, 160, 80, 40};
    for (int i = 0; i < 8; i++) assert_int_equal(out.px[i], expected[i]);
    /* same size: the same bytes */
    assert_int_equal(trit_image_resize(&in, all, 1, 4, &out), TRIT_OK);
    assert_memory_equal(out.px, px, 4);
    trit_image_free(&out);
}

/* ------------------------------------------------------------------- augmentation */

static float plain[3][256]; /* lut that leaves pixel values alone */

static trit_view view_of(const trit_image *im, int h, int w) {
    trit_view v = {.target_h = h, .target_w = w};
    trit_view_start(&v, im, im->h, im->w);
    return v;
}

static trit_step step_of(const char *name) {
    trit_step s = {.transform = trit_transform_find(name)};
    assert_non_null(s.transform);
    trit_args_default(s.transform->params, &s.args);
    return s;
}

static void flip_mirrors_with_probability(void **state) {
    (void)state;
    uint8_t px[6] = {1, 2, 3, 4, 5, 6};
    trit_image im = {.px = px, .h = 2, .w = 3, .c = 1};
    float out[6];
    const float mirrored[6] = {3, 2, 1, 6, 5, 4};
    trit_step flip = step_of("flip");
    flip.args.v[0][0] = 1;
    trit_view v = view_of(&im, 2, 3);
    assert_int_equal(trit_view_apply(&v, &flip, 1, 1, 0), TRIT_OK);
    trit_view_write(&v, plain, out);
    assert_memory_equal(out, mirrored, sizeof out);
    flip.args.v[0][0] = 0.5;
    int flipped = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        v = view_of(&im, 2, 3);
        trit_view_apply(&v, &flip, 1, 1, i);
        flipped += v.flip;
    }
    assert_in_range(flipped, 440, 560);
}

static void crop_cuts_a_window_of_the_padded_image(void **state) {
    (void)state;
    uint8_t px[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    trit_image im = {.px = px, .h = 3, .w = 3, .c = 1};
    trit_step steps[2] = {step_of("flip"), step_of("crop")};
    steps[1].args.v[0][0] = 1;  /* pad */
    steps[1].args.v[1][0] = 77; /* fill */
    int seen[3][3][2] = {{{0}}};
    for (int flip = 0; flip < 2; flip++)
        for (uint64_t i = 0; i < 400; i++) {
            float out[9];
            steps[0].args.v[0][0] = flip;
            trit_view v = view_of(&im, 3, 3);
            assert_int_equal(trit_view_apply(&v, steps, 2, 3, i), TRIT_OK);
            trit_view_write(&v, plain, out);
            int dy = v.y, dx = flip ? -v.x : v.x; /* as seen */
            seen[dy + 1][dx + 1][flip]++;
            for (int y = 0; y < 3; y++)
                for (int x = 0; x < 3; x++) {
                    int sy = y + dy, sx = x + dx;
                    bool outside = sy < 0 || sy > 2 || sx < 0 || sx > 2;
                    int expected = outside ? 77 : px[3 * sy + (flip ? 2 - sx : sx)];
                    assert_int_equal((int)out[3 * y + x], expected);
                }
        }
    for (int k = 0; k < 18; k++) assert_in_range(((int *)seen)[k], 20, 80); /* of 44 */
}

static void rrc_takes_the_asked_share_of_the_area(void **state) {
    (void)state;
    trit_step rrc = step_of("rrc");
    trit_image size_only = {.h = 200, .w = 300, .c = 3};
    rrc.args.v[0][0] = rrc.args.v[1][0] = 0.25; /* a quarter: shrink to 50 x 50 is known */
    rrc.args.v[2][0] = rrc.args.v[3][0] = 1;
    trit_view dry = view_of(&size_only, 50, 50);
    assert_int_equal(trit_view_apply(&dry, &rrc, 1, 1, 5), TRIT_OK);
    assert_true(dry.shrink > 2.43 && dry.shrink < 2.46); /* sqrt(200 * 300 / 4) / 50 */
    assert_int_equal(dry.h, 50);
    /* an image too narrow for any allowed ratio falls back to its middle */
    trit_image strip = {.h = 10, .w = 1000, .c = 3};
    rrc = step_of("rrc");
    rrc.args.v[0][0] = 0.99;
    dry = view_of(&strip, 10, 10);
    assert_int_equal(trit_view_apply(&dry, &rrc, 1, 1, 5), TRIT_OK);
    assert_true(dry.shrink == 1); /* 10 x 13 of it */
}

static void other_sizes_are_covered_and_centred(void **state) {
    (void)state;
    uint8_t px[8] = {10, 20, 30, 40, 50, 60, 70, 80}; /* 2 x 4 */
    trit_image im = {.px = px, .h = 2, .w = 4, .c = 1};
    float out[4];
    const float middle[4] = {20, 30, 60, 70};
    trit_view v = view_of(&im, 2, 2);
    assert_int_equal(trit_view_apply(&v, NULL, 0, 0, 0), TRIT_OK);
    trit_view_write(&v, plain, out);
    assert_memory_equal(out, middle, sizeof out);
    /* mirrored first: the middle of 40 30 20 10, rounded to the right, as seen */
    trit_step steps[2] = {step_of("flip"), step_of("center")};
    steps[0].args.v[0][0] = 1;
    v = view_of(&im, 2, 1);
    assert_int_equal(trit_view_apply(&v, steps, 2, 0, 0), TRIT_OK);
    trit_view_write(&v, plain, out);
    assert_int_equal((int)out[0], 20);
    assert_int_equal((int)out[1], 60);
    trit_view_close(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grey_jpeg_becomes_three_equal_channels),
        cmocka_unit_test(cmyk_jpeg_is_converted_by_its_adobe_marker),
        cmocka_unit_test(png_named_jpg_is_decoded_by_content),
        cmocka_unit_test(truncated_jpeg_is_damage_not_half_a_picture),
        cmocka_unit_test(scaled_decoding_keeps_the_stored_size_as_a_fact),
        cmocka_unit_test(resizing_follows_the_triangle_filter),
        cmocka_unit_test(flip_mirrors_with_probability),
        cmocka_unit_test(crop_cuts_a_window_of_the_padded_image),
        cmocka_unit_test(rrc_takes_the_asked_share_of_the_area),
        cmocka_unit_test(other_sizes_are_covered_and_centred),
    };
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++) plain[c][v] = (float)v;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
