/*
 * shapes10.h - rows of the generator's option table, and its drawing function.
 */
#ifndef TRIT_DATA_SHAPES10_H
#define TRIT_DATA_SHAPES10_H

#include "trit/data.h"

enum {
    TRIT_SHAPES_TRAIN,
    TRIT_SHAPES_TEST,
    TRIT_SHAPES_SIZE,
    TRIT_SHAPES_SEED,
    TRIT_SHAPES_QUALITY,
    TRIT_SHAPES_CONTRAST,
    TRIT_SHAPES_SCALE_MIN,
    TRIT_SHAPES_SCALE_MAX,
    TRIT_SHAPES_STRETCH,
    TRIT_SHAPES_SHIFT,
    TRIT_SHAPES_TURN,
    TRIT_SHAPES_TEXTURE,
    TRIT_SHAPES_CLUTTER,
    TRIT_SHAPES_OCCLUSION,
    TRIT_SHAPES_NOISE,
};

/* `out` has the size reserved, RGB; canvas f32[size,size,3] is room to paint on. */
void trit_shapes10_draw(const trit_args *options, int split, int64_t index, float *canvas,
                        trit_image *out, int *label);

#endif
