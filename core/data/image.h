/*
 * image.h - the two decoders behind trit_image_decode.
 */
#ifndef TRIT_DATA_IMAGE_H
#define TRIT_DATA_IMAGE_H

#include "trit/data.h"

#define TRIT_MAX_PIXELS ((int64_t)1 << 28) /* of one image: more is damage, or an attack */

trit_status trit_jpeg_decode(trit_reader *r, const uint8_t *bytes, size_t n, const char *name,
                             trit_image *out);
void trit_jpeg_close(trit_reader *r);
trit_status trit_png_decode(trit_reader *r, const uint8_t *bytes, size_t n, const char *name,
                            trit_image *out);

#endif
