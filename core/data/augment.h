/*
 * augment.h - an image on its way into a batch.
 *
 * Cutting, padding and mirroring move a window over the pixels and copy nothing; only resizing
 * makes new pixels.  trit_view_write does the copy, mirrored, padded, normalized, in one pass.
 */
#ifndef TRIT_DATA_AUGMENT_H
#define TRIT_DATA_AUGMENT_H

#include "data/pixels.h"
#include "trit/data.h"

/* How 8-bit pixels become numbers. */
typedef struct {
    float lut[3][256]; /* (v / 255 - mean) / std, rounded once: what defines it */
    /* v scale + shift in double precision, one entry a number of a row of pixels */
    double scale[TRIT_PIXEL_PERIOD], shift[TRIT_PIXEL_PERIOD];
    bool linear; /* which is the same float for every v and channel: found by trying */
} trit_norm;

void trit_norm_set(trit_norm *norm, int channels, const double mean[3], const double std[3]);

struct trit_view {
    const trit_image *image; /* what the window lies on; px NULL in a dry run */
    trit_image made[2];      /* room for resized images, reused */
    int stored_h, stored_w;  /* size the image would have without scaled decoding */
    int y, x, h, w;          /* the window; outside the image lies fill */
    uint8_t fill;
    bool flip; /* the window is read from right to left */
    int target_h, target_w;
    double shrink; /* dry run: factor of the first resize, 0 = there was none, 1 = cut before */
};

/* The window becomes the whole of `image`. */
void trit_view_start(trit_view *v, const trit_image *image, int stored_h, int stored_w);
/* Shorter side -> `side` pixels, other side in proportion; nothing if it is so. */
trit_status trit_view_fit(trit_view *v, int side);
void trit_view_center(trit_view *v); /* to the target size */
/* Steps in order, then whatever brings the window to the target size. */
trit_status trit_view_apply(trit_view *v, const trit_step *steps, int n, uint64_t seed,
                            uint64_t index);
/* Normalized pixels of the target size: out[h,w,c] = lut[c][pixel]. */
void trit_view_write(const trit_view *v, const float (*lut)[256], float *out);
/* The same numbers, by multiplication where that is exact and no padding is in the window. */
void trit_view_normalize(const trit_view *v, const trit_norm *norm, float *out);
void trit_view_close(trit_view *v);

#endif
