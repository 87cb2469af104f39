/*
 * jpeg.c - JPEG by TurboJPEG; the only file that includes turbojpeg.h.
 *
 * Warnings.  libjpeg decodes a truncated file to a half-grey picture and calls that a warning.
 * Here every warning is damage except those known to leave the pixels alone (`harmless`).
 *
 * CMYK and YCCK come out of the decoder as four ink channels as stored.  Files with an Adobe marker
 * store them inverted (255 = no ink), so R = C K / 255; others store ink, so
 * R = (255 - C)(255 - K) / 255.
 */
#include "data/image.h"

#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

/* libjpeg's sentences about data beside the picture. */
static const char *const harmless[] = {"extraneous bytes before marker",
                                       "Invalid SOS parameters for sequential JPEG",
                                       "Unknown Adobe color transform code", NULL};

void trit_jpeg_close(trit_reader *r) {
    if (r->jpeg) tjDestroy(r->jpeg);
    r->jpeg = NULL;
}

/* Is there an APP14 "Adobe" segment before the picture starts? */
static bool has_adobe_marker(const uint8_t *b, size_t n) {
    size_t at = 2;
    while (at + 4 <= n && b[at] == 0xff && b[at + 1] != 0xda) {
        if (b[at + 1] == 0xff) { /* fill byte */
            at++;
            continue;
        }
        size_t length = (size_t)b[at + 2] << 8 | b[at + 3];
        if (b[at + 1] == 0xee && length >= 14 && at + 9 <= n && !memcmp(b + at + 4, "Adobe", 5))
            return true;
        at += 2 + length;
    }
    return false;
}

static void inks_to_rgb(uint8_t *px, int64_t pixels, bool inverted) { /* [pixels,4] -> [pixels,3] */
    const int flip = inverted ? 0 : 255;
    for (int64_t i = 0; i < pixels; i++) {
        int k = px[4 * i + 3] ^ flip;
        for (int c = 0; c < 3; c++)
            px[3 * i + c] = (uint8_t)(((px[4 * i + c] ^ flip) * k + 127) / 255);
    }
}

/* TJERR_WARNING: keep the sentence if harmless, else damage. */
static trit_status judge(trit_reader *r, const char *name) {
    const char *said = tjGetErrorStr2(r->jpeg);
    if (tjGetErrorCode(r->jpeg) == TJERR_WARNING)
        for (int i = 0; harmless[i]; i++)
            if (strstr(said, harmless[i])) {
                snprintf(r->facts.warning, sizeof r->facts.warning, "%s", said);
                return TRIT_OK;
            }
    return trit_fail(TRIT_ERR_IO, "%s: damaged JPEG: %s", name, said);
}

trit_status trit_jpeg_decode(trit_reader *r, const uint8_t *bytes, size_t n, const char *name,
                             trit_image *out) {
    int w = 0, h = 0, subsampling, space = -1;
    if (!r->jpeg && !(r->jpeg = tjInitDecompress()))
        return trit_fail(TRIT_ERR_MEM, "%s: no room for a JPEG decoder", name);
    if (tjDecompressHeader3(r->jpeg, bytes, n, &w, &h, &subsampling, &space) != 0)
        TRIT_TRY(judge(r, name));
    if (w < 1 || h < 1) /* tables without a picture are a success to TurboJPEG */
        return trit_fail(TRIT_ERR_IO, "%s: damaged JPEG: it ends before the picture", name);
    r->facts.h = h;
    r->facts.w = w;
    r->facts.gray = space == TJCS_GRAY;
    r->facts.cmyk = space == TJCS_CMYK || space == TJCS_YCCK;
    if ((int64_t)w * h > TRIT_MAX_PIXELS)
        return trit_fail(TRIT_ERR_IO, "%s: %d x %d pixels, more than 2^28", name, w, h);
    tjscalingfactor scale = {1, r->scale ? r->scale(r->context, h, w) : 1};
    int sh = TJSCALED(h, scale), sw = TJSCALED(w, scale);
    TRIT_TRY(trit_image_reserve(out, sh, sw, r->facts.cmyk ? 4 : 3));
    out->c = 3;
    int format = r->facts.cmyk ? TJPF_CMYK : TJPF_RGB;
    if (tjDecompress2(r->jpeg, bytes, n, out->px, sw, 0, sh, format, 0) != 0)
        TRIT_TRY(judge(r, name));
    if (r->facts.cmyk) inks_to_rgb(out->px, (int64_t)sh * sw, has_adobe_marker(bytes, n));
    return TRIT_OK;
}

trit_status trit_jpeg_encode(const trit_image *im, int quality, uint8_t **bytes, size_t *n) {
    tjhandle handle = tjInitCompress();
    if (!handle) return trit_fail(TRIT_ERR_MEM, "jpeg: no room for an encoder");
    trit_status status = TRIT_OK;
    unsigned long length = tjBufSize(im->w, im->h, TJSAMP_444);
    uint8_t *grown = realloc(*bytes, length);
    if (!grown) {
        status = trit_fail(TRIT_ERR_MEM, "jpeg: no room for %lu bytes", length);
        goto done;
    }
    *bytes = grown;
    if (tjCompress2(handle, im->px, im->w, 0, im->h, TJPF_RGB, bytes, &length, TJSAMP_444, quality,
                    TJFLAG_NOREALLOC) != 0)
        status = trit_fail(TRIT_ERR_IO, "jpeg: %s", tjGetErrorStr2(handle));
    *n = length;
done:
    tjDestroy(handle);
    return status;
}
