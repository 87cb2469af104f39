/*
 * png.c - PNG by spng.  Any colour type becomes 8-bit RGB; transparency is dropped, as JPEG
 * pipelines do.  A wrong checksum inside the file is damage.
 */
#include "data/image.h"

#include <spng.h>

trit_status trit_png_decode(trit_reader *r, const uint8_t *bytes, size_t n, const char *name,
                            trit_image *out) {
    struct spng_ihdr head;
    size_t length;
    spng_ctx *ctx = spng_ctx_new(0);
    if (!ctx) return trit_fail(TRIT_ERR_MEM, "%s: no room for a PNG decoder", name);
    trit_status status = TRIT_OK;
    int err = spng_set_png_buffer(ctx, bytes, n);
    if (!err) err = spng_get_ihdr(ctx, &head);
    if (!err && (int64_t)head.width * head.height > TRIT_MAX_PIXELS) {
        status = trit_fail(TRIT_ERR_IO, "%s: %u x %u pixels, more than 2^28", name, head.width,
                           head.height);
        goto done;
    }
    if (!err) err = spng_decoded_image_size(ctx, SPNG_FMT_RGB8, &length);
    if (!err) {
        r->facts.h = (int)head.height;
        r->facts.w = (int)head.width;
        r->facts.gray = head.color_type == SPNG_COLOR_TYPE_GRAYSCALE ||
                        head.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
        status = trit_image_reserve(out, (int)head.height, (int)head.width, 3);
        if (status != TRIT_OK) goto done;
        err = spng_decode_image(ctx, out->px, length, SPNG_FMT_RGB8, 0);
    }
    if (err) status = trit_fail(TRIT_ERR_IO, "%s: damaged PNG: %s", name, spng_strerror(err));
done:
    spng_ctx_free(ctx);
    return status;
}
