/*
 * image.c - 8-bit images: memory, files, and telling JPEG from PNG by content.
 *
 * Image folders hold PNG files named .jpg and JPEG files named .png (ImageNet has some of each
 * sort of surprise); the first bytes decide, the name is only compared and reported.
 */
#include "data/image.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

trit_status trit_image_reserve(trit_image *im, int h, int w, int c) {
    size_t need = (size_t)h * (size_t)w * (size_t)c;
    if (need > im->capacity) {
        trit_image_free(im);
        im->px = trit_alloc(need);
        if (!im->px) return TRIT_ERR_MEM;
        im->capacity = need;
    }
    im->h = h;
    im->w = w;
    im->c = c;
    return TRIT_OK;
}

void trit_image_free(trit_image *im) {
    if (im->px) trit_free(im->px, im->capacity);
    *im = (trit_image){0};
}

void trit_reader_close(trit_reader *r) {
    trit_jpeg_close(r);
    if (r->file) trit_free(r->file, r->file_capacity);
    r->file = NULL;
    r->file_capacity = 0;
}

static bool is_jpeg(const uint8_t *b, size_t n) {
    return n >= 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff;
}

static bool is_png(const uint8_t *b, size_t n) {
    return n >= 8 && !memcmp(b, "\x89PNG\r\n\x1a\n", 8);
}

static bool named_png(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && !strcasecmp(dot, ".png");
}

trit_status trit_image_decode(trit_reader *r, const uint8_t *bytes, size_t n, const char *name,
                              trit_image *out) {
    r->facts = (trit_image_facts){0};
    if (n == 0) return trit_fail(TRIT_ERR_IO, "%s: the file is empty", name);
    r->facts.png = is_png(bytes, n);
    r->facts.misnamed = strrchr(name, '.') && r->facts.png != named_png(name);
    if (r->facts.png) return trit_png_decode(r, bytes, n, name, out);
    if (is_jpeg(bytes, n)) return trit_jpeg_decode(r, bytes, n, name, out);
    r->facts.misnamed = false;
    return trit_fail(TRIT_ERR_IO,
                     "%s: neither JPEG nor PNG: the content starts with bytes %02x %02x", name,
                     bytes[0], n > 1 ? bytes[1] : 0);
}

static trit_status read_file(trit_reader *r, const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return trit_fail(TRIT_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    trit_status status = TRIT_OK;
    r->file_bytes = 0;
    for (;;) { /* grows, so a file that changes its length meanwhile does no harm */
        if (r->file_bytes == r->file_capacity) {
            size_t capacity = r->file_capacity ? 2 * r->file_capacity : 1 << 16;
            uint8_t *grown = trit_alloc(capacity);
            if (!grown) {
                status = TRIT_ERR_MEM;
                break;
            }
            if (r->file) {
                memcpy(grown, r->file, r->file_bytes);
                trit_free(r->file, r->file_capacity);
            }
            r->file = grown;
            r->file_capacity = capacity;
        }
        size_t got = fread(r->file + r->file_bytes, 1, r->file_capacity - r->file_bytes, f);
        r->file_bytes += got;
        if (got == 0) break;
    }
    if (status == TRIT_OK && ferror(f))
        status = trit_fail(TRIT_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    fclose(f);
    return status;
}

trit_status trit_image_load(trit_reader *r, const char *path, trit_image *out) {
    r->facts = (trit_image_facts){0};
    TRIT_TRY(read_file(r, path));
    return trit_image_decode(r, r->file, r->file_bytes, path, out);
}
